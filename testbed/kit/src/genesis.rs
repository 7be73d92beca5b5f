//! What test federations are founded with.

use std::collections::BTreeMap;

use bitcoin::Network;
use guildmint_core::{
    GenesisConfig, GuardianKeys, IdentityKey, ModuleConfig, ModuleId, PeerId, Quorum, SessionId,
    Tagged,
};

/// A genesis config on regtest, with keys that depend on the number of guardians alone and without a coin.
#[must_use]
pub fn genesis(quorum: Quorum, modules: BTreeMap<ModuleId, ModuleConfig>) -> GenesisConfig {
    let identity = |peer: PeerId| {
        let seed = Tagged::new("guildmint/kit/identity").add(peer.0.to_le_bytes());
        IdentityKey::from_seed(&seed.finish()).public()
    };
    let mut identities: Vec<_> = quorum.peers().map(identity).collect();
    identities.sort();
    let guardian = |(n, identity)| GuardianKeys {
        name: format!("guardian-{n}"),
        identity,
    };
    GenesisConfig {
        name: "kit".into(),
        session: SessionId(Tagged::new("guildmint/kit/session").finish()),
        network: Network::Regtest,
        guardians: identities.into_iter().enumerate().map(guardian).collect(),
        coin: Vec::new(),
        epoch_floor_ms: 50,
        modules,
    }
}
