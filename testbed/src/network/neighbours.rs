//! More federations on the network's chain.

use super::{Network, NetworkError};
use crate::{
    cache::Cache,
    federation::{deal, Federation, Guardian, Neighbour},
    ports::Ports,
    programs::Programs,
};

impl Network {
    /// Adds a federation with keys from the dealer, and waits until it is ready. It is in a folder of its own, and the numbers of its
    /// guardians follow those that there are.
    pub fn add_federation(
        &mut self,
        guardians: usize,
        programs: &Programs,
        cache: &Cache,
    ) -> Result<Federation, NetworkError> {
        let state = self.state()?;
        let (Some(bitcoind), Some(electrs)) = (&state.bitcoind, &state.electrs) else {
            return Err(NetworkError::NoChain);
        };
        let name = format!("federation-{}", state.neighbours.len() + 1);
        let (folder, first) = (self.directory.join(name), state.all_guardians().count());
        let mut ports = Ports::new(cache);
        let plan = |index| {
            let guardian = Guardian::plan(&folder, &programs.guardian, index, &mut ports);
            guardian.map(|guardian| guardian.numbered(first + index))
        };
        let guardians = (0..guardians).map(plan).collect::<Result<Vec<_>, _>>()?;
        let tip = bitcoind.rpc.tip()?;
        let federation = deal(&folder, programs, &guardians, electrs, tip, &self.stop)?;
        let neighbour = Neighbour {
            guardians: guardians.clone(),
            federation: federation.clone(),
        };
        self.note(|state| state.neighbours.push(neighbour))?;
        self.start(guardians.iter().map(|guardian| &guardian.spec))?;
        Ok(federation)
    }
}
