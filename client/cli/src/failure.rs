//! What went wrong, as programs and people are told.

use std::{fmt::Display, process::ExitCode};

use guildmint_client::{ClientError, LoadError, OperationId};
use guildmint_client_http::{DriverError, JoinError};
use guildmint_client_store::{words::WordsError, LockError, StoreError};
use serde_json::{json, Map, Value as Json};

/// The exit status, by kind of failure; the table is in the help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Exit {
    Failed = 1,
    Usage = 2,
    Credentials = 3,
    NotFound = 4,
    Confirmation = 5,
    Network = 6,
    Refused = 7,
    Pending = 8,
    Interrupted = 130,
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
    code: String,
    message: String,
    retryable: bool,
    remediation: Option<String>,
    details: Map<String, Json>,
}

impl Failure {
    pub fn new(exit: Exit, code: &str, message: impl Display) -> Self {
        Self {
            exit,
            code: code.to_owned(),
            message: message.to_string(),
            retryable: matches!(exit, Exit::Network | Exit::Pending | Exit::Interrupted),
            remediation: None,
            details: Map::new(),
        }
    }

    /// Says what to do about it.
    pub fn remedy(mut self, remediation: impl Display) -> Self {
        self.remediation = Some(remediation.to_string());
        self
    }

    /// Says what to do about it, if nothing better is known.
    pub fn or_remedy(self, remediation: impl Display) -> Self {
        match self.remediation {
            Some(_) => self,
            None => self.remedy(remediation),
        }
    }

    /// Adds a fact.
    pub fn detail(mut self, name: &str, value: impl Into<Json>) -> Self {
        self.details.insert(name.to_owned(), value.into());
        self
    }

    /// The document for programs.
    pub fn document(&self) -> Json {
        json!({ "error": {
            "code": self.code,
            "message": self.message,
            "retryable": self.retryable,
            "remediation": self.remediation,
            "details": self.details,
        }})
    }

    /// The line for people.
    pub fn line(&self) -> String {
        let message = self.message.replace('\n', " ");
        match &self.remediation {
            Some(remediation) => format!("guildmint: {message} ({remediation})"),
            None => format!("guildmint: {message}"),
        }
    }

    /// An operation that is under way but was not done in time.
    pub fn pending(operation: OperationId, state: &str, obstacle: Option<&ClientError>) -> Self {
        let why = obstacle.map_or_else(String::new, |error| format!(": {error}"));
        let message = format!("{operation} is still {state}{why}");
        let failure = Self::new(Exit::Pending, "pending", message)
            .remedy(format!("`guildmint operations resume {operation}` goes on; so does any command that asks guardians"))
            .detail("operation", operation.to_string())
            .detail("state", state);
        match obstacle {
            Some(error) => failure.detail("obstacle", error.code()),
            None => failure,
        }
    }

    pub fn interrupted() -> Self {
        Self::new(Exit::Interrupted, "interrupted", "interrupted").remedy(
            "nothing is lost; `guildmint operations list` shows what is pending, \
             and `guildmint operations resume` goes on with it",
        )
    }

    pub fn not_joined() -> Self {
        Self::new(Exit::NotFound, "not_joined", LoadError::NotJoined)
            .remedy("`guildmint join <invite code>` joins one")
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let exit = match &error {
            ClientError::TooFewGuardians { .. }
            | ClientError::NoGateway(_)
            | ClientError::GatewayTrouble(_) => Exit::Network,
            ClientError::Rejected { code, .. } if code == "no_gateway" => Exit::Network,
            ClientError::Rejected { code, .. } if code == "too_few_guardians" => Exit::Network,
            ClientError::Rejected { .. }
            | ClientError::Gateway(_)
            | ClientError::FeeTooHigh { .. }
            | ClientError::OtherFederation { .. }
            | ClientError::InvalidNotes(_) => Exit::Refused,
            ClientError::NoSuchOperation(_) => Exit::NotFound,
            ClientError::Address(_)
            | ClientError::NotWholeSatoshi(_)
            | ClientError::Invoice(_)
            | ClientError::Description(_)
            | ClientError::OfferText(_)
            | ClientError::Expiry(_)
            | ClientError::WrongOperation { .. } => Exit::Usage,
            _ => Exit::Failed,
        };
        let details = error.details().into_iter();
        Self {
            retryable: error.retryable(),
            remediation: error.remediation().map(str::to_owned),
            details: details
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
            ..Self::new(exit, &error.code(), &error)
        }
    }
}

impl From<DriverError<StoreError>> for Failure {
    fn from(error: DriverError<StoreError>) -> Self {
        match error {
            DriverError::Disk(error) => error.into(),
            DriverError::Interrupted => Self::interrupted(),
            DriverError::Client(error) => error.into(),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let code = match &error {
            StoreError::Lock(LockError::Busy(_)) => "wallet_busy",
            StoreError::Lock(LockError::Unwritable { .. }) => "data_dir_unwritable",
            StoreError::Newer { .. } => "newer_layout",
            StoreError::Database { .. } => "storage_failed",
        };
        let failure = Self::new(Exit::Failed, code, &error);
        match code {
            "wallet_busy" => Self {
                retryable: true,
                ..failure
            },
            "data_dir_unwritable" => failure.remedy("choose another directory with --data-dir"),
            "storage_failed" => failure.remedy("check the disk; what was saved before is safe"),
            _ => failure,
        }
    }
}

impl From<WordsError> for Failure {
    fn from(error: WordsError) -> Self {
        let (exit, code) = match &error {
            WordsError::Absent(_) => (Exit::NotFound, "no_wallet"),
            WordsError::Present(_) => (Exit::Failed, "wallet_exists"),
            WordsError::NotWords(_) => (Exit::Credentials, "invalid_words"),
            WordsError::Randomness(_) => (Exit::Failed, "no_randomness"),
            WordsError::File { .. } => (Exit::Failed, "data_dir_unwritable"),
        };
        Self::new(exit, code, error)
    }
}

impl From<LoadError> for Failure {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::NotJoined => Self::not_joined(),
            LoadError::Federation(error) => error.into(),
            LoadError::Damaged(_) => Self::new(Exit::Failed, "wallet_damaged", error),
        }
    }
}

impl From<JoinError> for Failure {
    fn from(error: JoinError) -> Self {
        match &error {
            JoinError::NobodyAnswered(_) => Self::new(Exit::Network, "too_few_guardians", &error)
                .remedy("check the network connection and try again"),
            JoinError::Answers(guildmint_client::JoinError::TooFewAddresses { .. }) => {
                Self::new(Exit::Network, "too_few_guardians", &error)
            }
            JoinError::Answers(_) => Self::new(Exit::Refused, "wrong_config", &error)
                .remedy("ask for another invite code"),
        }
    }
}
