//! Encodings of what guardians say to each other.

use std::collections::{BTreeMap, VecDeque};

use guildmint_core::{
    encoding::{hex_bytes, write},
    Epoch, EpochResult, IdentitySignature, PayloadHash, PeerId, Wire,
};
use guildmint_engine::{node::utter, Agreement, Contribution, Message, Payload};
use guildmint_link::{Link, Packet};
use serde::Serialize;

use super::{coin, genesis, identity, quorum, story::Story, Seeds};

pub fn seeds(story: &Story) -> Seeds {
    let payloads: Vec<Payload> = [Contribution::default(), contribution(story)]
        .iter()
        .map(|one| {
            Payload::sign(
                one,
                PeerId(1),
                Epoch(0),
                genesis().session,
                &identity(PeerId(1)),
            )
        })
        .collect();
    let frames = frames();
    let packets = packets(&frames);
    BTreeMap::from([
        (
            "contribution",
            payloads.iter().map(|p| p.contribution.clone()).collect(),
        ),
        (
            "effective_batch",
            story
                .history
                .iter()
                .map(|(batch, _)| batch.encode())
                .collect(),
        ),
        ("node", node(story, &payloads, &packets)),
        ("link_packet", packets.iter().map(bare).collect()),
        ("payload", payloads.iter().map(Wire::encode).collect()),
        ("frame", frames),
    ])
}

fn bare(value: &impl Serialize) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(&mut bytes, value);
    bytes
}

fn contribution(story: &Story) -> Contribution {
    let mut with_votes = story
        .history
        .iter()
        .flat_map(|(batch, _)| batch.statements.values());
    Contribution {
        transactions: story.transactions[..2].to_vec(),
        statement: with_votes
            .find(|one| !one.votes.is_empty())
            .cloned()
            .unwrap(),
    }
}

/// What four guardians say to agree on two payloads: the first of each kind and length.
fn frames() -> Vec<Vec<u8>> {
    let session = genesis().session;
    let new = |peer| Agreement::new(&coin(peer), session, Epoch(0));
    let mut guardians: Vec<Agreement> = quorum().peers().map(new).collect();
    let mut on_the_way: VecDeque<(PeerId, Message)> = VecDeque::new();
    for (me, guardian) in quorum().peers().zip(&mut guardians) {
        for proposer in [0, 1, 2] {
            let said = guardian
                .payload(PeerId(proposer), PayloadHash([7; 32]))
                .messages;
            on_the_way.extend(said.into_iter().map(|message| (me, message)));
        }
    }
    let mut frames = BTreeMap::new();
    while let Some((from, message)) = on_the_way.pop_front() {
        let frame = message.encode();
        frames.entry((frame[1], frame.len())).or_insert(frame);
        for (me, guardian) in quorum().peers().zip(&mut guardians) {
            if me != from {
                let said = guardian.handle(from, message.clone()).messages;
                on_the_way.extend(said.into_iter().map(|message| (me, message)));
            }
        }
    }
    assert!(frames.len() > 3, "there are ballots among them");
    frames.into_values().collect()
}

fn packets(frames: &[Vec<u8>]) -> Vec<Packet> {
    vec![
        Packet::Frames {
            epoch: Epoch(0),
            first: 0,
            frames: frames.to_vec(),
        },
        Packet::Fetch {
            epoch: Epoch(0),
            first: 1,
        },
        Link::new(PeerId(1), quorum(), Epoch(0)).status(true),
        Link::new(PeerId(1), quorum(), Epoch(9)).status(false),
    ]
}

/// The engine's messages, field by field: the engine keeps its own type to itself.
#[derive(Serialize)]
enum Talk {
    #[allow(dead_code)]
    Payload(Payload),
    Link(Packet),
    WantPayload(Epoch, PayloadHash),
    Signature(EpochResult, IdentitySignature),
    WantHistory(Epoch, u64),
    History(Chunk),
}

#[derive(Serialize)]
struct Chunk {
    result: EpochResult,
    signature: IdentitySignature,
    total: u64,
    offset: u64,
    #[serde(with = "hex_bytes")]
    bytes: Vec<u8>,
}

fn node(story: &Story, payloads: &[Payload], packets: &[Packet]) -> Vec<Vec<u8>> {
    let (batch, result) = &story.history[0];
    let signature = result.sign(genesis().session, &identity(PeerId(1)));
    let bytes = batch.encode();
    let total = bytes.len() as u64;
    let talks = packets.iter().cloned().map(Talk::Link).chain([
        Talk::WantPayload(Epoch(0), payloads[0].hash()),
        Talk::Signature(*result, signature),
        Talk::WantHistory(Epoch(0), 0),
        Talk::History(Chunk {
            result: *result,
            signature,
            total,
            offset: 0,
            bytes,
        }),
    ]);
    let encode = |talk: Talk| [vec![1], bare(&talk)].concat();
    let uttered = payloads.iter().cloned().map(utter);
    uttered.chain(talks.map(encode)).collect()
}
