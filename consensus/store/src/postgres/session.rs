use std::{
    future::Future,
    time::{Duration, Instant},
};

use async_std::future::timeout;
use sqlx::{ConnectOptions as _, Connection as _, PgConnection, Row as _};

use super::{backoff::Backoff, failure::Trouble, migrate::migrate, sql, url::PostgresUrl};
use crate::StoreError;

/// How long a server that cannot be reached is tried when a guardian starts. Whoever supervises it tries on.
const OPEN_PATIENCE: Duration = Duration::from_secs(10);

/// How long a lost connection is tried anew: the server may have to recover from a crash, or another take its place. After it
/// the guardian stops.
const RECONNECT_PATIENCE: Duration = Duration::from_secs(300);

/// How long one attempt to connect may take.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);

/// How long one load or save may take. After it the connection counts as lost: a network may swallow all without a word.
const ANSWER_PATIENCE: Duration = Duration::from_secs(60);

/// How long somebody else's lock is waited for: the session of a process that was killed takes a moment to end.
const LOCK_PATIENCE: Duration = Duration::from_secs(3);

/// How often one load or save may lose its connection. After it the guardian stops: it may be what ends the server.
pub(super) const MAX_ATTEMPTS: u32 = 5;

/// A session as the server knows it. Process ids come back, with another time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Backend {
    process: i32,
    began_us: i64,
}

/// The one who reads and writes, on one connection that holds the lock: who has lost the one has lost the other.
#[derive(Debug)]
pub(super) struct Session {
    url: PostgresUrl,
    database: String,
    /// Absent when it is lost, or whoever used it has given up halfway.
    connection: Option<PgConnection>,
    /// Ours that may still hold the lock: the last, and those that were lost since. As many as there were attempts.
    backends: Vec<Backend>,
    /// 0 before the first.
    pub(super) term: i64,
    pub(super) saves: i64,
    /// Whether one more save than these may have been made.
    pub(super) in_doubt: bool,
}

impl Session {
    /// Takes the lock, brings the layout up to date, and begins a new term.
    pub(super) async fn open(url: PostgresUrl) -> Result<Self, StoreError> {
        let database = url.to_string();
        let mut session = Self {
            url,
            database,
            connection: None,
            backends: Vec::new(),
            term: 0,
            saves: 0,
            in_doubt: false,
        };
        let connection = session.establish(OPEN_PATIENCE).await?;
        session.connection = Some(connection);
        Ok(session)
    }

    /// The connection, for one load or save; to be given back. A lost one is replaced first, and what was in doubt is settled.
    pub(super) async fn take(&mut self) -> Result<PgConnection, StoreError> {
        match self.connection.take() {
            Some(connection) => Ok(connection),
            None => self.establish(RECONNECT_PATIENCE).await,
        }
    }

    pub(super) fn give_back(&mut self, connection: PgConnection) {
        self.connection = Some(connection);
    }

    /// Lets go of the lock and the connection.
    pub(super) async fn close(mut self) -> Result<(), StoreError> {
        let Some(mut connection) = self.connection.take() else {
            return Ok(());
        };
        let close = async {
            sqlx::query(sql::UNLOCK).execute(&mut connection).await?;
            Ok(connection.close().await?)
        };
        match patiently(close).await {
            // Gone is as good as closed.
            Ok(()) | Err(Trouble::Lost(_)) => Ok(()),
            Err(trouble) => Err(trouble.into_error(&self.database, 0)),
        }
    }

    /// The error that ends the guardian.
    pub(super) fn error(&self, trouble: Trouble, since: Instant) -> StoreError {
        trouble.into_error(&self.database, since.elapsed().as_secs())
    }

    async fn establish(&mut self, patience: Duration) -> Result<PgConnection, StoreError> {
        let began = Instant::now();
        let mut backoff = Backoff::new();
        loop {
            match self.attempt().await {
                Ok(connection) => return Ok(connection),
                Err(Trouble::Lost(detail)) if began.elapsed() < patience => {
                    tracing::warn!(database = %self.database, detail, "the database does not answer; trying again");
                    backoff.pause().await;
                }
                Err(trouble) => return Err(self.error(trouble, began)),
            }
        }
    }

    async fn attempt(&mut self) -> Result<PgConnection, Trouble> {
        let options = self.url.options();
        let mut connection = match timeout(CONNECT_PATIENCE, options.connect()).await {
            Ok(connected) => connected?,
            Err(_) => return Err(Trouble::Lost("it does not answer".to_owned())),
        };
        patiently(self.prepare(&mut connection)).await?;
        patiently(self.lock(&mut connection)).await?;
        if self.term == 0 {
            // As long as it takes.
            migrate(&mut connection, &self.database).await?;
        }
        patiently(self.begin(&mut connection)).await?;
        // With the lock, this is the only one.
        let current = self.backends.len().saturating_sub(1);
        self.backends.drain(..current);
        Ok(connection)
    }

