//! A wallet opened from its directory.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use guildmint_client::{Client, Command, MasterSeed, OperationId, Phase, Reply, View};
use guildmint_client_http::{ChainSource, Disk, Driver, DriverError, Electrum, Waited};
use guildmint_client_store::{words, Store, StoreError};
use guildmint_core::ledger::{Changes, Memory};
use zeroize::Zeroizing;

use crate::{
    arguments::Arguments,
    failure::{Exit, Failure},
    progress::Progress,
    signals::Signals,
};

/// The store as the driver wants it.
pub struct StoreDisk(Store);

impl Disk for StoreDisk {
    type Error = StoreError;

    async fn save(&mut self, changes: &Changes) -> Result<(), StoreError> {
        self.0.save(changes).await
    }
}

/// Where the wallet is kept.
pub fn directory(arguments: &Arguments) -> Result<PathBuf, Failure> {
    if let Some(directory) = &arguments.data_dir {
        return Ok(directory.clone());
    }
    let home = std::env::var_os("HOME").filter(|home| !home.is_empty());
    let home = home.ok_or_else(|| {
        Failure::new(Exit::Usage, "no_data_dir", "there is no home directory")
            .remedy("say where the wallet is with --data-dir")
    })?;
    Ok(Path::new(&home).join(".guildmint"))
}

/// Opens the rows of a wallet that exists. Nothing is created by asking for a wallet that does not.
pub async fn open_store(directory: &Path) -> Result<(Store, Memory, MasterSeed), Failure> {
    let words = words::read(directory)?;
    let seed = Zeroizing::new(words.to_seed_normalized(""));
    let (store, rows) = Store::open(directory).await?;
    Ok((store, rows, MasterSeed::new(*seed)))
}

/// The wallet without network: to look at.
pub async fn look(arguments: &Arguments) -> Result<Client, Failure> {
    let (_store, rows, seed) = open_store(&directory(arguments)?).await?;
    Ok(Client::load(rows, &seed, random()?)?)
}

/// The wallet with everything: what is pending goes on.
pub struct Wallet {
    driver: Driver<StoreDisk>,
    /// Servers that are asked about the chain.
    electrum: Vec<String>,
}

/// How long guardians may take to tell what has changed about the federation. Then the wallet goes by what it knew.
const TELLING: Duration = Duration::from_secs(10);

impl Wallet {
    pub async fn open(arguments: &Arguments, signals: &Signals) -> Result<Self, Failure> {
        let (store, rows, seed) = open_store(&directory(arguments)?).await?;
        let client = Client::load(rows, &seed, random()?)?;
        let electrum = match arguments.electrum.as_slice() {
            [] => named(&client),
            chosen => chosen.to_vec(),
        };
        let chain = chain(&electrum)?;
        let driver = Driver::new(client, StoreDisk(store), chain);
        signals.tell(driver.interrupter());
        Ok(Self { driver, electrum })
    }

    /// Asks guardians what has changed about the federation, for a while.
    pub async fn refresh(&mut self) -> Result<(), Failure> {
        let what = "asking guardians what has changed";
        self.command(what, Command::Refresh).await?;
        self.catch_up().await
    }

    /// Waits until guardians have told what has changed, if they are being asked, but not for long.
    pub async fn catch_up(&mut self) -> Result<(), Failure> {
        let what = "asking guardians what has changed";
        self.until(what, Some(TELLING), Client::is_up_to_date)
            .await?;
        Ok(())
    }

    /// Sees to it that there are Electrum servers: if the user names none and the wallet knows none, guardians are asked whether they have agreed
    /// on some since.
    pub async fn need_electrum(&mut self, arguments: &Arguments, why: &str) -> Result<(), Failure> {
        if self.electrum.is_empty() && !self.find_electrum(arguments).await? {
            return Err(Failure::new(Exit::Usage, "no_electrum_server", why)
                .remedy("name one with --electrum or GUILDMINT_ELECTRUM"));
        }
        Ok(())
    }

    /// Asks guardians for the Electrum servers that count now, unless the user names some; whether these are others than before.
    pub async fn find_electrum(&mut self, arguments: &Arguments) -> Result<bool, Failure> {
        if !arguments.electrum.is_empty() {
            return Ok(false);
        }
        self.refresh().await?;
        let electrum = named(self.client());
        let found = chain(&electrum)?.filter(|_| electrum != self.electrum);
        let is_new = found.is_some();
        if let Some(chain) = found {
            self.driver.use_chain(chain);
            self.electrum = electrum;
        }
        Ok(is_new)
    }

    pub fn client(&self) -> &Client {
        self.driver.client()
    }

    pub async fn command(&mut self, what: &str, command: Command) -> Result<Reply, Failure> {
        let _progress = Progress::begin(what);
        Ok(self.driver.command(command).await?)
    }

