//! Who may say what a setting is.

use std::fmt;

use serde::Serialize;

use crate::files::LOCAL_FILE;

/// Where a value came from, the strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The command line.
    Flag,
    /// An environment variable.
    Environment,
    /// `local.toml`.
    File,
    /// Nobody said otherwise.
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Flag => "the command line",
            Self::Environment => "the environment",
            Self::File => LOCAL_FILE,
            Self::Default => "the defaults",
        })
    }
}
