//! What is written down about a test network, so that every terminal finds it again.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    bitcoind::Bitcoind,
    cache::{CacheError, Lock},
    electrs::Electrs,
    electrum::{self, Electrum},
    federation::{Federation, Guardian, Neighbour},
    gateway::Gateway,
    postgres::Postgres,
    process::{Identity, Spec},
    stop::{Stop, WaitError},
};

/// The file in a network's directory. It also marks the directory as one that a testbed may empty.
pub const FILE: &str = "testbed.json";
const FORMAT: u32 = 1;
/// Nobody holds the file's lock for longer than a moment.
const LOCK_LIMIT: Duration = Duration::from_secs(10);

/// One test network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The version of this file's layout.
    pub format: u32,
    /// The testbed that runs in the foreground for it.
    pub owner: Option<Identity>,
    /// The chain.
    pub bitcoind: Option<Bitcoind>,
    /// The chain's index.
    pub electrs: Option<Electrs>,
    /// The server that guardians have databases on, if any has.
    #[serde(default)]
    pub postgres: Option<Postgres>,
    /// The guardians, by number.
    pub guardians: Vec<Guardian>,
    /// Federations besides the first one.
    #[serde(default)]
    pub neighbours: Vec<Neighbour>,
    /// The Lightning node that is nobody's gateway, if there is one.
    #[serde(default)]
    pub electrum: Option<Electrum>,
    /// The gateways, by number.
    #[serde(default)]
    pub gateways: Vec<Gateway>,
    /// Whether gateways have money, channels and a federation.
    #[serde(default)]
    pub has_lightning: bool,
    /// What a user needs to join; nothing while the network is being made, or if it has no guardians.
    pub federation: Option<Federation>,
    /// Whether it was once completely ready.
    pub complete: bool,
    /// The processes started last, by name. Some may have ended.
    pub processes: BTreeMap<String, Identity>,
}

/// Why a network's file cannot be used.
#[derive(Debug, Error)]
pub enum StateError {
    /// There is none.
    #[error("there is no test network in {}: `cargo testbed up` starts one", .0.display())]
    Absent(PathBuf),
    /// It cannot be read or written.
    #[error("{}: {error}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// Another version of the testbed wrote it, or it is damaged.
    #[error("{} is not understood ({error}): stop its processes, delete the folder and begin anew", .path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: String,
    },
    /// Its lock cannot be taken.
    #[error(transparent)]
    Lock(#[from] CacheError),
    /// Another testbed holds the lock.
    #[error("another testbed is writing {}", .0.display())]
    Busy(PathBuf),
}

impl State {
    /// A network of which nothing exists yet.
    pub fn new(owner: Option<Identity>) -> Self {
        Self {
            format: FORMAT,
            owner,
            bitcoind: None,
            electrs: None,
            postgres: None,
            guardians: Vec::new(),
            neighbours: Vec::new(),
            electrum: None,
            gateways: Vec::new(),
            has_lightning: false,
            federation: None,
            complete: false,
            processes: BTreeMap::new(),
        }
    }

