//! What test federations are founded with.

use std::collections::BTreeMap;

use bitcoin::Network;
use guildmint_core::{
    GenesisConfig, GuardianKeys, IdentityKey, ModuleConfig, ModuleId, PeerId, Quorum, SessionId,
    Tagged,
};

/// The guardians' identity keys in the guardians' order. They depend on the number of guardians alone.
#[must_use]
pub fn identities(quorum: Quorum) -> Vec<IdentityKey> {
    let identity = |peer: PeerId| {
        let seed = Tagged::new("guildmint/kit/identity").add(peer.0.to_le_bytes());
        IdentityKey::from_seed(&seed.finish())
    };
    let mut identities: Vec<_> = quorum.peers().map(identity).collect();
    identities.sort_by_key(IdentityKey::public);
    identities
}

/// A genesis config on regtest with the keys of [`identities`], and without a coin.
#[must_use]
pub fn genesis(quorum: Quorum, modules: BTreeMap<ModuleId, ModuleConfig>) -> GenesisConfig {
    let guardian = |(n, identity): (usize, IdentityKey)| GuardianKeys {
        name: format!("guardian-{n}"),
        identity: identity.public(),
    };
    let identities = identities(quorum).into_iter();
    GenesisConfig {
        name: "kit".into(),
        session: SessionId(Tagged::new("guildmint/kit/session").finish()),
        network: Network::Regtest,
        guardians: identities.enumerate().map(guardian).collect(),
        coin: Vec::new(),
        epoch_floor_ms: 50,
        modules,
    }
}
