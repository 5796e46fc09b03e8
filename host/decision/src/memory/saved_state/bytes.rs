//! Encoding of [`SavedState`] as bytes. Stores write it, and [`SAVED_STATE_LIMIT`](super::SAVED_STATE_LIMIT)
//! limits its size.
//!
//! Numbers are little-endian. Lengths and counts have seven bits per byte, the lowest
//! first; the eighth bit is set if another byte follows.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{SavedHistory, SavedPolicyState, SavedState};
use crate::replica::Samples;

/// Version of the encoding.
const FORM: u8 = 1;

/// Size of version, target, and the counts of states, changes and histories.
pub(super) const FRAME: usize = 1 + 8 + 3;

/// Size of what is saved with a state beside the policy's name: the state version, and the
/// lengths of name and state.
pub const STATE_FRAME: usize = 4 + 1 + 2;

/// Size of a change: time and replicas.
pub(super) const CHANGE: usize = 8 + 4;

/// Size of a history without name and means: step, first step, length of the name and
/// number of the means.
const HISTORY_FRAME: usize = 8 + 8 + 2 + 2;

/// Size of a mean. NaN stands for no mean.
const MEAN: usize = 4;

/// Bytes that are damaged, or of another version of the encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("what was saved of an object is damaged, or of another form")]
pub struct DamagedSavedState;

impl SavedState {
    /// Encodes the state.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = vec![FORM];
        out.extend(self.target.to_le_bytes());
        put_length(&mut out, self.states.len());
        for (name, known) in &self.states {
            put_text(&mut out, name);
            out.extend(known.state_version.to_le_bytes());
            put_text(&mut out, &known.state);
        }
        put_length(&mut out, self.changes.at_ms.len());
        for (at, replicas) in self.changes.at_ms.iter().zip(&self.changes.replicas) {
            out.extend(at.to_le_bytes());
            out.extend(replicas.to_le_bytes());
        }
        put_length(&mut out, self.histories.len());
        for history in &self.histories {
            put_text(&mut out, &history.metric);
            out.extend(history.step_ms.to_le_bytes());
            out.extend(history.first.to_le_bytes());
            put_length(&mut out, history.means.len());
            for mean in &history.means {
                out.extend(mean.unwrap_or(f32::NAN).to_le_bytes());
            }
        }
        out
    }

    /// Decodes a state.
    ///
    /// # Errors
    /// If the bytes are not what [`SavedState::to_bytes`] gives.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DamagedSavedState> {
        let mut input = Input(bytes);
        let saved = input.saved().ok_or(DamagedSavedState)?;
        input.0.is_empty().then_some(saved).ok_or(DamagedSavedState)
    }
}

impl SavedHistory {
    /// Returns how many means of a metric fit into `bytes`.
    pub fn fitting(metric: &str, bytes: usize) -> usize {
        bytes.saturating_sub(metric.len() + HISTORY_FRAME) / MEAN
    }

    /// Returns the size of its encoding at most, in bytes.
    pub fn bytes(&self) -> usize {
        self.metric.len() + HISTORY_FRAME + self.means.len() * MEAN
    }
}

fn put_length(out: &mut Vec<u8>, mut length: usize) {
    while length >= 0x80 {
        out.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_length(out, text.len());
    out.extend(text.as_bytes());
}

/// The bytes that are not decoded yet.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn saved(&mut self) -> Option<SavedState> {
        let [form] = self.take()?;
        if form != FORM {
            return None;
        }
        let mut saved = SavedState {
            target: u64::from_le_bytes(self.take()?),
            ..SavedState::default()
        };
        saved.states = BTreeMap::from_iter(self.list(Self::state)?);
        let (at_ms, replicas) = self.list(Self::change)?.into_iter().unzip();
        saved.changes = Samples { at_ms, replicas };
        saved.histories = self.list(Self::history)?;
        Some(saved)
    }

    fn state(&mut self) -> Option<(Arc<str>, SavedPolicyState)> {
        let name = self.text()?.into();
        let state_version = u32::from_le_bytes(self.take()?);
        let state = self.text()?.into();
        let known = SavedPolicyState {
            state_version,
            state,
        };
        Some((name, known))
    }

    fn change(&mut self) -> Option<(i64, i32)> {
        let at = i64::from_le_bytes(self.take()?);
        Some((at, i32::from_le_bytes(self.take()?)))
    }

    fn history(&mut self) -> Option<SavedHistory> {
        Some(SavedHistory {
            metric: self.text()?.to_owned(),
            step_ms: i64::from_le_bytes(self.take()?),
            first: i64::from_le_bytes(self.take()?),
            means: self.list(Self::mean)?,
        })
    }

    /// Decodes a mean. The inner `None` stands for no mean.
    fn mean(&mut self) -> Option<Option<f32>> {
        let mean = f32::from_le_bytes(self.take()?);
        Some((!mean.is_nan()).then_some(mean))
    }

    fn list<T>(&mut self, item: impl Fn(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let count = self.length()?;
        (0..count).map(|_| item(self)).collect()
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = self.length()?;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        std::str::from_utf8(text).ok()
    }

    fn length(&mut self) -> Option<usize> {
        let mut length = 0;
        for place in 0..4 {
            let [byte] = self.take()?;
            length |= usize::from(byte & 0x7f) << (7 * place);
            if byte < 0x80 {
                return Some(length);
            }
        }
        None
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }
}
