use std::io::ErrorKind;

use crate::StoreError;

/// What went wrong in a session, and so what helps.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The connection is lost, or the server cannot be reached now: connecting again may help.
    Lost(String),
    /// A statement failed and changed nothing; the session goes on.
    Failed(sqlx::Error),
    /// Nothing helps but what the error says.
    Lasting(StoreError),
}

impl Trouble {
    /// The error that this is in the end.
    pub(super) fn into_error(self, database: &str, seconds: u64) -> StoreError {
        match self {
            Self::Lost(detail) => StoreError::Unreachable {
                database: database.to_owned(),
                seconds,
                detail,
            },
            Self::Failed(error) => failure(database.to_owned(), &error),
            Self::Lasting(error) => error,
        }
    }
}

impl From<sqlx::Error> for Trouble {
    fn from(error: sqlx::Error) -> Self {
        if is_lost(&error) {
            Self::Lost(error.to_string())
        } else {
            Self::Failed(error)
        }
    }
}

fn code(error: &sqlx::Error) -> Option<String> {
    Some(error.as_database_error()?.code()?.into_owned())
}

/// Whether the session is over, by the codes in Postgres's appendix A, or there never was one.
fn is_lost(error: &sqlx::Error) -> bool {
    match code(error).as_deref() {
        // The server stops, crashed, starts, throws out idle sessions, or has no room for one more.
        Some("57P01" | "57P02" | "57P03" | "57P05" | "25P03" | "53300") => true,
        Some(code) => code.starts_with("08"),
        // What cannot be understood ends a session too: nobody knows what the next answer would belong to.
        None => {
            matches!(
                error,
                sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_)
            ) && !is_untrusted(error)
        }
    }
}

/// Whether the server's certificate is not what was asked for, as rustls says it. Trying again does not help.
fn is_untrusted(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Io(error) if error.kind() == ErrorKind::InvalidData)
}

/// Says what a failure means to an operator.
fn failure(database: String, error: &sqlx::Error) -> StoreError {
    let detail = error.to_string();
    if is_untrusted(error) {
        return StoreError::Untrusted { database, detail };
    }
    match code(error).as_deref() {
        Some("53100") => StoreError::Full { database, detail },
        Some("58030") => StoreError::Device { database, detail },
        Some("XX001" | "XX002") => StoreError::Corrupt { database, detail },
        // A read-only transaction, a database or schema that is not there, a right that is lacking, and who one is.
        Some("25006" | "3D000" | "3F000" | "42501" | "28000" | "28P01") => {
            StoreError::Refused { database, detail }
        }
        _ => StoreError::Database { database, detail },
    }
}
