//! Federations for simulation, dealt in memory.

use std::{collections::BTreeMap, sync::Arc};

use bitcoin::Network;
use guildmint_core::{
    module::Registry, GenesisConfig, GuardianKeys, IdentityKey, ModuleConfig, ModuleId, PeerId,
    Quorum, SessionId, Tagged, Wire,
};
use guildmint_engine::{deal_coin, Coin, Federation};
use guildmint_kit::play::{self, Nothing, PlayConfig, PlayMoney};

use crate::net::Faults;

/// What kind of world to make.
#[derive(Debug, Clone)]
pub struct Setup {
    /// How many guardians.
    pub guardians: u16,
    /// What goes wrong.
    pub faults: Faults,
    /// Parameters of the play money.
    pub play: PlayConfig,
}

impl Setup {
    /// A world in which nothing goes wrong.
    #[must_use]
    pub fn guardians(guardians: u16) -> Self {
        Self {
            guardians,
            faults: Faults::default(),
            play: PlayConfig::default(),
        }
    }

    /// The same world with a planted bug: an amount above this makes the federation insolvent.
    #[must_use]
    pub fn insolvent_above(mut self, msat: u64) -> Self {
        self.play.insolvent_above_msat = msat;
        self
    }

    /// The same world with faults.
    #[must_use]
    pub fn with(mut self, faults: Faults) -> Self {
        self.faults = faults;
        self
    }
}

/// What one guardian starts with.
pub(crate) struct Dealt {
    pub(crate) federation: Arc<Federation>,
    pub(crate) coin: Coin,
    pub(crate) identity: IdentityKey,
}

/// Deals a federation with play money. The keys depend on the number of guardians alone, so that worlds are cheap to make.
#[allow(clippy::expect_used)]
pub(crate) fn deal(guardians: u16, play: &PlayConfig) -> Vec<Dealt> {
    let quorum = Quorum::new(guardians).expect("a size that federations have");
    let seed = |n: u16| {
        Tagged::new("guildmint/sim/identity")
            .add(n.to_le_bytes())
            .finish()
    };
    let mut identities: Vec<IdentityKey> = (0..guardians)
        .map(|n| IdentityKey::from_seed(&seed(n)))
        .collect();
    identities.sort_by_key(IdentityKey::public);
    let mut rng = <rand06::rngs::StdRng as rand06::SeedableRng>::seed_from_u64(guardians.into());
    let keys = deal_coin(quorum, &mut rng);
    let genesis = GenesisConfig {
        name: "simulated".into(),
        session: SessionId(Tagged::new("guildmint/sim/session").finish()),
        network: Network::Regtest,
        guardians: identities
            .iter()
            .enumerate()
            .map(|(n, identity)| GuardianKeys {
                name: format!("guardian-{n}"),
                identity: identity.public(),
            })
            .collect(),
        coin: keys.public.clone(),
        epoch_floor_ms: 50,
        modules: BTreeMap::from([(
            play::MODULE,
            ModuleConfig {
                kind: "play".into(),
                config: play.encode(),
            },
        )]),
    };
    let registry = Registry::default().with::<PlayMoney>();
    let secrets: BTreeMap<ModuleId, Vec<u8>> = [(play::MODULE, Nothing.encode())].into();
    quorum
        .peers()
        .zip(identities)
        .map(|(me, identity)| Dealt {
            federation: Arc::new(
                Federation::new(genesis.clone(), me, &registry, &secrets).expect("consistent"),
            ),
            coin: coin(quorum, me, &keys),
            identity,
        })
        .collect()
}

#[allow(clippy::expect_used)]
fn coin(quorum: Quorum, me: PeerId, keys: &guildmint_engine::CoinKeys) -> Coin {
    let secret = &keys.secrets[usize::from(me.0)];
    Coin::new(quorum, me, &keys.public, secret).expect("dealt for this guardian")
}
