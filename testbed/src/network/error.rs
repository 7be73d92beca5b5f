//! Why a network could not be started or stopped.

use std::{io, path::PathBuf};

use thiserror::Error;

use crate::{
    electrum::ElectrumError, faucet::FaucetError, federation::FederationError, ports::PortsError,
    postgres::PostgresError, process::ProcessError, programs::ProgramsError, rpc::RpcError,
    servers::ServersError, state::StateError,
};

/// Why a network could not be started or stopped.
#[derive(Debug, Error)]
pub enum NetworkError {
    /// One runs already.
    #[error("a test network runs in {} ({}): stop it with `cargo testbed down --dir {}`", .directory.display(), .names.join(", "), .directory.display())]
    Running {
        /// Its directory.
        directory: PathBuf,
        /// What runs.
        names: Vec<String>,
    },
    /// The directory holds something else.
    #[error("{} is not empty and no testbed's: name another directory with --dir", .0.display())]
    NotOurs(PathBuf),
    /// The network there is of another size.
    #[error("the test network in {} has {has} guardians, not {wanted}: delete it with `cargo testbed down --delete`", .directory.display())]
    OtherSize {
        /// Its directory.
        directory: PathBuf,
        /// How many guardians it has.
        has: usize,
        /// How many were asked for.
        wanted: usize,
    },
    /// There is no server of that name.
    #[error("there is no {name:?} in this network: it has {}", .known.join(", "))]
    NoSuchServer {
        /// The name given.
        name: String,
        /// The names there are.
        known: Vec<String>,
    },
    /// A server that was to be started runs.
    #[error("{0} runs already")]
    RunsAlready(String),
    /// A file or folder could not be made.
    #[error("{}: {error}", .path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// bitcoind and electrs are not to be had.
    #[error(transparent)]
    Servers(#[from] ServersError),
    /// Guildmint's own programs are not to be had.
    #[error(transparent)]
    Programs(#[from] ProgramsError),
    /// Guildmint's own programs were not given, but guardians are wanted.
    #[error("guardians are wanted, but not their program")]
    NoPrograms,
    /// There is no database server.
    #[error(transparent)]
    Postgres(#[from] PostgresError),
    /// There are too few free ports.
    #[error(transparent)]
    Ports(#[from] PortsError),
    /// There is no Electrum.
    #[error(transparent)]
    Electrum(#[from] ElectrumError),
    /// The network has no chain to put a server on.
    #[error("the network has no chain")]
    NoChain,
    /// A server does not start or end.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// The network's file cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// The chain does not do its part.
    #[error(transparent)]
    Rpc(#[from] RpcError),
    /// The faucet does not do its part.
    #[error(transparent)]
    Faucet(#[from] FaucetError),
    /// There is no federation.
    #[error(transparent)]
    Federation(#[from] FederationError),
}