    /// Reads the network in `folder`.
    pub fn load(folder: &Path) -> Result<Self, StateError> {
        let path = folder.join(FILE);
        let text = match fs::read_to_string(&path) {
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                return Err(StateError::Absent(folder.into()))
            }
            other => other.map_err(|error| StateError::File {
                path: path.clone(),
                error,
            })?,
        };
        let malformed = |error: String| StateError::Malformed {
            path: path.clone(),
            error,
        };
        let state: Self =
            serde_json::from_str(&text).map_err(|error| malformed(error.to_string()))?;
        match state.format {
            FORMAT => Ok(state),
            other => Err(malformed(format!("format {other} instead of {FORMAT}"))),
        }
    }

    /// Writes it down; a reader sees either the former text or this one.
    pub fn save(&self, folder: &Path) -> Result<(), StateError> {
        let path = folder.join(FILE);
        let new = folder.join(format!("{FILE}.new"));
        let written = serde_json::to_vec_pretty(self)
            .map_err(io::Error::from)
            .and_then(|text| fs::write(&new, text))
            .and_then(|()| fs::rename(&new, &path));
        written.map_err(|error| StateError::File { path, error })
    }

    /// Reads, changes and writes it while no other testbed does.
    pub fn update(folder: &Path, change: impl FnOnce(&mut Self)) -> Result<Self, StateError> {
        let _lock = Self::lock(folder)?;
        let mut state = Self::load(folder)?;
        change(&mut state);
        state.save(folder)?;
        Ok(state)
    }

    fn lock(folder: &Path) -> Result<Lock, StateError> {
        let path = folder.join(format!("{FILE}.lock"));
        // What is being ended must still be written down: hence a flag that nobody sets.
        let taken = Stop::default().wait(LOCK_LIMIT, || Lock::try_take(&path));
        taken.map_err(|error| match error {
            WaitError::Failed(error) => StateError::Lock(error),
            WaitError::Interrupted | WaitError::TimedOut(_) => StateError::Busy(path.clone()),
        })
    }

    /// All servers in the order in which they start.
    pub fn specs(&self) -> impl DoubleEndedIterator<Item = &Spec> {
        let chain = self.bitcoind.iter().map(|server| &server.spec);
        let index = self.electrs.iter().map(|server| &server.spec);
        let database = self.postgres.iter().map(|server| &server.spec);
        let electrum = self.electrum.iter().map(|server| &server.spec);
        let gateways = self.gateways.iter().map(|gateway| &gateway.spec);
        chain
            .chain(index)
            .chain(database)
            .chain(self.all_guardians().map(|guardian| &guardian.spec))
            .chain(electrum)
            .chain(gateways)
    }

    /// The guardians of all federations, by number.
    pub fn all_guardians(&self) -> impl DoubleEndedIterator<Item = &Guardian> {
        let others = self.neighbours.iter();
        let others = others.flat_map(|federation| &federation.guardians);
        self.guardians.iter().chain(others)
    }

    /// The guardians of the federation to which a server belongs; of the first one, if it is no guardian.
    fn colleagues(&self, server: &Spec) -> &[Guardian] {
        let mut others = self.neighbours.iter();
        let is_of = |guardians: &[Guardian]| guardians.iter().any(|one| one.spec == *server);
        let own = others.find(|federation| is_of(&federation.guardians));
        own.map_or(&self.guardians, |federation| &federation.guardians)
    }

    /// The process of a server, if it runs.
    pub fn running(&self, name: &str) -> Option<Identity> {
        self.processes
            .get(name)
            .copied()
            .filter(Identity::is_running)
    }

    /// Whether a server does its work now.
    pub fn is_ready(&self, name: &str) -> bool {
        match (name, &self.bitcoind, &self.electrs) {
            ("bitcoind", Some(bitcoind), _) => bitcoind.is_ready(),
            ("electrs", Some(bitcoind), Some(electrs)) => {
                // Behind the chain it would answer, but wrongly.
                let tip = bitcoind.rpc.tip().map(|tip| tip.height);
                matches!((electrs.height(), tip), (Ok(indexed), Ok(height)) if indexed >= height)
            }
            (electrum::NAME, Some(bitcoind), _) => {
                let tip = bitcoind.rpc.tip().map(|tip| tip.height);
                let electrum = self.electrum.as_ref();
                electrum
                    .zip(tip.ok())
                    .is_some_and(|(electrum, height)| electrum.is_ready(height))
            }
            ("postgres", ..) => self.postgres.as_ref().is_some_and(Postgres::is_ready),
            _ => match self.gateway(name) {
                Some(gateway) => gateway.is_ready(),
                None => self.guardian(name).is_some_and(Guardian::is_ready),
            },
        }
    }

    /// The guardian of this name.
    pub fn guardian(&self, name: &str) -> Option<&Guardian> {
        let mut guardians = self.all_guardians();
        guardians.find(|guardian| guardian.spec.name == name)
    }

    /// Whether there are gateways that were never given what they need.
    pub fn lacks_lightning(&self) -> bool {
        !self.gateways.is_empty() && !self.has_lightning
    }

    /// The gateway of this name.
    pub fn gateway(&self, name: &str) -> Option<&Gateway> {
        let mut gateways = self.gateways.iter();
        gateways.find(|gateway| gateway.spec.name == name)
    }

    /// What must run before a guardian or a gateway can be ready, in words; nothing if all of it does.
    pub fn lacks(&self, server: &Spec) -> Option<String> {
        let missing = |name: &str| self.running(name).is_none();
        if let Some(server) = ["bitcoind", "electrs"].into_iter().find(|it| missing(it)) {
            return Some(server.to_owned());
        }
        let guardians = self.colleagues(server);
        let others = guardians.iter().map(|guardian| &guardian.spec);
        let others = others.filter(|other| *other != server);
        let down = others.filter(|other| missing(&other.name)).count();
        let tolerated = guardians.len().saturating_sub(1) / 3;
        match down.saturating_sub(tolerated) {
            0 => None,
            1 => Some("one more guardian".to_owned()),
            more => Some(format!("{more} more guardians")),
        }
    }

    /// The testbed in another process that looks after this network.
    pub fn other_owner(&self) -> Option<Identity> {
        self.owner
            .filter(|owner| owner.pid != std::process::id() && owner.is_running())
    }

    /// The names of the servers that run.
    pub fn running_names(&self) -> Vec<&str> {
        self.specs()
            .map(|spec| spec.name.as_str())
            .filter(|name| self.running(name).is_some())
            .collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{cache::Cache, ports::Ports};

    #[test]
    fn it_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(
            State::load(folder.path()),
            Err(StateError::Absent(_))
        ));
        let me = Identity::of(std::process::id()).unwrap();
        let state = State::new(Some(me));
        state.save(folder.path()).unwrap();
        assert_eq!(State::load(folder.path()).unwrap(), state);
        let changed = State::update(folder.path(), |state| {
            state.processes.insert("electrs".into(), me);
        });
        assert_eq!(State::load(folder.path()).unwrap(), changed.unwrap());
    }

    #[test]
    fn only_processes_that_still_run_count() {
        let me = Identity::of(std::process::id()).unwrap();
        let mut state = State::new(None);
        state.processes.insert("electrs".into(), me);
        state.processes.insert(
            "bitcoind".into(),
            Identity {
                started_ticks: 1,
                ..me
            },
        );
        assert_eq!(state.running("electrs"), Some(me));
        assert_eq!(state.running("bitcoind"), None);
        assert_eq!(state.running("guardian-0"), None);
    }

    #[test]
    fn a_guardian_needs_the_chain_and_a_quorum() {
        let me = Identity::of(std::process::id()).unwrap();
        let mut state = State::new(None);
        let mut ports = Ports::new(&Cache::at(tempfile::tempdir().unwrap().path()));
        for index in 0..4 {
            let guardian = Guardian::plan("".as_ref(), "".as_ref(), index, &mut ports);
            state.guardians.push(guardian.unwrap());
        }
        let mut lacking = Vec::new();
        for server in [
            "bitcoind",
            "electrs",
            "guardian-3",
            "guardian-1",
            "guardian-0",
        ] {
            lacking.push(state.lacks(&state.guardians[2].spec).unwrap_or_default());
            state.processes.insert(server.into(), me);
        }
        let expected = [
            "bitcoind",
            "electrs",
            "2 more guardians",
            "one more guardian",
            "",
        ];
        assert_eq!(lacking, expected);
        assert_eq!(state.lacks(&state.guardians[2].spec), None);
    }

    #[test]
    fn guardians_need_those_of_their_own_federation() {
        let me = Identity::of(std::process::id()).unwrap();
        let mut state = State::new(None);
        let mut ports = Ports::new(&Cache::at(tempfile::tempdir().unwrap().path()));
        let mut guardians = Vec::new();
        for index in 0..8 {
            let guardian = Guardian::plan("".as_ref(), "".as_ref(), index, &mut ports);
            guardians.push(guardian.unwrap());
        }
        state.neighbours = vec![Neighbour {
            guardians: guardians.split_off(4),
            federation: Federation {
                invite: "guild1…".into(),
                federation_id: "00".into(),
            },
        }];
        state.guardians = guardians;
        for server in ["bitcoind", "electrs", "guardian-0", "guardian-1"] {
            state.processes.insert(server.into(), me);
        }
        for (name, lacking) in [
            ("guardian-2", None),
            ("guardian-6", Some("2 more guardians".to_owned())),
        ] {
            let spec = &state.guardian(name).unwrap().spec;
            assert_eq!(state.lacks(spec), lacking, "{name}");
        }
        assert_eq!(state.specs().count(), 8);
    }

    #[test]
    fn damage_and_other_versions_are_told() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(FILE), "{").unwrap();
        assert!(matches!(
            State::load(folder.path()),
            Err(StateError::Malformed { .. })
        ));
        State {
            format: 99,
            ..State::new(None)
        }
        .save(folder.path())
        .unwrap();
        let error = State::load(folder.path()).unwrap_err().to_string();
        assert!(error.contains("format 99"), "{error}");
    }
}
