//! Lightning nodes on the network's chain.

use std::path::{Path, PathBuf};

use super::{Network, NetworkError};
use crate::{
    cache::Cache,
    electrum::{self, Electrum},
    gateway::{Gateway, Kind},
    lightning::Lightning,
    packages,
    ports::Ports,
    programs::{Build, Programs, ProgramsError},
    stop::Stop,
};

/// The programs of Lightning nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodePrograms {
    /// Electrum.
    pub electrum: PathBuf,
    /// A gateway.
    pub gateway: PathBuf,
}

impl NodePrograms {
    /// Installed or built if need be.
    pub fn find_or_build(cache: &Cache, build: Build, stop: &Stop) -> Result<Self, NetworkError> {
        let electrum = match electrum::find() {
            Ok(program) => program,
            Err(electrum::ElectrumError::NotInstalled) => {
                let logs = cache.root().join("logs");
                cache.make(&logs).map_err(ProgramsError::from)?;
                packages::ensure(packages::ELECTRUM, &logs, stop).map_err(ProgramsError::from)?;
                electrum::find()?
            }
            Err(other) => return Err(other.into()),
        };
        Ok(Self {
            electrum: electrum.path,
            gateway: Programs::build_gateway(cache, build, stop)?,
        })
    }
}

impl Network {
    /// Adds an Electrum, unless there is one, and waits until it is ready.
    pub fn add_electrum(
        &mut self,
        program: &Path,
        cache: &Cache,
    ) -> Result<Electrum, NetworkError> {
        let state = self.state()?;
        if let Some(electrum) = state.electrum {
            return Ok(electrum);
        }
        let electrs = state.electrs.ok_or(NetworkError::NoChain)?;
        let mut ports = Ports::new(cache);
        let electrum = Electrum::prepare(&self.directory, program, &electrs, &mut ports)?;
        self.note(|state| state.electrum = Some(electrum.clone()))?;
        self.start([&electrum.spec])?;
        Ok(electrum)
    }

    /// Adds gateways of these kinds, unless they are there, and waits until they run.
    pub fn add_gateways(
        &mut self,
        kinds: &[Kind],
        program: &Path,
        cache: &Cache,
    ) -> Result<(), NetworkError> {
        let state = self.state()?;
        match state.gateways.len() {
            has if has == kinds.len() => return Ok(()),
            0 => {}
            has => {
                return Err(NetworkError::OtherGateways {
                    directory: self.directory.clone(),
                    has,
                    wanted: kinds.len(),
                })
            }
        }
        let electrs = state.electrs.ok_or(NetworkError::NoChain)?;
        let mut ports = Ports::new(cache);
        let prepare = |numbered: (usize, Kind)| {
            Gateway::prepare(&self.directory, program, numbered, &electrs, &mut ports)
        };
        let numbered = kinds.iter().copied().enumerate();
        let gateways = numbered.map(prepare).collect::<Result<Vec<_>, _>>()?;
        self.note(|state| state.gateways.clone_from(&gateways))?;
        self.start(gateways.iter().map(|gateway| &gateway.spec))
    }

    /// Adds Electrum and gateways, with money, channels and e-cash, unless they are there.
    pub fn add_lightning(
        &mut self,
        gateways: usize,
        programs: &NodePrograms,
        cache: &Cache,
    ) -> Result<Lightning, NetworkError> {
        self.add_electrum(&programs.electrum, cache)?;
        self.add_gateways(&vec![Kind::Ldk; gateways], &programs.gateway, cache)?;
        let lightning = Lightning::of(&self.directory, &self.stop)?;
        if !self.state()?.has_lightning {
            lightning.establish()?;
            self.note(|state| state.has_lightning = true)?;
        }
        Ok(lightning)
    }
}
