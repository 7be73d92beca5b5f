//! What went wrong, as programs and people are told.

use std::{fmt::Display, process::ExitCode};

use serde_json::{json, Value as Json};

/// The exit status, by kind of failure; the table is in the help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Failed = 1,
    Usage = 2,
    Credentials = 3,
    NotFound = 4,
    Network = 6,
    Refused = 7,
    Pending = 8,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// A command that did not do what it was asked.
#[derive(Debug)]
pub struct Failure {
    pub exit: Exit,
    pub code: String,
    pub message: String,
    pub retryable: bool,
}

impl Failure {
    pub fn new(exit: Exit, code: &str, message: impl Display) -> Self {
        Self {
            exit,
            code: code.to_owned(),
            message: message.to_string(),
            retryable: matches!(exit, Exit::Network | Exit::Pending),
        }
    }

    /// What the gateway says: a problem (RFC 9457).
    pub fn problem(status: u16, problem: &Json) -> Self {
        let text = |name: &str| problem[name].as_str().filter(|text| !text.is_empty());
        let exit = match status {
            401 | 403 => Exit::Credentials,
            404 => Exit::NotFound,
            400 | 413 => Exit::Usage,
            409 | 422 => Exit::Refused,
            _ => Exit::Failed,
        };
        let silent = format!("the gateway answers {status}");
        Self {
            retryable: problem["retryable"] == true,
            ..Self::new(
                exit,
                text("code").unwrap_or("failed"),
                text("detail").unwrap_or(&silent),
            )
        }
    }

    /// ⚠ Nobody has said whether it was done: a program that says it again may pay a second time.
    pub fn unknown(self, look: &str) -> Self {
        Self {
            code: "unknown_outcome".to_owned(),
            message: format!(
                "{}. It may have been done all the same: look at `{look}` before you say it again",
                self.message
            ),
            retryable: false,
            ..self
        }
    }

    /// Whether what a gateway says leaves open what it has done.
    pub fn is_open(&self, status: u16) -> bool {
        let open = ["timed_out", "internal", "stopping", "failed"];
        status >= 500 && open.contains(&self.code.as_str())
    }

    /// The document for programs.
    pub fn document(&self) -> Json {
        json!({ "error": {
            "code": self.code,
            "message": self.message,
            "retryable": self.retryable,
        }})
    }

    /// The line for people.
    pub fn line(&self) -> String {
        let message = self.message.replace('\n', " ");
        format!("guildmint-gateway-cli: {message}")
    }
}