    /// Gives a command that starts an operation.
    pub async fn start(&mut self, what: &str, command: Command) -> Result<OperationId, Failure> {
        match self.command(what, command).await? {
            Reply::Started { operation } | Reply::AlreadyStarted { operation, .. } => Ok(operation),
            other => Err(Failure::new(
                Exit::Failed,
                "unexpected",
                format!("the wallet answered {other:?}"),
            )),
        }
    }

    /// Waits until an operation has ended; fails as it fails.
    pub async fn end(
        &mut self,
        operation: OperationId,
        patience: Option<Duration>,
    ) -> Result<View, Failure> {
        let view = self.wait(operation, patience).await?;
        match view.phase {
            Phase::Done => Ok(view),
            Phase::Pending => {
                let obstacle = self.client().obstacle(operation);
                Err(Failure::pending(operation, view.state, obstacle.as_ref()))
            }
            Phase::Failed => Err(failed(&view)),
        }
    }

    /// Waits until an operation has ended or time is up.
    pub async fn wait(
        &mut self,
        operation: OperationId,
        patience: Option<Duration>,
    ) -> Result<View, Failure> {
        let deadline = patience.map(|patience| Instant::now() + patience);
        let progress = Progress::begin(operation.to_string());
        let ended = |client: &Client| match client.operation(operation) {
            Ok(view) => {
                progress.say(format!(
                    "{} {operation}: {}{}",
                    view.kind,
                    view.state.replace('_', " "),
                    how_far(&view)
                ));
                view.phase != Phase::Pending
            }
            Err(_) => true,
        };
        let waited = self.driver.until(deadline, ended).await;
        if let Err(DriverError::Interrupted) = waited {
            return Err(Failure::interrupted().detail("operation", operation.to_string()));
        }
        waited?;
        Ok(self.client().operation(operation)?)
    }

    /// Waits until all of this is true of the wallet; false if time is up before.
    pub async fn until(
        &mut self,
        what: &str,
        patience: Option<Duration>,
        done: impl FnMut(&Client) -> bool,
    ) -> Result<bool, Failure> {
        let deadline = patience.map(|patience| Instant::now() + patience);
        let _progress = Progress::begin(what);
        Ok(self.driver.until(deadline, done).await? == Waited::Done)
    }

    /// Ends in order, so that the wallet is one file again.
    pub async fn close(self) -> Result<(), Failure> {
        Ok(self.driver.into_disk().0.close().await?)
    }
}

/// Electrum servers that the federation names. What is no address of one is left out: it must not keep its users from all else.
fn named(client: &Client) -> Vec<String> {
    let urls = client.electrum().iter();
    urls.filter(|url| Electrum::new(&[url]).is_ok())
        .cloned()
        .collect()
}

/// Electrum servers to ask, if there are any.
fn chain(urls: &[String]) -> Result<Option<Arc<dyn ChainSource>>, Failure> {
    if urls.is_empty() {
        return Ok(None);
    }
    let electrum = Electrum::new(urls)
        .map_err(|error| Failure::new(Exit::Usage, "invalid_electrum_url", error))?;
    Ok(Some(Arc::new(electrum)))
}

/// How much of what it does now an operation has done, where it counts that.
fn how_far(view: &View) -> String {
    let number = |name| view.details.get("progress")?.get(name)?.as_u64();
    match (number("done"), number("total")) {
        (Some(done), Some(total)) => format!(" {done} of {total}"),
        _ => String::new(),
    }
}

/// What the guardians said about an operation that failed.
fn failed(view: &View) -> Failure {
    let problem = view.details.get("problem");
    let problem = problem.or_else(|| view.details.get("deposits")?.get(0)?.get("problem"));
    let text = |name: &str| problem.and_then(|problem| problem.get(name)?.as_str());
    let code = text("code").unwrap_or("failed").to_owned();
    let message = text("message").unwrap_or(view.state).to_owned();
    let retryable = problem.and_then(|problem| problem.get("retryable")?.as_bool());
    let retryable = retryable.unwrap_or(false);
    let error = guildmint_client::ClientError::Rejected {
        code,
        message,
        retryable,
    };
    let operation = view.operation;
    let failure = Failure::from(error).detail("operation", operation.to_string());
    failure.or_remedy(format!("`guildmint operations show {operation}` has all that is known of it, and `guildmint balance` what can be spent"))
}

fn random() -> Result<[u8; 32], Failure> {
    let mut random = [0; 32];
    getrandom::getrandom(&mut random)
        .map_err(|error| Failure::new(Exit::Failed, "no_randomness", error))?;
    Ok(random)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn whoever_is_told_of_a_failure_is_told_where_to_look() {
        let problem = json!({ "code": "odd", "message": "it is odd", "retryable": false });
        let view = View {
            operation: OperationId(7),
            kind: "withdraw",
            state: "failed",
            phase: Phase::Failed,
            created_ms: 0,
            details: [("problem".to_owned(), problem)].into_iter().collect(),
        };
        let document = failed(&view).document();
        let remediation = document["error"]["remediation"].as_str();
        assert!(
            remediation.is_some_and(|text| text.contains("op-7")),
            "{document}"
        );
    }
}
