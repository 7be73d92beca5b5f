//! Where this guardian says that it is, and where the others were at first (SPEC NET-4).

use std::collections::BTreeMap;

use guildmint_core::{PeerId, Place};

use crate::config::Config;

impl Config {
    /// Where the others were when the file of the federation was written.
    pub(crate) fn p2p_addresses(&self) -> BTreeMap<PeerId, Vec<String>> {
        let guardians = self.federation.guardians.iter();
        let addresses = guardians.map(|guardian| guardian.p2p.clone());
        (0..).map(PeerId).zip(addresses).collect()
    }

    /// Where this guardian says that it is: what its settings say, else the file of the federation.
    pub(crate) fn place(&self) -> Place {
        let entry = self.federation.guardians.get(usize::from(self.me.0));
        let (p2p, api) = entry.map_or_else(Default::default, |entry| {
            (entry.p2p.clone(), entry.api.clone())
        });
        Place {
            p2p: self.settings.p2p_address.clone().unwrap_or(p2p),
            api: self.settings.api_url.clone().unwrap_or(api),
        }
    }
}
