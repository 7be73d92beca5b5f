//! A whole test network: chain, index and guardians, up and down.

mod error;
mod lightning;
mod neighbours;

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

pub use error::NetworkError;
pub use lightning::NodePrograms;

use crate::{
    bitcoind::Bitcoind,
    cache::Cache,
    electrs::Electrs,
    faucet::{Faucet, COINBASE_MATURITY},
    federation::{deal, Guardian},
    founding,
    ports::Ports,
    postgres::{Databases, Postgres},
    process::{Identity, Lifetime, ProcessError, Running, Spec},
    programs::{Build, Programs},
    progress::Progress,
    servers::Servers,
    state::{State, StateError},
    stop::{Stop, WaitError},
};

/// How many block rewards the faucet can spend at once in a new network.
const REWARDS: u64 = 20;
/// How long a server may take to become ready.
pub(crate) const READY_LIMIT: Duration = Duration::from_secs(90);
/// How long a server may take to end before it is killed.
pub const STOP_LIMIT: Duration = Duration::from_secs(30);
/// How often the network's file is looked at while a testbed watches it, in looks of the waiting loop.
const LOOK_EVERY: u32 = 20;

/// What network to start.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where everything about it is kept.
    pub directory: PathBuf,
    /// How many guardians; none gives bitcoind and electrs alone.
    pub guardians: usize,
    /// Where guardians keep their rows.
    pub databases: Databases,
    /// Where guardians have their keys from.
    pub keys: Keys,
    /// Whether it ends with the testbed.
    pub lifetime: Lifetime,
}

/// Where guardians have their keys from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keys {
    /// From a dealer, who knows them all for a moment. Quick.
    #[default]
    Dealt,
    /// Made by themselves, as in a real federation.
    Founded,
}

/// The programs that a network is made of.
#[derive(Clone, Debug)]
pub struct Tools {
    /// bitcoind and electrs.
    pub servers: Servers,
    /// Guildmint's own; not needed without guardians.
    pub programs: Option<Programs>,
}

impl Tools {
    /// Everything that a network with or without guardians takes, built if need be.
    pub fn find_or_build(
        cache: &Cache,
        guardians: usize,
        build: Build,
        stop: &Stop,
    ) -> Result<Self, NetworkError> {
        let servers = Servers::find_or_build(cache, stop)?;
        let programs = (guardians > 0)
            .then(|| Programs::build(cache, build, stop))
            .transpose()?;
        Ok(Self { servers, programs })
    }
}

/// A network that this process started. Unless it is [left](Self::leave) running, it ends with this value.
#[derive(Debug)]
pub struct Network {
    directory: PathBuf,
    lifetime: Lifetime,
    children: Vec<Running>,
    stop: Stop,
}

impl Network {
    /// Starts a network and waits until all of it is ready. On failure nothing is left running.
    ///
    /// If the directory holds a network that was stopped, the same one goes on.
    pub fn up(
        options: Options,
        cache: &Cache,
        tools: &Tools,
        stop: &Stop,
    ) -> Result<Self, NetworkError> {
        let Options {
            directory,
            guardians,
            databases,
            keys,
            lifetime,
        } = options;
        let earlier = claim(&directory, guardians)?;
        let owner = (lifetime == Lifetime::Tethered)
            .then(|| Identity::of(std::process::id()))
            .flatten();
        let mut network = Self {
            directory,
            lifetime,
            children: Vec::new(),
            stop: stop.clone(),
        };
        match earlier {
            Some(state) => network.resume(State { owner, ..state })?,
            None => network.create(
                State::new(owner),
                (guardians, databases, keys),
                cache,
                tools,
            )?,
        }
        network.note(|state| state.complete = true)?;
        Ok(network)
    }

    /// Its directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// What is written down about it.
    pub fn state(&self) -> Result<State, StateError> {
        State::load(&self.directory)
    }

    /// Its faucet.
    pub fn faucet(&self) -> Result<Faucet, NetworkError> {
        faucet(&self.state()?, &self.directory)
    }

    /// Tells of servers that end, until the testbed is asked to end or none is left.
    pub fn watch(&mut self) {
        let mut looks = 0;
        let directory = self.directory.clone();
        let children = &mut self.children;
        let ended: Result<(), WaitError<()>> = self.stop.wait(Duration::MAX, || {
            children.retain_mut(|child| match child.ended() {
                None => true,
                Some(status) => {
                    eprintln!(
                        "{} ended ({status}); `cargo testbed logs {}` shows why",
                        child.name(),
                        child.name()
                    );
                    false
                }
            });
            looks += 1;
            // Another terminal may have restarted what ended here.
            let gone =
                || State::load(&directory).map_or(true, |state| state.running_names().is_empty());
            Ok((children.is_empty() && looks % LOOK_EVERY == 0 && gone()).then_some(()))
        });
        if ended.is_ok() {
            eprintln!("nothing runs any more");
        }
    }

