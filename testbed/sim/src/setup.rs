//! Federations for simulation, dealt in memory.

use std::{collections::BTreeMap, sync::Arc};

use bitcoin::Network;
use guildmint_core::{
    module::Registry, GenesisConfig, GuardianKeys, IdentityKey, ModuleConfig, ModuleId, PeerId,
    Quorum, SessionId, Tagged, Wire,
};
use guildmint_engine::{deal_coin, Coin, Federation};
use guildmint_kit::{
    chain::FakeChain,
    play::{self, Nothing, PlayConfig, PlayMoney, PlayRules},
};
use guildmint_ln::{Ln, LnTerms};
use guildmint_mint::{Denomination, Mint};
use guildmint_wallet::{server::Wallet, Block};
use rand::SeedableRng;
use rand_chacha::ChaCha12Rng;

use crate::{net::Faults, outside::WALLET};

/// The number that simulated federations give to the mint.
const MINT: ModuleId = ModuleId(0);
/// The same for the Lightning module.
const LN: ModuleId = ModuleId(2);

/// What kind of world to make.
#[derive(Debug, Clone)]
pub struct Setup {
    /// How many guardians.
    pub guardians: u16,
    /// What goes wrong.
    pub faults: Faults,
    /// Parameters of the play money.
    pub play: PlayConfig,
    /// Whether there are mint, wallet and Lightning besides play money.
    pub money: bool,
    /// How many blocks must follow one that guardians agree on.
    pub finality_blocks: u32,
}

impl Setup {
    /// A world with play money in which nothing goes wrong.
    #[must_use]
    pub fn guardians(guardians: u16) -> Self {
        Self {
            guardians,
            faults: Faults::default(),
            play: PlayConfig::default(),
            money: false,
            finality_blocks: 1,
        }
    }

    /// The same world with mint, wallet and a bitcoin network.
    #[must_use]
    pub fn with_money(mut self) -> Self {
        self.money = true;
        self
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

/// The rules of a federation of play money as software with its second version knows them.
#[allow(clippy::expect_used)]
pub(crate) fn upgraded(setup: &Setup, chain: &FakeChain, me: PeerId) -> Arc<Federation> {
    assert!(!setup.money, "mint and wallet are dealt once");
    let quorum = Quorum::new(setup.guardians).expect("a size that federations have");
    let genesis = deal(setup, chain)
        .swap_remove(0)
        .federation
        .genesis()
        .clone();
    let secrets = &Modules::deal(setup, quorum, chain).secrets[usize::from(me.0)];
    let registry = Registry::default().with::<PlayRules<2>>();
    Arc::new(Federation::new(genesis, me, &registry, secrets).expect("consistent"))
}

/// Deals a federation. The keys depend on the number of guardians alone.
#[allow(clippy::expect_used)]
pub(crate) fn deal(setup: &Setup, chain: &FakeChain) -> Vec<Dealt> {
    let quorum = Quorum::new(setup.guardians).expect("a size that federations have");
    let identities = identities(setup.guardians);
    let mut rng = <rand06::rngs::StdRng as rand06::SeedableRng>::seed_from_u64(1);
    let keys = deal_coin(quorum, &mut rng);
    let modules = Modules::deal(setup, quorum, chain);
    let genesis = GenesisConfig {
        name: "simulated".into(),
        session: SessionId(Tagged::new("guildmint/sim/session").finish()),
        network: Network::Regtest,
        guardians: guardian_keys(&identities),
        coin: keys.public.clone(),
        epoch_floor_ms: 50,
        modules: modules.configs,
    };
    let registry = Registry::default()
        .with::<PlayMoney>()
        .with::<Ln>()
        .with::<Mint>()
        .with::<Wallet>();
    let federation = |me: PeerId| {
        let secrets = &modules.secrets[usize::from(me.0)];
        Federation::new(genesis.clone(), me, &registry, secrets).expect("consistent")
    };
    let coin = |me: PeerId| {
        let secret = &keys.secrets[usize::from(me.0)];
        Coin::new(quorum, me, &keys.public, secret).expect("dealt for this guardian")
    };
    quorum
        .peers()
        .zip(identities)
        .map(|(me, identity)| Dealt {
            federation: Arc::new(federation(me)),
            coin: coin(me),
            identity,
        })
        .collect()
}

fn identities(guardians: u16) -> Vec<IdentityKey> {
    let seed = |n: u16| {
        Tagged::new("guildmint/sim/identity")
            .add(n.to_le_bytes())
            .finish()
    };
    let mut identities: Vec<IdentityKey> = (0..guardians)
        .map(|n| IdentityKey::from_seed(&seed(n)))
        .collect();
    identities.sort_by_key(IdentityKey::public);
    identities
}

fn guardian_keys(identities: &[IdentityKey]) -> Vec<GuardianKeys> {
    (0..)
        .zip(identities)
        .map(|(n, identity): (u16, _)| GuardianKeys {
            name: format!("guardian-{n}"),
            identity: identity.public(),
        })
        .collect()
}

/// Configs of modules, and each guardian's secrets.
struct Modules {
    configs: BTreeMap<ModuleId, ModuleConfig>,
    secrets: Vec<BTreeMap<ModuleId, Vec<u8>>>,
}

impl Modules {
    fn deal(setup: &Setup, quorum: Quorum, chain: &FakeChain) -> Self {
        let mut modules = Self {
            configs: BTreeMap::new(),
            secrets: vec![BTreeMap::new(); quorum.guardians()],
        };
        let nothing = vec![Nothing; quorum.guardians()];
        modules.add(play::MODULE, "play", &setup.play, &nothing);
        if setup.money {
            modules.add_money(setup, quorum, chain);
        }
        modules
    }

    #[allow(clippy::expect_used)]
    fn add_money(&mut self, setup: &Setup, quorum: Quorum, chain: &FakeChain) {
        let mut rng = ChaCha12Rng::seed_from_u64(1);
        let all = (0..=39).map(|k| Denomination::new(k).expect("one of the forty"));
        let (config, secrets) =
            guildmint_mint::dealer::deal(quorum, all, &mut rng).expect("good randomness");
        self.add(MINT, guildmint_mint::KIND, &config, &secrets);
        let height = chain.tip_height();
        let start = Block {
            height,
            hash: chain.hash(height).expect("the tip"),
        };
        let (mut config, secrets) =
            guildmint_wallet::dealer::deal(Network::Regtest, start, quorum, &mut rng);
        config.finality_blocks = setup.finality_blocks;
        self.add(WALLET, guildmint_wallet::KIND, &config, &secrets);
        let terms = LnTerms::default();
        let (config, secrets) =
            guildmint_ln::dealer::deal(quorum, terms, &mut rng).expect("good randomness");
        self.add(LN, guildmint_ln::KIND, &config, &secrets);
    }

    fn add(&mut self, id: ModuleId, kind: &str, config: &impl Wire, secrets: &[impl Wire]) {
        let module = ModuleConfig {
            kind: kind.to_owned(),
            config: config.encode(),
        };
        self.configs.insert(id, module);
        for (all, secret) in self.secrets.iter_mut().zip(secrets) {
            all.insert(id, secret.encode());
        }
    }
}
