//! Inputs and answers of scale-down policies, shaped as the policy contract (`wit/`,
//! interfaces `scale-down-pods`, `scale-down-nodes` and `scale-down-moves`) has them: see
//! there for the meaning of each column and for the rules by which the answers of several
//! policies are combined.
//!
//! Tables that several questions share are behind [`Arc`](std::sync::Arc).

/// Counts the rows of a table by one of its columns.
macro_rules! count_rows {
    ($table:ident by $column:ident) => {
        impl $table {
            /// Returns the number of rows.
            #[must_use]
            pub fn len(&self) -> usize {
                self.$column.len()
            }

            /// Returns whether there is no row.
            #[must_use]
            pub fn is_empty(&self) -> bool {
                self.$column.is_empty()
            }
        }
    };
}

mod groups;
mod moves;
mod nodes;
mod pods;
mod texts;

pub use self::groups::{GroupColumns, group_state};
pub use self::moves::{MoveColumns, MoveVerdicts, ScaleDownMovesInput, move_verdict};
pub use self::nodes::{NodeColumns, NodeVerdicts, ScaleDownNodesInput, node_state, node_verdict};
pub use self::pods::{
    PodColumns, PodNodeColumns, PodVerdicts, ScaleDownPodsInput, owner_kind, pod_state, pod_verdict,
};
pub use self::texts::Texts;

/// Maximum number of rows that one question asks for: pods of
/// [`ScaleDownPodsInput`], nodes of [`ScaleDownNodesInput`]. With more, the host asks in
/// several chunks.
pub const MAX_ROWS: usize = 16_384;

/// Maximum number of moves that one question asks for.
pub const MAX_MOVES: usize = 4_096;

/// Maximum number of reasons in one answer.
pub const MAX_REASONS: usize = 256;

/// Mark in signed columns: not known, none, or not set, as the column says.
pub const NONE: i64 = -1;

/// [`NONE`] in columns of 32 bits, which most rows of other tables are in.
pub const NO_ROW: i32 = -1;

/// Returns the row that an entry of a column names. `None` if it is [`NO_ROW`].
#[must_use]
pub fn row(entry: i32) -> Option<usize> {
    usize::try_from(entry).ok()
}
