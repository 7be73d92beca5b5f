//! Scenario 10: what is wrong with a transaction, and what its owner is told.

use std::collections::BTreeSet;

use guildmint_client::Phase;
use guildmint_core::{api::TransactionStatus, Amount, Item, ModuleId, Wire};
use guildmint_engine::node::{Reply, Request};
use guildmint_kit::play::{self, Burn};
use guildmint_mint::{MintOutput, Note};
use guildmint_sim::{Setup, World};
use guildmint_wallet::PegOut;

use crate::{
    common::{check_books, outside, receive},
    raw::{burn, change, everyone, key, mint, Draft, Owner, Scribe, WALLET},
};

/// What can be wrong, and by what HTTP status and code programs know it.
type Cause = (&'static str, u16, &'static str);

const TOO_MUCH: Cause = ("an amount beyond all bitcoin", 422, "too_much");
const UNBALANCED: Cause = ("money made or lost", 422, "unbalanced");
const UNSIGNED: Cause = ("not signed by its owner", 422, "invalid_signature");
const FORGED: Cause = ("not signed by the federation", 422, "invalid_proof");
const NO_KEY: Cause = ("a nonce that is no key", 422, "bad_nonce");
const NO_POINT: Cause = ("a message that is no point", 422, "bad_blinded_message");
const NO_MODULE: Cause = ("a module that is not there", 422, "unknown_module");
const NO_ITEM: Cause = ("an item that cannot be read", 422, "undecodable");
const NO_SHAPE: Cause = ("too many or too few parts", 422, "malformed");
const NO_TRANSACTION: Cause = ("bytes that cannot be read", 400, "undecodable");
const TOO_LARGE: Cause = ("too many bytes", 413, "undecodable");

const CAUSES: [Cause; 11] = [
    TOO_MUCH,
    UNBALANCED,
    UNSIGNED,
    FORGED,
    NO_KEY,
    NO_POINT,
    NO_MODULE,
    NO_ITEM,
    NO_SHAPE,
    NO_TRANSACTION,
    TOO_LARGE,
];

