use std::{fmt, str::FromStr};

use sqlx::{postgres::PgConnectOptions, ConnectOptions as _};
use thiserror::Error;

/// The parameters that a URL may have, as libpq names them.
const PARAMETERS: &[&str] = &[
    "application_name",
    "dbname",
    "host",
    "hostaddr",
    "options",
    "password",
    "port",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "user",
];

/// Where a database is and who asks: `postgres://user@host:port/database`, as libpq reads it. What the URL leaves out comes from
/// the variables `PGHOST`, `PGPORT`, `PGUSER`, `PGDATABASE` and `PGPASSWORD`, and from `.pgpass`.
///
/// ⚠ It may hold a password, which it never shows.
#[derive(Clone)]
pub struct PostgresUrl {
    text: String,
    options: PgConnectOptions,
}

/// Why text is no URL of a database. It does not repeat the text, which may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PostgresUrlError {
    /// Another scheme, or none.
    #[error("it does not begin with postgres://")]
    Scheme,
    /// A parameter that is not understood. Some are misspelt passwords.
    #[error("it has an unknown parameter; these are known: {}", PARAMETERS.join(", "))]
    Parameter,
    /// Not a URL, or a part of it is not what it should be.
    #[error("it cannot be read; write it like postgres://user@host:5432/database, with %3A for a colon inside a part, and so on")]
    Syntax,
}

impl PostgresUrl {
    /// How to connect.
    pub(super) fn options(&self) -> PgConnectOptions {
        let options = self.options.clone().disable_statement_logging();
        match options.get_application_name() {
            Some(_) => options,
            None => options.application_name(env!("CARGO_PKG_NAME")),
        }
    }
}

impl FromStr for PostgresUrl {
    type Err = PostgresUrlError;

    fn from_str(text: &str) -> Result<Self, PostgresUrlError> {
        let schemes = ["postgres://", "postgresql://"];
        if !schemes.iter().any(|scheme| text.starts_with(scheme)) {
            return Err(PostgresUrlError::Scheme);
        }
        // Checked here, because sqlx would log it with its value.
        let parameters = text
            .split_once('?')
            .map_or("", |(_, parameters)| parameters);
        let names = parameters
            .split('&')
            .filter(|parameter| !parameter.is_empty())
            .filter_map(|parameter| parameter.split('=').next());
        for name in names {
            if !PARAMETERS.contains(&name) {
                return Err(PostgresUrlError::Parameter);
            }
        }
        Ok(Self {
            text: text.to_owned(),
            options: text.parse().map_err(|_| PostgresUrlError::Syntax)?,
        })
    }
}

impl PartialEq for PostgresUrl {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for PostgresUrl {}

/// Who is asked for what, without the password.
impl fmt::Display for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let options = &self.options;
        let (user, port) = (options.get_username(), options.get_port());
        let database = options.get_database().unwrap_or(user);
        match options.get_socket() {
            Some(socket) => write!(
                f,
                "postgres://{user}@{}:{port}/{database}",
                socket.display()
            ),
            None => write!(
                f,
                "postgres://{user}@{}:{port}/{database}",
                options.get_host()
            ),
        }
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostgresUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_not_shown() {
        for text in [
            "postgres://mint:hunter2@db.example.org:5433/guild?sslmode=require",
            "postgresql://mint@db.example.org:5433/guild?password=hunter2",
        ] {
            let url: PostgresUrl = text.parse().unwrap();
            assert_eq!(url.to_string(), "postgres://mint@db.example.org:5433/guild");
            assert!(!format!("{url:?}").contains("hunter2"));
        }
    }

    #[test]
    fn a_socket_is_a_host() {
        let url: PostgresUrl = "postgres://mint@%2Frun%2Fpostgresql/guild?port=5433"
            .parse()
            .unwrap();
        assert_eq!(
            url.to_string(),
            "postgres://mint@/run/postgresql:5433/guild"
        );
    }

    #[test]
    fn errors_do_not_repeat_what_was_written() {
        for (text, expected) in [
            ("mysql://u:hunter2@h/d", PostgresUrlError::Scheme),
            (
                "postgres://u@h/d?pasword=hunter2",
                PostgresUrlError::Parameter,
            ),
            ("postgres://u@h/d?hunter2", PostgresUrlError::Parameter),
            ("postgres://u:hunter2@h:port/d", PostgresUrlError::Syntax),
            (
                "postgres://u:hunter2@h/d?sslmode=hunter2",
                PostgresUrlError::Syntax,
            ),
        ] {
            let error = text.parse::<PostgresUrl>().unwrap_err();
            assert_eq!(error, expected);
            assert!(!format!("{error} {error:?}").contains("hunter2"));
        }
    }
}
