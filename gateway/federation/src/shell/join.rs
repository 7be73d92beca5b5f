//! Joining a federation by its invite code.

use bitcoin::Network;
use guildmint_client::{Client, LoadError, MasterSeed};
use guildmint_core::{ledger::Memory, FederationId, InviteCode};
use guildmint_gateway::Keys;
use thiserror::Error;

use crate::{Carrier, CarrierError, Disk, DiskError, Federation};

/// Why a federation cannot be joined.
#[derive(Debug, Error)]
pub enum JoinError {
    /// Its guardians give no config that is the invite's.
    #[error(transparent)]
    Invite(#[from] guildmint_client_http::JoinError),
    /// It is of no use to a wallet.
    #[error(transparent)]
    Wallet(#[from] LoadError),
    /// It is of no use to a gateway.
    #[error(transparent)]
    Federation(#[from] CarrierError),
    /// It cannot be remembered.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

/// A federation that was joined.
#[derive(Debug, Clone, PartialEq)]
pub struct Joined {
    /// Its name for programs.
    pub federation: FederationId,
    /// Its name for people. Hostile text.
    pub name: String,
    /// The bitcoin network.
    pub network: Network,
    /// What was saved: with it, the client is started.
    pub rows: Memory,
}

impl Federation {
    /// Joins a federation: asks the guardians of an invite for its config, checks that it is the invite's and that a gateway can do something
    /// there, and saves it.
    ///
    /// # Errors
    /// If it is not, or cannot be saved.
    pub async fn join<D: Disk>(
        invite: &InviteCode,
        seed: &MasterSeed,
        mut disk: D,
    ) -> Result<Joined, JoinError> {
        let membership = guildmint_client_http::join(invite).await?;
        let changes = guildmint_client::join(&membership);
        let mut rows = Memory::default();
        rows.apply(changes.clone());
        let client = Client::load(rows.clone(), seed, [0; 32])?;
        let genesis = client.genesis();
        let joined = Joined {
            federation: genesis.id(),
            name: genesis.name.clone(),
            network: genesis.network,
            rows,
        };
        // Whether there is Lightning does not depend on keys.
        Carrier::new(client, Keys::new(&[0; 64]))?;
        disk.save(changes).await?;
        Ok(joined)
    }
}