    async fn prepare(&mut self, connection: &mut PgConnection) -> Result<(), Trouble> {
        let prepared = sqlx::query(sql::PREPARE).fetch_one(connection).await?;
        self.backends.push(Backend {
            process: prepared.try_get(0)?,
            began_us: prepared.try_get(1)?,
        });
        let is_durable: bool = prepared.try_get(2)?;
        if !is_durable {
            let database = self.database.clone();
            return Err(Trouble::Lasting(StoreError::NotDurable { database }));
        }
        Ok(())
    }

    async fn begin(&mut self, connection: &mut PgConnection) -> Result<(), Trouble> {
        if self.term == 0 {
            (self.term, self.saves) = sqlx::query_as(sql::BEGIN_TERM)
                .fetch_one(connection)
                .await?;
            return Ok(());
        }
        let found = sqlx::query_as(sql::READ_TERM)
            .fetch_optional(connection)
            .await?;
        self.resume(found)?;
        tracing::info!(database = %self.database, "the database answers again");
        Ok(())
    }

    /// ⚠ With the lock in hand, no earlier session of ours lives any more: what it was sent is made or never will be.
    async fn lock(&self, connection: &mut PgConnection) -> Result<(), Trouble> {
        let began = Instant::now();
        let mut backoff = Backoff::new();
        loop {
            let is_taken = sqlx::query_scalar(sql::TRY_LOCK)
                .fetch_one(&mut *connection)
                .await?;
            if is_taken {
                return Ok(());
            }
            let holder: Option<Holder> = sqlx::query_as(sql::HOLDER)
                .fetch_optional(&mut *connection)
                .await?;
            let Some((process, began_us, program, address)) = holder else {
                // It was let go of just now.
                backoff.pause().await;
                continue;
            };
            let is_ours = began_us
                .is_some_and(|began_us| self.backends.contains(&Backend { process, began_us }));
            if is_ours {
                // The network broke, and the server has not noticed.
                sqlx::query(sql::TERMINATE)
                    .bind(process)
                    .bind(began_us)
                    .execute(&mut *connection)
                    .await?;
            }
            if began.elapsed() >= LOCK_PATIENCE {
                return Err(match is_ours {
                    true => Trouble::Lost("an earlier session still ends".to_owned()),
                    false => self.in_use(process, program, address),
                });
            }
            backoff.pause().await;
        }
    }

    fn in_use(&self, session: i32, program: Option<String>, address: Option<String>) -> Trouble {
        let holder = match (program, address) {
            (Some(program), Some(address)) => format!(" ({program} at {address})"),
            (Some(program), None) => format!(" ({program} on the server's own host)"),
            (None, _) => " (of another user)".to_owned(),
        };
        Trouble::Lasting(StoreError::InUse {
            database: self.database.clone(),
            session,
            holder,
        })
    }

    /// Goes on where the lost connection was, if the database is still there.
    fn resume(&mut self, found: Option<(i64, i64)>) -> Result<(), Trouble> {
        let detail = match found {
            Some((term, saves)) if term == self.term => {
                let arrived = saves - self.saves;
                if arrived == 0 || (arrived == 1 && self.in_doubt) {
                    self.saves = saves;
                    self.in_doubt = false;
                    return Ok(());
                }
                format!("it has made {saves} saves, not {}", self.saves)
            }
            Some((term, _)) => format!("it is in term {term}, not {}", self.term),
            None => "it is empty".to_owned(),
        };
        Err(self.replaced(detail))
    }

    /// The database is another one, or somebody else's.
    pub(super) fn replaced(&self, detail: String) -> Trouble {
        Trouble::Lasting(StoreError::Replaced {
            database: self.database.clone(),
            detail,
        })
    }
}

type Holder = (i32, Option<i64>, Option<String>, Option<String>);

/// Does something that a server may never answer.
pub(super) async fn patiently<T>(
    work: impl Future<Output = Result<T, Trouble>>,
) -> Result<T, Trouble> {
    match timeout(ANSWER_PATIENCE, work).await {
        Ok(done) => done,
        Err(_) => {
            let seconds = ANSWER_PATIENCE.as_secs();
            Err(Trouble::Lost(format!("no answer in {seconds} s")))
        }
    }
}
