//! The federation that targets run against, and valid encodings of everything in it. All of it follows from fixed seeds.

// Only tests and examples run this, on fixed values.
#![allow(clippy::unwrap_used)]

mod core;
mod engine;
pub mod ln;
mod modules;
mod story;

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

use bitcoin::Network;
use guildmint_core::{
    ledger::{Ledger, Memory, Scope, Space},
    module::{At, DynModule, Registry},
    Amount, Epoch, GenesisConfig, IdentityKey, ModuleConfig, ModuleId, PeerId, Quorum, Wire,
};
use guildmint_engine::{deal_coin, Coin, Federation, Node};
use guildmint_kit::{
    chain::FakeChain,
    play::{self, Nothing, PlayConfig, PlayMoney},
    sequencer::Secrets,
};
use guildmint_mint::{Denomination, Mint, MintConfig};
use guildmint_wallet::{server::Wallet, Block, Vote, WalletConfig};
use rand_chacha::{rand_core::SeedableRng, ChaCha20Rng};

/// The number of the mint.
pub const MINT: ModuleId = ModuleId(0);
/// The number of the wallet.
pub const WALLET: ModuleId = ModuleId(1);

/// Valid encodings, by the name of the target that reads them.
pub type Seeds = BTreeMap<&'static str, Vec<Vec<u8>>>;

/// Valid encodings for every target.
#[must_use]
pub fn all() -> Seeds {
    let story = story::tell();
    let mut seeds = core::seeds(&story);
    seeds.extend(engine::seeds(&story));
    seeds.extend(modules::seeds(&story));
    seeds.extend(ln::seeds());
    seeds
}

struct Dealt {
    genesis: GenesisConfig,
    secrets: Vec<Secrets>,
    mint: MintConfig,
    wallet: WalletConfig,
    coins: Vec<Coin>,
    federation: Arc<Federation>,
}

/// The numbers of the federation.
#[must_use]
pub fn quorum() -> Quorum {
    Quorum::new(4).unwrap()
}

fn dealt() -> &'static Dealt {
    static DEALT: OnceLock<Dealt> = OnceLock::new();
    DEALT.get_or_init(deal)
}

fn registry() -> Registry {
    Registry::default()
        .with::<PlayMoney>()
        .with::<Mint>()
        .with::<Wallet>()
}

/// The chain when the federation was founded.
fn founding() -> (FakeChain, Block) {
    let chain = FakeChain::new();
    let height = chain.tip_height();
    let hash = chain.hash(height).unwrap();
    (chain, Block { height, hash })
}

fn deal() -> Dealt {
    let rng = &mut ChaCha20Rng::seed_from_u64(1);
    let denominations = [3, 4].map(|exponent| Denomination::new(exponent).unwrap());
    let (mut mint, mints) = guildmint_mint::dealer::deal(quorum(), denominations, rng).unwrap();
    mint.input_fee = Amount::from_msat(1).unwrap();
    let network = Network::Regtest;
    let (wallet, wallets) = guildmint_wallet::dealer::deal(network, founding().1, quorum(), rng);
    let play = PlayConfig {
        may_owe: true,
        ..PlayConfig::default()
    };
    let module = |kind: &str, config: Vec<u8>| ModuleConfig {
        kind: kind.into(),
        config,
    };
    let modules = BTreeMap::from([
        (MINT, module("mint", mint.encode())),
        (WALLET, module("wallet", wallet.encode())),
        (play::MODULE, module("play", play.encode())),
    ]);
    let secrets: Vec<Secrets> = mints
        .iter()
        .zip(&wallets)
        .map(|(mint, wallet)| {
            let play = (play::MODULE, Nothing.encode());
            [(MINT, mint.encode()), (WALLET, wallet.encode()), play].into()
        })
        .collect();
    let mut genesis = guildmint_kit::genesis(quorum(), modules);
    let mut rng06 = <rand06::rngs::StdRng as rand06::SeedableRng>::seed_from_u64(1);
    let keys = deal_coin(quorum(), &mut rng06);
    genesis.coin.clone_from(&keys.public);
    let coin = |me: PeerId| {
        let secret = &keys.secrets[usize::from(me.0)];
        Coin::new(quorum(), me, &keys.public, secret).unwrap()
    };
    let federation = Federation::new(genesis.clone(), PeerId(0), &registry(), &secrets[0]);
    Dealt {
        coins: quorum().peers().map(coin).collect(),
        federation: Arc::new(federation.unwrap()),
        genesis,
        secrets,
        mint,
        wallet,
    }
}

/// The federation's config.
#[must_use]
pub fn genesis() -> GenesisConfig {
    dealt().genesis.clone()
}

/// Its rules, as the first guardian applies them.
#[must_use]
pub fn federation() -> &'static Federation {
    &dealt().federation
}

/// A guardian's share of the coin.
#[must_use]
pub fn coin(peer: PeerId) -> Coin {
    dealt().coins[usize::from(peer.0)].clone()
}

fn identity(peer: PeerId) -> IdentityKey {
    guildmint_kit::identities(quorum()).remove(usize::from(peer.0))
}

/// The first guardian, started for the first time.
#[must_use]
pub fn node() -> Node {
    let (federation, me) = (dealt().federation.clone(), PeerId(0));
    let started = Node::start(federation, coin(me), identity(me), Memory::default(), 0);
    started.unwrap().0
}

fn module(id: ModuleId) -> &'static dyn DynModule {
    federation().module(id).unwrap()
}

/// Whether an input holds alone.
#[must_use]
pub fn check_input(id: ModuleId, input: &[u8]) -> bool {
    module(id).check_input(input).is_ok() && module(id).proofs_hold(&[input])
}

/// Whether an output holds alone.
#[must_use]
pub fn check_output(id: ModuleId, output: &[u8]) -> bool {
    module(id).check_output(output).is_ok()
}

/// Tells the wallet of a guardian news; whether it could read them. What it votes then can be read.
#[must_use]
pub fn hear(news: &[u8]) -> bool {
    let mut rows = Memory::default();
    let mut ledger = Ledger::new(&rows);
    let local = Scope::module(Space::Local, WALLET);
    let heard = module(WALLET)
        .sighted(&mut ledger.view(local), news)
        .is_ok();
    let changes = ledger.finish().unwrap();
    rows.apply(changes);
    let (mut agreed, mut ledger) = (Ledger::new(&rows), Ledger::new(&rows));
    let agreed = agreed.view(Scope::module(Space::Agreed, WALLET));
    let vote = module(WALLET).vote(&agreed, &ledger.view(local));
    assert!(vote.is_none_or(|vote| Vote::decode(&vote).is_ok()));
    heard
}

/// Has the wallets count a vote of the second guardian; whether it was counted.
#[must_use]
pub fn count(vote: &[u8]) -> bool {
    let rows = Memory::default();
    let mut ledger = Ledger::new(&rows);
    let mut view = ledger.view(Scope::module(Space::Agreed, WALLET));
    let at = At {
        epoch: Epoch(0),
        height: 0,
        version: 1,
    };
    let (counted, _) = module(WALLET).tally(&mut view, &[(PeerId(1), vote)], at);
    module(WALLET).settle(&mut view, at);
    counted.contains(&PeerId(1))
}
