//! Arguments for directories that several commands use.

use std::path::PathBuf;

use clap::Args;

/// Where policies are, beside the built-in ones.
#[derive(Debug, Clone, Args)]
pub struct PoliciesDir {
    /// Directory of policies, NAME.wasm each [default: the built-in ones alone]
    #[arg(
        long,
        value_name = "DIR",
        env = "FLYBALL_POLICIES_DIR",
        hide_env_values = true
    )]
    pub policies_dir: Option<PathBuf>,
}

/// Environment variable with the daemon's private directory.
pub const STATE_DIR: &str = "FLYBALL_STATE_DIR";

/// What belongs to the daemon alone.
#[derive(Debug, Clone, Args)]
pub struct StateDir {
    /// Private directory for compiled code and the last good version of each
    /// policy [default: flyball in $XDG_STATE_HOME or ~/.local/state]
    #[arg(
        long,
        value_name = "DIR",
        env = STATE_DIR,
        hide_env_values = true
    )]
    pub state_dir: Option<PathBuf>,
}
