//! Encodings of modules and their keys.

use std::collections::{BTreeMap, BTreeSet};

use base64::{engine::general_purpose::URL_SAFE_NO_PAD, Engine as _};
use guildmint_core::{encoding::write, Item, ModuleId, PeerId, Wire};
use guildmint_mint::client::{NotesString, NOTES_PREFIX};
use guildmint_tbs::{dkg, PublicKeySet, Signature};

use super::{core::invite, dealt, genesis, story::Story, Seeds, MINT, WALLET};
use crate::targets::key_generation::guardian;

pub fn seeds(story: &Story) -> Seeds {
    let inputs = |module| items(story.transactions.iter().flat_map(|t| &t.inputs), module);
    let outputs = |module| items(story.transactions.iter().flat_map(|t| &t.outputs), module);
    BTreeMap::from([
        ("key_generation", key_generation()),
        ("key_set", key_sets()),
        ("mint_config", vec![dealt().mint.encode()]),
        ("mint_input", inputs(MINT)),
        ("mint_output", outputs(MINT)),
        ("notes_string", notes_strings(story)),
        ("points", points(story)),
        ("wallet_config", vec![dealt().wallet.encode()]),
        ("wallet_input", inputs(WALLET)),
        ("wallet_job", longest_of_each_kind(story.jobs.clone())),
        (
            "wallet_news",
            longest_of_each_kind(story.news.iter().map(Wire::encode).collect()),
        ),
        ("wallet_output", outputs(WALLET)),
        ("wallet_vote", votes(story)),
    ])
}

fn items<'a>(items: impl Iterator<Item = &'a Item>, module: ModuleId) -> Vec<Vec<u8>> {
    let ours = items.filter(|item| item.module == module);
    ours.map(|item| item.bytes.clone()).collect()
}

/// The whole log of a ceremony, and its first item for people.
fn key_generation() -> Vec<Vec<u8>> {
    let mut guardians = [0, 1].map(|seed| guardian(seed).unwrap());
    let mut bytes = vec![Vec::new()];
    for position in [0, 1].repeat(3) {
        let from = guardians[position].me();
        let item = guardians[position].due();
        let item = item.unwrap_or(dkg::Item::Confirm([5; 32]));
        if bytes[0].is_empty() {
            bytes[0] = serde_json::to_vec(&item).unwrap();
        }
        let mut binary = Vec::new();
        write(&mut binary, &item);
        bytes.push(binary);
        for guardian in &mut guardians {
            guardian.handle(from, item.clone());
        }
    }
    assert!(guardians
        .iter()
        .all(|guardian| matches!(guardian.outcome(), Some(Ok(_)))));
    bytes
}

fn key_set() -> &'static PublicKeySet {
    dealt().mint.keys.values().next().unwrap()
}

fn key_sets() -> Vec<Vec<u8>> {
    let mut bytes = Vec::new();
    write(&mut bytes, key_set());
    vec![bytes, serde_json::to_vec(key_set()).unwrap()]
}

fn points(story: &Story) -> Vec<Vec<u8>> {
    let signature = story.note.as_ref().unwrap().note().signature;
    let shown = Signature::from_bytes(&signature.0).unwrap().to_string();
    let aggregate = key_set().aggregate();
    vec![
        signature.0.to_vec(),
        shown.into_bytes(),
        aggregate.to_bytes().to_vec(),
        aggregate.to_string().into_bytes(),
    ]
}

fn notes_strings(story: &Story) -> Vec<Vec<u8>> {
    let note = story.note.clone().unwrap();
    // An invite that is too long to be a code of its own.
    let mut long = invite();
    long.apis.insert(PeerId(3), "x".repeat(7_000));
    let string = |invite| {
        let notes = NotesString::new(genesis().id(), invite, vec![note.clone()]);
        notes.unwrap().to_string()
    };
    let strings = [None, Some(invite()), Some(long)].map(string);
    // Also what is in the text: damaged text is only ever found to be damaged.
    let body = |text: &String| {
        let bytes = URL_SAFE_NO_PAD.decode(&text[NOTES_PREFIX.len()..]).unwrap();
        bytes[..bytes.len() - 4].to_vec()
    };
    let bodies = strings.iter().map(body);
    let texts = strings.iter().map(|text| text.clone().into_bytes());
    texts.chain(bodies).collect()
}

/// Of an enum's encodings, the longest of each variant.
fn longest_of_each_kind(all: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let mut kinds: BTreeMap<u8, Vec<u8>> = BTreeMap::new();
    for bytes in all {
        let kind = kinds.entry(bytes[1]).or_default();
        if bytes.len() > kind.len() {
            *kind = bytes;
        }
    }
    kinds.into_values().collect()
}

/// Votes of different lengths: on blocks, with signatures, with a confirmation.
fn votes(story: &Story) -> Vec<Vec<u8>> {
    let statements = story
        .history
        .iter()
        .flat_map(|(batch, _)| batch.statements.values());
    let votes = statements.filter_map(|one| Some(one.votes.get(&WALLET)?.0.clone()));
    let mut lengths = BTreeSet::new();
    votes.filter(|vote| lengths.insert(vote.len())).collect()
}