    /// Stops everything. The directory stays.
    pub fn down(mut self) -> Result<(), NetworkError> {
        let ended = stop_all(&self.directory);
        self.children.clear();
        ended.map(|_| ())
    }

    /// Leaves everything running.
    pub fn leave(mut self) {
        self.children.drain(..).for_each(Running::release);
    }

    fn create(
        &mut self,
        state: State,
        (guardians, databases, keys): (usize, Databases, Keys),
        cache: &Cache,
        tools: &Tools,
    ) -> Result<(), NetworkError> {
        state.save(&self.directory)?;
        let mut ports = Ports::new(cache);
        let bitcoind = Bitcoind::prepare(
            &self.directory,
            &tools.servers.bitcoind.path,
            ports.free()?,
            ports.free()?,
        );
        let bitcoind = bitcoind.map_err(|error| self.file_error(error))?;
        self.note(|state| state.bitcoind = Some(bitcoind.clone()))?;
        self.start([&bitcoind.spec])?;
        self.faucet()?.mine(COINBASE_MATURITY + REWARDS - 1)?;

        let program = &tools.servers.electrs.path;
        let electrs = Electrs::prepare(
            &self.directory,
            program,
            &bitcoind,
            ports.free()?,
            ports.free()?,
        );
        let electrs = electrs.map_err(|error| self.file_error(error))?;
        self.note(|state| state.electrs = Some(electrs.clone()))?;
        self.start([&electrs.spec])?;
        if guardians == 0 {
            return Ok(());
        }
        let programs = tools.programs.as_ref().ok_or(NetworkError::NoPrograms)?;
        let plan = |index| Guardian::plan(&self.directory, &programs.guardian, index, &mut ports);
        let mut guardians = (0..guardians).map(plan).collect::<Result<Vec<_>, _>>()?;
        if databases != Databases::Sqlite {
            self.give_databases(&mut guardians, databases)?;
        }
        if keys == Keys::Founded {
            return self.found(guardians, &electrs, programs);
        }
        let tip = bitcoind.rpc.tip()?;
        let federation = deal(
            &self.directory,
            programs,
            &guardians,
            &electrs,
            tip,
            &self.stop,
        )?;
        self.note(|state| {
            state.guardians = guardians.clone();
            state.federation = Some(federation);
        })?;
        self.start(guardians.iter().map(|guardian| &guardian.spec))
    }

    /// Starts guardians that belong to no federation, and has them found one.
    fn found(
        &mut self,
        guardians: Vec<Guardian>,
        electrs: &Electrs,
        programs: &Programs,
    ) -> Result<(), NetworkError> {
        let prepared = founding::prepare(&self.directory, &guardians, electrs);
        prepared.map_err(|error| self.file_error(error))?;
        self.note(|state| state.guardians.clone_from(&guardians))?;
        self.spawn(guardians.iter().map(|guardian| &guardian.spec))?;
        let progress = Progress::begin("founding the federation", None);
        let founded = founding::found(&self.directory, programs, &guardians, electrs, &self.stop);
        progress.end(if founded.is_ok() { "founded" } else { "failed" });
        let federation = founded?;
        self.note(|state| state.federation = Some(federation))?;
        self.wait_ready(self.children.len() - guardians.len())
    }

    /// A database for each guardian that is to have one on a server.
    fn give_databases(
        &mut self,
        guardians: &mut [Guardian],
        databases: Databases,
    ) -> Result<(), NetworkError> {
        let server = Postgres::prepare(&self.directory, &self.stop)?;
        self.note(|state| state.postgres = Some(server.clone()))?;
        self.start([&server.spec])?;
        for (index, guardian) in guardians.iter_mut().enumerate() {
            if databases.on_server(index) {
                let name = format!("guardian_{index}");
                server.create(&name, &self.stop)?;
                let arguments = &mut guardian.spec.args;
                arguments.extend(["--database".to_owned(), server.url(&name)]);
            }
        }
        Ok(())
    }

    fn resume(&mut self, state: State) -> Result<(), NetworkError> {
        state.save(&self.directory)?;
        let specs: Vec<&Spec> = state.specs().collect();
        let (chain, rest) = specs.split_at(1.min(specs.len()));
        self.start(chain.iter().copied())?;
        let (index, rest) = rest.split_at(1.min(rest.len()));
        self.start(index.iter().copied())?;
        let (database, guardians) = rest.split_at(usize::from(state.postgres.is_some()));
        self.start(database.iter().copied())?;
        self.start(guardians.iter().copied())
    }

