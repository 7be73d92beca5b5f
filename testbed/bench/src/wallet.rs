//! A wallet under test: the client library as an application would use it.

use std::{fs, io::Read, path::Path};

use anyhow::{bail, ensure, Context, Result};
use guildmint_client::{Client, Command, MasterSeed, NotesString, OperationId, Phase, Reply};
use guildmint_client_http::{join, Disk, Driver};
use guildmint_client_store::{Store, StoreError};
use guildmint_core::{ledger::Changes, Amount, InviteCode};

/// The millisatoshi that one reissue moves: 127 times 1,024 has seven bits, so it is seven notes.
const REISSUED_MSAT: u64 = 127 * 1_024;
/// What is not taken is never taken back.
const NEVER_MS: u64 = 1_000_000_000_000;

/// A wallet with its own disk and connections.
pub struct Wallet {
    driver: Driver<StoreDisk>,
}

struct StoreDisk(Store);

impl Disk for StoreDisk {
    type Error = StoreError;

    async fn save(&mut self, changes: &Changes) -> Result<(), StoreError> {
        self.0.save(changes).await
    }
}

impl Wallet {
    /// A new wallet in a folder of its own.
    pub async fn join(folder: &Path, invite: &InviteCode) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let (mut store, mut rows) = Store::open(folder).await?;
        let changes = guildmint_client::join(&join(invite).await?);
        store.save(&changes).await?;
        rows.apply(changes);
        let client = Client::load(rows, &MasterSeed::new(random()?), random()?)?;
        Ok(Self {
            driver: Driver::new(client, StoreDisk(store), None),
        })
    }

    /// Takes notes that somebody handed over.
    pub async fn receive(&mut self, notes: NotesString) -> Result<()> {
        self.operate(Command::Receive { notes }).await.map(|_| ())
    }

    /// Hands seven notes to itself and takes them: one reissue. Returns how many notes went in.
    pub async fn reissue(&mut self) -> Result<usize> {
        let notes = self.seven_notes().await?;
        let many = notes.notes().len();
        self.receive(notes).await?;
        Ok(many)
    }

    /// Notes worth what one reissue moves. If the wallet has them there is no transaction.
    async fn seven_notes(&mut self) -> Result<NotesString> {
        let command = Command::Send {
            amount: Amount::from_msat(REISSUED_MSAT)?,
            reclaim_after_ms: NEVER_MS,
        };
        let operation = self.start(command).await?;
        let text = |client: &Client| {
            let view = client.operation(operation).ok()?;
            Some(view.details.get("notes")?.as_str()?.to_owned())
        };
        self.driver
            .until(None, |client| text(client).is_some())
            .await?;
        Ok(text(self.driver.client()).context("notes")?.parse()?)
    }

    async fn start(&mut self, command: Command) -> Result<OperationId> {
        match self.driver.command(command).await? {
            Reply::Started { operation } => Ok(operation),
            other => bail!("no operation but {other:?}"),
        }
    }

    async fn operate(&mut self, command: Command) -> Result<OperationId> {
        let operation = self.start(command).await?;
        let phase = |client: &Client| client.operation(operation).map(|view| view.phase);
        let ended = |client: &Client| !matches!(phase(client), Ok(Phase::Pending));
        self.driver.until(None, ended).await?;
        ensure!(
            matches!(phase(self.driver.client()), Ok(Phase::Done)),
            "{operation} failed"
        );
        Ok(operation)
    }
}

fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}
