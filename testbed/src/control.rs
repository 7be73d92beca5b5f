//! Single servers of a network: stopped, killed and started again, from any terminal.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::{
    federation::Guardian,
    gateway::Gateway,
    network::{wait_ready, NetworkError, READY_LIMIT, STOP_LIMIT},
    process::{Lifetime, ProcessError, Running},
    state::State,
    stop::Stop,
};

/// What to do with one server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// Ask it to end.
    Stop,
    /// End it as a power failure would.
    Kill,
    /// Start it again.
    Start,
}

/// Stops, kills or starts one server of the network in `directory`. What is started outlives this process.
pub fn control(
    directory: &Path,
    name: &str,
    order: Order,
    stop: &Stop,
) -> Result<(), NetworkError> {
    let state = State::load(directory)?;
    let known = || state.specs().map(|spec| spec.name.clone()).collect();
    let spec = state.specs().find(|spec| spec.name == name);
    let spec = spec.ok_or_else(|| NetworkError::NoSuchServer {
        name: name.into(),
        known: known(),
    })?;
    match (order, state.running(name)) {
        (Order::Start, Some(_)) => Err(NetworkError::RunsAlready(name.into())),
        (Order::Start, None) => {
            let mut child = spec.start(Lifetime::Detached)?;
            let identity = child.identity();
            let state = State::update(directory, |state| {
                state.processes.insert(name.into(), identity);
            })?;
            wait(&mut child, &state, stop)?;
            child.release();
            Ok(())
        }
        (Order::Stop, Some(process)) => Ok(process.terminate(STOP_LIMIT).map(|_| ())?),
        (Order::Kill, Some(process)) => Ok(process.kill().map(|_| ())?),
        (Order::Stop | Order::Kill, None) => Ok(()),
    }
}

/// Waits until a server is ready, or, for a guardian or gateway that cannot be, until it runs: whoever starts them one after the
/// other must be able to begin with one.
fn wait(child: &mut Running, state: &State, stop: &Stop) -> Result<(), ProcessError> {
    let name = child.name().to_owned();
    let guardian = state.guardian(&name);
    let gateway = state.gateway(&name);
    let spec = guardian.map(|guardian| &guardian.spec);
    let spec = spec.or(gateway.map(|gateway| &gateway.spec));
    let Some(lacking) = spec.and_then(|spec| state.lacks(spec)) else {
        return wait_ready(child, state, stop);
    };
    child.wait_ready(stop, READY_LIMIT, || {
        guardian.is_some_and(Guardian::is_alive) || gateway.is_some_and(Gateway::is_alive)
    })?;
    eprintln!("{name} runs; it cannot be ready without {lacking}");
    Ok(())
}
