//! Where a guardian keeps its rows.

use std::{fmt, sync::Arc};

use guildmint_core::ledger::{Key, Memory};
use guildmint_daemon::settings::texts::first_word;
use guildmint_engine::Federation;
use guildmint_store::{PostgresStore, PostgresUrl, SqliteStore, Store, StoreError};

use crate::{config::Config, readable::Readable};

/// The kind of database, and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Database {
    /// A file in the data directory.
    Sqlite,
    /// A PostgreSQL server.
    Postgres(Box<PostgresUrl>),
}

impl Database {
    /// Reads `sqlite`, or a URL that begins with `postgres://`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "sqlite" => Some(Self::Sqlite),
            url => Some(Self::Postgres(Box::new(url.parse().ok()?))),
        }
    }

    /// What people may see of the text of such a setting, right or wrong: no password.
    #[must_use]
    pub fn shown(text: &str) -> String {
        match Self::parse(text) {
            Some(Self::Sqlite) => text.to_owned(),
            Some(Self::Postgres(url)) => url.to_string(),
            None => first_word(text),
        }
    }
}

/// Without a password.
impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite => f.write_str("sqlite"),
            Self::Postgres(url) => url.fmt(f),
        }
    }
}

/// Opens the database, and loads the rows that are held in memory.
pub(crate) async fn open(
    config: &Config,
    federation: &Arc<Federation>,
) -> Result<(Arc<dyn Store>, Memory), StoreError> {
    let prefix = [Key::RESIDENT];
    match &config.settings.database {
        Database::Sqlite => {
            let store = SqliteStore::open(&config.data_dir).await?;
            let resident = Memory(store.load_prefix(&prefix).await?);
            Ok((Arc::new(store), resident))
        }
        Database::Postgres(url) => {
            let store = PostgresStore::open(&config.data_dir, url).await?;
            let resident = Memory(store.load_prefix(&prefix).await?);
            let readable = Readable::new(Arc::clone(federation), &resident);
            Ok((Arc::new(store.with_projection(readable)), resident))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_not_shown() {
        for (text, shown) in [
            ("sqlite", "sqlite"),
            ("oracle", "oracle"),
            ("postgres://u:hunter2@h:1/d", "postgres://u@h:1/d"),
            ("postgres://u:hunter2@h:port/d", "postgres…"),
            ("mysql://u:hunter2@h/d", "mysql…"),
            ("host=h password=hunter2", "host…"),
            ("://hunter2", "…"),
        ] {
            assert_eq!(Database::shown(text), shown);
        }
    }
}
