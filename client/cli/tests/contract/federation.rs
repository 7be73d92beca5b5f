//! A federation of which only the config exists, and guardians that only know a price.

use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    net::TcpListener,
    thread,
};

use bitcoin::{hashes::Hash, BlockHash, Network};
use guildmint_client::{Membership, NotesString};
use guildmint_core::{
    encoding::read, FederationId, GenesisConfig, GuardianKeys, IdentityPublicKey, InviteCode,
    ModuleConfig, ModuleId, PeerId, Quorum, SessionId, Wire,
};
use guildmint_mint::{client::SpendableNote, Denomination};
use guildmint_wallet::Block;
use rand_chacha::{rand_core::SeedableRng, ChaCha20Rng};

pub const ADDRESS: &str = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";

fn genesis() -> GenesisConfig {
    let mut rng = ChaCha20Rng::seed_from_u64(5);
    let quorum = Quorum::new(4).unwrap();
    let values = [0, 10, 20].map(|exponent| Denomination::new(exponent).unwrap());
    let (mint, _) = guildmint_mint::dealer::deal(quorum, values, &mut rng).unwrap();
    let start = Block {
        height: 0,
        hash: BlockHash::all_zeros(),
    };
    let (wallet, _) = guildmint_wallet::dealer::deal(Network::Regtest, start, quorum, &mut rng);
    let module = |kind: &str, config| ModuleConfig {
        kind: kind.to_owned(),
        config,
    };
    let guardian = |number| GuardianKeys {
        name: "guardian\u{1b}[2J".into(),
        identity: IdentityPublicKey([number; 32]),
    };
    GenesisConfig {
        name: "test".into(),
        session: SessionId([1; 32]),
        network: Network::Regtest,
        guardians: (1..=4).map(guardian).collect(),
        coin: Vec::new(),
        epoch_floor_ms: 50,
        modules: [
            (ModuleId(1), module("mint", mint.encode())),
            (ModuleId(2), module("wallet", wallet.encode())),
        ]
        .into(),
    }
}

fn by_peer(apis: &[String]) -> BTreeMap<PeerId, String> {
    (0..).map(PeerId).zip(apis.iter().cloned()).collect()
}

pub fn membership(apis: &[String]) -> Membership {
    Membership {
        genesis: genesis().encode(),
        apis: by_peer(apis),
        announcements: Vec::new(),
    }
}

pub fn invite(apis: &[String]) -> String {
    invite_to(genesis().id(), apis)
}

pub fn other_invite(apis: &[String]) -> String {
    invite_to(FederationId([7; 32]), apis)
}

fn invite_to(federation: FederationId, apis: &[String]) -> String {
    let apis = by_peer(apis);
    InviteCode { federation, apis }.to_string()
}

/// A note that nobody signed.
fn notes_of(federation: FederationId) -> String {
    let mut bytes = vec![10];
    bytes.extend([3; 32]);
    bytes.extend([0xc5; 48]);
    let note: SpendableNote = read(&bytes).unwrap();
    NotesString::new(federation, None, vec![note])
        .unwrap()
        .to_string()
}

pub fn foreign_notes() -> String {
    notes_of(FederationId([9; 32]))
}

pub fn forged_notes() -> String {
    notes_of(genesis().id())
}

/// Four guardians that answer every question with a price.
pub fn quoting(fee_sat: u64) -> Vec<String> {
    (0..4).map(|_| quote(fee_sat)).collect()
}

fn quote(fee_sat: u64) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let body = format!(r#"{{"fee_sat":{fee_sat},"fee_rate_sat_per_kvb":1000,"module_fee":0}}"#);
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    thread::spawn(move || {
        while let Ok((mut socket, _)) = listener.accept() {
            let _ = socket.read(&mut [0; 4096]);
            let _ = socket.write_all(format!("{head}{body}").as_bytes());
        }
    });
    url
}