    /// Starts servers together, then waits until all of them are ready.
    fn start<'a>(&mut self, specs: impl IntoIterator<Item = &'a Spec>) -> Result<(), NetworkError> {
        let first = self.children.len();
        self.spawn(specs)?;
        self.wait_ready(first)
    }

    fn spawn<'a>(&mut self, specs: impl IntoIterator<Item = &'a Spec>) -> Result<(), NetworkError> {
        for spec in specs {
            let child = spec.start(self.lifetime)?;
            let (name, identity) = (spec.name.clone(), child.identity());
            self.children.push(child);
            self.note(|state| {
                state.processes.insert(name, identity);
            })?;
        }
        Ok(())
    }

    /// Waits for all servers from one on.
    fn wait_ready(&mut self, first: usize) -> Result<(), NetworkError> {
        let state = self.state()?;
        self.children[first..]
            .iter_mut()
            .try_for_each(|child| Ok(wait_ready(child, &state, &self.stop)?))
    }

    fn note(&self, change: impl FnOnce(&mut State)) -> Result<(), StateError> {
        State::update(&self.directory, change).map(|_| ())
    }

    fn file_error(&self, error: io::Error) -> NetworkError {
        NetworkError::File {
            path: self.directory.clone(),
            error,
        }
    }
}

pub(crate) fn wait_ready(
    child: &mut Running,
    state: &State,
    stop: &Stop,
) -> Result<(), ProcessError> {
    let name = child.name().to_owned();
    let mut progress = Progress::begin(format!("starting {name}"), None);
    let ready = child.wait_ready(stop, READY_LIMIT, || {
        progress.tick(None);
        state.is_ready(&name)
    });
    progress.end(if ready.is_ok() { "ready" } else { "failed" });
    ready
}

/// Whether a network of this size may be started in `directory`; gives the stopped one that is there, if any. Looks
/// only, so that a refusal comes before a long build.
pub fn examine(directory: &Path, guardians: usize) -> Result<Option<State>, NetworkError> {
    match State::load(directory) {
        Ok(state) => {
            refuse_running(directory, &state)?;
            match state.guardians.len() {
                has if state.complete && has != guardians => Err(NetworkError::OtherSize {
                    directory: directory.into(),
                    has,
                    wanted: guardians,
                }),
                _ => Ok(Some(state)),
            }
        }
        Err(StateError::Absent(_)) if is_occupied(directory) => {
            Err(NetworkError::NotOurs(directory.into()))
        }
        Err(StateError::Absent(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn is_occupied(directory: &Path) -> bool {
    fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_some())
}

/// Makes the directory of a network; gives the stopped one that is there, if it can go on.
fn claim(directory: &Path, guardians: usize) -> Result<Option<State>, NetworkError> {
    let file = |error| NetworkError::File {
        path: directory.into(),
        error,
    };
    match examine(directory, guardians)? {
        Some(state) if state.complete && !state.lacks_lightning() => return Ok(Some(state)),
        // It was never ready: nothing in it is worth keeping.
        Some(_) => fs::remove_dir_all(directory).map_err(file)?,
        None => {}
    }
    fs::create_dir_all(directory).map_err(file)?;
    Ok(None)
}

fn refuse_running(directory: &Path, state: &State) -> Result<(), NetworkError> {
    let mut names: Vec<String> = state
        .running_names()
        .into_iter()
        .map(str::to_owned)
        .collect();
    names.extend(
        state
            .other_owner()
            .map(|owner| format!("testbed, process {}", owner.pid)),
    );
    match names.is_empty() {
        true => Ok(()),
        false => Err(NetworkError::Running {
            directory: directory.into(),
            names,
        }),
    }
}

/// The faucet of the network in `directory`.
pub fn faucet(state: &State, directory: &Path) -> Result<Faucet, NetworkError> {
    let bitcoind = state
        .bitcoind
        .as_ref()
        .ok_or_else(|| StateError::Absent(directory.into()))?;
    Ok(Faucet::new(bitcoind.rpc.clone())?)
}

/// Stops all servers of the network in `directory`, the last started first. Returns the names of those that ran.
pub fn stop_all(directory: &Path) -> Result<Vec<String>, NetworkError> {
    let state = State::load(directory)?;
    let mut stopped = Vec::new();
    for spec in state.specs().rev() {
        if let Some(process) = state.running(&spec.name) {
            process.terminate(STOP_LIMIT)?;
            stopped.push(spec.name.clone());
        }
    }
    Ok(stopped)
}

/// Ends the network in `directory`, also one that another testbed runs in the foreground.
pub fn down(directory: &Path) -> Result<Vec<String>, NetworkError> {
    let state = State::load(directory)?;
    let running: Vec<String> = state
        .running_names()
        .into_iter()
        .map(str::to_owned)
        .collect();
    if let Some(owner) = state.other_owner() {
        owner.ask(2 * STOP_LIMIT)?;
    }
    stop_all(directory)?;
    Ok(running)
}
