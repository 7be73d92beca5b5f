//! A federation of which only the config exists, and guardians that only know a price.

use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    net::TcpListener,
    sync::atomic::{AtomicBool, Ordering::SeqCst},
    thread,
};

use bitcoin::{hashes::Hash, BlockHash, Network};
use guildmint_client::{Membership, NotesString};
use guildmint_core::{
    api::{AnnouncementsAnswer, ConfigAnswer, RevisionsAnswer},
    encoding::read,
    Conditions, FederationId, GenesisConfig, GuardianKeys, IdentityKey, InviteCode, Latest,
    ModuleConfig, ModuleId, PeerId, Quorum, Revision, SessionId, SignedRevision, Values, Wire,
};
use guildmint_mint::{client::SpendableNote, Denomination, MintConditions, MintConfig};
use guildmint_wallet::{Block, WalletConditions, WalletConfig};
use rand_chacha::{rand_core::SeedableRng, ChaCha20Rng};
use serde_json::json;

pub const ADDRESS: &str = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";

/// The guardians' keys, in their order.
fn identities() -> Vec<IdentityKey> {
    let mut keys: Vec<_> = (1..=4)
        .map(|number| IdentityKey::from_seed(&[number; 32]))
        .collect();
    keys.sort_by_key(IdentityKey::public);
    keys
}

fn genesis() -> GenesisConfig {
    genesis_with(&[])
}

fn genesis_with(electrum: &[String]) -> GenesisConfig {
    let mut rng = ChaCha20Rng::seed_from_u64(5);
    let quorum = Quorum::new(4).unwrap();
    let values = [0, 10, 20].map(|exponent| Denomination::new(exponent).unwrap());
    let (mint, _) = guildmint_mint::dealer::deal(quorum, values, &mut rng).unwrap();
    let start = Block {
        height: 0,
        hash: BlockHash::all_zeros(),
    };
    let (wallet, _) = guildmint_wallet::dealer::deal(Network::Regtest, start, quorum, &mut rng);
    let electrum = electrum.to_vec();
    let wallet = WalletConfig { electrum, ..wallet };
    let module = |kind: &str, config| ModuleConfig {
        kind: kind.to_owned(),
        config,
    };
    let guardian = |key: &IdentityKey| GuardianKeys {
        name: "guardian\u{1b}[2J".into(),
        identity: key.public(),
    };
    GenesisConfig {
        name: "test".into(),
        session: SessionId([1; 32]),
        network: Network::Regtest,
        guardians: identities().iter().map(guardian).collect(),
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

/// The same, of a federation that was founded with an Electrum server.
pub fn membership_with(apis: &[String], electrum: &str) -> Membership {
    Membership {
        genesis: genesis_with(&[electrum.to_owned()]).encode(),
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
    let body = format!(r#"{{"fee_sat":{fee_sat},"fee_rate_sat_per_kvb":1000,"module_fee":0}}"#);
    serve(move |_| body.clone())
}

/// Four guardians of a federation that was founded with these Electrum servers. They have agreed since on another name, and on an Electrum server,
/// and tell it once they may. They know nothing else.
pub fn revised(founded: &[String], electrum: &str, may: &'static AtomicBool) -> Vec<String> {
    let genesis = genesis_with(founded);
    let signed = revision(&genesis, electrum);
    let guardian = move |path: &str| {
        let answer = match path.split('?').next() {
            Some("/v1/config") => json!(ConfigAnswer {
                federation: genesis.id(),
                genesis: genesis.encode(),
                apis: BTreeMap::new(),
            }),
            Some("/v1/announcements") => json!(AnnouncementsAnswer {
                announcements: Vec::new(),
            }),
            Some("/v1/revisions") => json!(RevisionsAnswer {
                latest: may.load(SeqCst).into(),
                revisions: match may.load(SeqCst) {
                    true => vec![signed.clone()],
                    false => Vec::new(),
                },
            }),
            _ => json!({}),
        };
        answer.to_string()
    };
    (0..4).map(|_| serve(guardian.clone())).collect()
}

fn revision(genesis: &GenesisConfig, electrum: &str) -> SignedRevision {
    let mint = MintConfig::decode(&genesis.modules[&ModuleId(1)].config).unwrap();
    let wallet = WalletConfig::decode(&genesis.modules[&ModuleId(2)].config).unwrap();
    let wallet = WalletConditions {
        electrum: vec![electrum.to_owned()],
        ..WalletConditions::from(&wallet)
    };
    let latest = Latest::founding(genesis);
    let revision = Revision {
        number: 1,
        previous: latest.hash,
        values: Values {
            name: "revised".into(),
            guardians: vec!["guardian".into(); 4],
            conditions: [
                (
                    ModuleId(1),
                    Conditions(MintConditions::from(&mint).encode()),
                ),
                (ModuleId(2), Conditions(wallet.encode())),
            ]
            .into(),
        },
    };
    let sign = |key: &IdentityKey| revision.sign(genesis.session, key);
    let signatures = identities().iter().map(sign).collect::<Vec<_>>();
    let signatures = (0..).map(PeerId).zip(signatures).collect();
    SignedRevision {
        revision,
        signatures,
    }
}

/// Answers whatever is asked for at a path with a body.
fn serve(answer: impl Fn(&str) -> String + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        while let Ok((mut socket, _)) = listener.accept() {
            let mut request = [0; 4096];
            let length = socket.read(&mut request).unwrap_or(0);
            let request = String::from_utf8_lossy(&request[..length]).into_owned();
            let body = answer(request.split(' ').nth(1).unwrap_or_default());
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
            let _ = socket.write_all(format!("{head}{body}").as_bytes());
        }
    });
    url
}
