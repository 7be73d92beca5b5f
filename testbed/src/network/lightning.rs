//! Lightning nodes on the network's chain.

use std::path::Path;

use super::{Network, NetworkError};
use crate::{cache::Cache, electrum::Electrum, ports::Ports};

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
}