/// A bad transaction: what is wrong, words of the sentence that people are told, and its bytes.
type Bad = (Cause, &'static str, Vec<u8>);

fn msat(msat: u64) -> Amount {
    Amount::from_msat(msat).unwrap()
}

/// A good transaction, and someone with notes of another federation.
struct Bench {
    scribe: Scribe,
    good: Draft,
    foreign: Scribe,
    foreign_note: (Item, Owner),
}

impl Bench {
    /// The good transaction with a change, signed by its owners after that.
    fn bad(&self, spoil: impl FnOnce(&mut Draft)) -> Vec<u8> {
        let mut draft = self.good.clone();
        spoil(&mut draft);
        draft.sign(self.scribe.federation).encode()
    }

    fn bad_amounts(&self) -> Vec<Bad> {
        let peg_out = PegOut {
            address: outside(1).0,
            amount_sat: u64::MAX,
            fee_sat: 1,
        };
        // Nine times this is 2^64 and a rest.
        let rest = msat(Amount::MAX.msat().wrapping_mul(9));
        let inputs = || (1..=9).map(|name| mint(name, Amount::MAX, None));
        let above = (Amount::MAX.msat() + 1).to_le_bytes();
        vec![
            (
                TOO_MUCH,
                "18446744073709551615 sat and 1 sat of fee are more than all bitcoin",
                self.bad(|d| d.outputs.push(Item::new(WALLET, &peg_out))),
            ),
            (
                UNBALANCED,
                "inputs bring 18900000000000000000 msat",
                self.bad(|d| {
                    d.inputs = inputs().collect();
                    d.outputs = vec![burn(rest)];
                }),
            ),
            (
                UNBALANCED,
                "take 18900000000000000000 msat",
                self.bad(|d| {
                    d.inputs = vec![mint(1, rest, None)];
                    d.outputs = vec![burn(Amount::MAX); 9];
                }),
            ),
            (
                UNBALANCED,
                "inputs bring 1048577 msat, but outputs and fees take 1048576 msat",
                self.bad(|d| d.inputs.push(mint(1, msat(1), None))),
            ),
            (
                UNBALANCED,
                "inputs bring 1048576 msat, but outputs and fees take 1048577 msat",
                self.bad(|d| d.outputs.push(burn(msat(1)))),
            ),
            (
                NO_ITEM,
                "the output cannot be read",
                self.bad(|d| {
                    let mut output = burn(Amount::MAX);
                    output.bytes[1..9].copy_from_slice(&above);
                    d.outputs.push(output);
                }),
            ),
        ]
    }

    fn bad_signatures(&self) -> Vec<Bad> {
        vec![
            (
                FORGED,
                "a note that this federation did not sign",
                self.bad(|d| d.inputs[0] = self.foreign_note.clone()),
            ),
            (
                UNSIGNED,
                "the signature of input 0 is wrong",
                self.good.sign(self.foreign.federation).encode(),
            ),
            (
                UNSIGNED,
                "the signature of input 0 is wrong",
                self.bad(|d| d.inputs[0].1 = Owner::Key(key(66))),
            ),
            (
                UNSIGNED,
                "input 0 is not signed",
                self.bad(|d| d.inputs[0].1 = Owner::Nobody),
            ),
            (
                UNSIGNED,
                "input 1 needs no signature but has one",
                self.bad(|d| {
                    let (input, _) = mint(1, Amount::ZERO, None);
                    d.inputs.push((input, Owner::Key(key(66))));
                }),
            ),
            (
                NO_KEY,
                "is not a secp256k1 key",
                self.bad(|d| {
                    change(&mut d.inputs[0].0, |note: &mut Note| {
                        note.nonce.0 = [0xff; 32];
                    });
                }),
            ),
            (
                NO_POINT,
                "",
                self.bad(|d| {
                    change(&mut d.outputs[0], |output: &mut MintOutput| {
                        output.blinded.0 = [0xff; 48];
                    });
                }),
            ),
        ]
    }

    fn bad_shapes(&self) -> Vec<Bad> {
        let mut unpaired = self.good.sign(self.scribe.federation);
        unpaired.signatures.clear();
        vec![
            (
                NO_SHAPE,
                "513 inputs and outputs; at most 512 are allowed",
                self.bad(|d| d.outputs.resize(512, burn(Amount::ZERO))),
            ),
            (NO_SHAPE, "no input", self.bad(|d| d.inputs.clear())),
            (NO_SHAPE, "0 signatures for 1 inputs", unpaired.encode()),
            (
                NO_MODULE,
                "there is no module 77",
                self.bad(|d| d.outputs[0].module = ModuleId(77)),
            ),
            (
                NO_ITEM,
                "the input cannot be read",
                self.bad(|d| d.inputs[0].0.bytes.push(0)),
            ),
            (
                TOO_LARGE,
                "at most 131072 are allowed",
                self.bad(|d| {
                    let (amount, padding) = (Amount::ZERO, vec![0; 131_072]);
                    d.outputs
                        .push(Item::new(play::MODULE, &Burn { amount, padding }));
                }),
            ),
        ]
    }

    fn bad_bytes(&self) -> Vec<Bad> {
        let good = self.bad(|_| {});
        let with = |change: fn(&mut Vec<u8>)| {
            let mut bytes = good.clone();
            change(&mut bytes);
            bytes
        };
        vec![
            (NO_TRANSACTION, "empty encoding", Vec::new()),
            (NO_TRANSACTION, "unknown version 2", with(|b| b[0] = 2)),
            (NO_TRANSACTION, "malformed", with(|b| b.truncate(100))),
            (NO_TRANSACTION, "malformed", with(|b| b[1..9].fill(0xff))),
            (NO_TRANSACTION, "bytes remaining", with(|b| b.push(0))),
        ]
    }
}

/// What is answered to a submission that is refused: status, code, sentence, and whether it may succeed later.
fn answer(reply: Reply) -> (u16, String, String, bool) {
    match reply {
        Reply::Problem(problem) => (
            problem.status,
            problem.code,
            problem.detail,
            problem.retryable,
        ),
        Reply::Transaction(answer) => match answer.status {
            TransactionStatus::Rejected(reject) => {
                (422, reject.code, reject.message, reject.retryable)
            }
            other => panic!("not refused: {other:?}"),
        },
        other => panic!("no answer to a submission: {other:?}"),
    }
}

/// A note of another federation.
fn foreigner() -> (Scribe, (Item, Owner)) {
    let mut world = World::new(Setup::guardians(1).with_money(), 10);
    world.run(2_000);
    let alice = world.join();
    world.fund(alice, 5_000);
    let mut scribe = Scribe::new(&world, 2);
    let notes = scribe.fund(&mut world, alice, &[20]);
    let input = scribe.note(&notes[0]);
    (scribe, input)
}

/// Scenario 10.
#[test]
fn everything_wrong_has_its_own_error() {
    let known: BTreeSet<_> = CAUSES.map(|(_, status, code)| (status, code)).into();
    assert_eq!(known.len(), CAUSES.len(), "no two causes look alike");

    let mut setup = Setup::guardians(4).with_money();
    // Nothing but the balance of a transaction bounds what is burnt.
    setup.play.may_owe = true;
    let mut world = World::new(setup, 10);
    world.run(2_000);
    let [alice, bob] = [(); 2].map(|()| world.join());
    world.fund(alice, 5_000);
    let mut scribe = Scribe::new(&world, 1);
    let notes = scribe.fund(&mut world, alice, &[20]);
    let requests = scribe.requests(&[19, 19]);
    let good = scribe.exchange(&notes, &requests);
    let (foreign, foreign_note) = foreigner();
    let bench = Bench {
        scribe,
        good,
        foreign,
        foreign_note,
    };
    world.run(5_000);
    let (before, rows) = (world.agreed_rows(), world.rows_written());
    let bad = [
        bench.bad_amounts(),
        bench.bad_signatures(),
        bench.bad_shapes(),
        bench.bad_bytes(),
    ];
    let bad = bad.concat();
    let tried: BTreeSet<_> = bad.iter().map(|(cause, ..)| *cause).collect();
    assert_eq!(tried, CAUSES.into(), "every cause is tried");
    for ((what, status, code), words, bytes) in bad {
        let peers = everyone(&world);
        for reply in world.question(&peers, &Request::Submit(bytes)) {
            let (found_status, found_code, sentence, retryable) = answer(reply);
            let found = (found_status, found_code.as_str(), retryable);
            // It may balance by fees that are agreed on later.
            let may_change = code == UNBALANCED.2;
            assert_eq!(found, (status, code, may_change), "{what}: {sentence}");
            assert!(sentence.contains(words), "{what}: {sentence}");
        }
    }
    world.run(5_000);
    assert!(world.agreed_rows() == before);
    assert_eq!(world.rows_written(), rows, "not even a local one");

    let txid = bench.scribe.accept(&mut world, &bench.good);
    let notes = bench.scribe.collect(&mut world, txid, &requests);
    let view = receive(&mut world, bob, bench.scribe.string(&notes)).unwrap();
    assert_eq!(view.phase, Phase::Done, "{view:?}");
    check_books(&mut world, &[alice, bob], 0);
}
