//! Scenario 9: a transaction of every module is all or nothing, wherever it fails.

use bitcoin::{hashes::Hash, Address, Network, PubkeyHash};
use guildmint_client::Phase;
use guildmint_core::{Amount, Item, Wire};
use guildmint_kit::play;
use guildmint_mint::{
    client::{NoteRequest, SpendableNote},
    MintOutput, Note,
};
use guildmint_sim::{UserId, World};
use guildmint_wallet::{PegInProof, PegOut};

use crate::{
    common::{check_books, outside, receive, sat},
    raw::{
        burn, change, key, mint, refuse, Draft, Owner, Scribe,
        Stage::{self, Alone, Ordered},
        WALLET,
    },
    world,
};

/// What each transaction deposits, and pays out again, miners' fee included.
const DEPOSIT_SAT: u64 = 15_000;
/// A note of each of these is spent, and asked for: 8,388 sat each, and so much play money there is between transactions.
const NOTES: [u8; 2] = [23, 23];

/// What a spoilt transaction can be made of.
struct Pieces {
    /// The transaction before, which was accepted: all of its pieces were used.
    before: Draft,
    /// A deposit in the last block.
    unburied: (Item, Owner),
}

/// A way to spoil a transaction at one point: where, what guardians say, when they notice, and how it is done.
type Flaw = (&'static str, &'static str, Stage, fn(&mut Draft, &Pieces));

const FLAWS: &[Flaw] = &[
    ("the first note is spent", "note_spent", Ordered, |d, p| {
        d.inputs[0] = p.before.inputs[0].clone();
    }),
    ("the second note is spent", "note_spent", Ordered, |d, p| {
        d.inputs[1] = p.before.inputs[1].clone();
    }),
    (
        "the deposit is claimed",
        "already_claimed",
        Ordered,
        |d, p| {
            d.inputs[2] = p.before.inputs[2].clone();
        },
    ),
    ("the play money exists", "minted", Ordered, |d, p| {
        d.inputs[3] = p.before.inputs[3].clone();
    }),
    (
        "the first note is another's",
        "invalid_signature",
        Alone,
        |d, _| {
            d.inputs[0].1 = Owner::Key(key(66));
        },
    ),
    (
        "the second note is nobody's",
        "invalid_signature",
        Alone,
        |d, _| {
            d.inputs[1].1 = Owner::Nobody;
        },
    ),
    (
        "the deposit is another's",
        "invalid_signature",
        Alone,
        |d, _| {
            d.inputs[2].1 = Owner::Key(key(66));
        },
    ),
    (
        "the play money is another's",
        "invalid_signature",
        Alone,
        |d, _| {
            d.inputs[3].1 = Owner::Key(key(66));
        },
    ),
    (
        "the first note is forged",
        "invalid_proof",
        Alone,
        |d, _| forge(d, 0, 1),
    ),
    (
        "the second note is forged",
        "invalid_proof",
        Alone,
        |d, _| forge(d, 1, 0),
    ),
    (
        "the play money is forged",
        "invalid_proof",
        Alone,
        |d, _| {
            change(&mut d.inputs[3].0, |mint: &mut play::Mint| {
                mint.honest = false
            });
        },
    ),
    (
        "the deposit is in no block",
        "bad_merkle_proof",
        Alone,
        |d, _| {
            change(&mut d.inputs[2].0, |proof: &mut PegInProof| {
                proof.header.merkle_root = Hash::all_zeros()
            });
        },
    ),
    (
        "the deposit's block is no block",
        "not_buried",
        Ordered,
        |d, _| {
            change(&mut d.inputs[2].0, |proof: &mut PegInProof| {
                proof.header.nonce += 1
            });
        },
    ),
    (
        "the deposit is not buried",
        "not_buried",
        Ordered,
        |d, p| {
            d.inputs[2] = p.unburied.clone();
        },
    ),
    (
        "the first new note was signed",
        "already_issued",
        Ordered,
        |d, p| {
            d.outputs[0] = p.before.outputs[0].clone();
        },
    ),
    (
        "the second new note was signed",
        "already_issued",
        Ordered,
        |d, p| {
            d.outputs[1] = p.before.outputs[1].clone();
        },
    ),
    (
        "the new notes are one",
        "already_issued",
        Ordered,
        |d, _| {
            d.outputs[1] = d.outputs[0].clone();
        },
    ),
    (
        "a new note is no point",
        "bad_blinded_message",
        Alone,
        |d, _| {
            change(&mut d.outputs[0], |output: &mut MintOutput| {
                output.blinded.0 = [0xff; 48]
            });
        },
    ),
    ("the payment is dust", "dust", Alone, |d, _| {
        pay_out(d, 100, 14_900)
    }),
    (
        "the payment's fee is low",
        "fee_too_low",
        Ordered,
        |d, _| pay_out(d, 14_900, 100),
    ),
    (
        "the payment is on another network",
        "wrong_network",
        Alone,
        |d, _| {
            let mainnet = Address::p2pkh(PubkeyHash::from_byte_array([1; 20]), Network::Bitcoin);
            change(&mut d.outputs[2], |peg_out: &mut PegOut| {
                peg_out.address = mainnet.to_string()
            });
        },
    ),
    (
        "the play money is not there",
        "too_poor",
        Ordered,
        |d, _| {
            // What is not paid out would have to be burnt.
            pay_out(d, 1_000, 5_000);
            d.outputs[3] = burn(sat(9_005));
        },
    ),
    (
        "a millisatoshi too much goes out",
        "unbalanced",
        Ordered,
        |d, _| {
            d.outputs[3] = burn(Amount::from_msat(5_001).unwrap());
        },
    ),
    (
        "a millisatoshi too little goes out",
        "unbalanced",
        Ordered,
        |d, _| {
            d.outputs[3] = burn(Amount::from_msat(4_999).unwrap());
        },
    ),
];

/// A note with the signature of another.
fn forge(draft: &mut Draft, forged: usize, genuine: usize) {
    let genuine = Note::decode(&draft.inputs[genuine].0.bytes).unwrap();
    change(&mut draft.inputs[forged].0, |note: &mut Note| {
        note.signature = genuine.signature;
    });
}

fn pay_out(draft: &mut Draft, amount_sat: u64, fee_sat: u64) {
    change(&mut draft.outputs[2], |peg_out: &mut PegOut| {
        (peg_out.amount_sat, peg_out.fee_sat) = (amount_sat, fee_sat);
    });
}

/// Somebody who pays with everything at once, again and again.
struct Series {
    scribe: Scribe,
    notes: Vec<SpendableNote>,
    /// A deposit in the last block.
    unburied: (Item, Owner),
    number: u64,
}

impl Series {
    fn new(world: &mut World, alice: UserId) -> Self {
        let mut scribe = Scribe::new(world, 1);
        let note = scribe.fund(world, alice, &NOTES[..1]);
        let requests = scribe.requests(&NOTES);
        let mut draft = scribe.exchange(&note, &requests);
        let play = Amount::power_of_two(NOTES[1]).unwrap();
        draft.inputs.push(mint(0, play, None));
        let txid = scribe.accept(world, &draft);
        let notes = scribe.collect(world, txid, &requests);
        let unburied = deposit(&scribe, world, 0);
        Self {
            scribe,
            notes,
            unburied,
            number: 0,
        }
    }

    /// The next transaction: two notes, a deposit and play money become two notes, a payment on the chain and burnt play
    /// money.
    fn draft(&mut self, world: &mut World) -> (Draft, Vec<NoteRequest>) {
        self.number += 1;
        let another = deposit(&self.scribe, world, self.number);
        let buried = std::mem::replace(&mut self.unburied, another);
        let requests = self.scribe.requests(&NOTES);
        let mut draft = self.scribe.exchange(&self.notes, &requests);
        draft.inputs.push(buried);
        draft.inputs.push(mint(self.number, sat(5), Some(key(7))));
        let peg_out = PegOut {
            address: outside(1).0,
            amount_sat: 10_000,
            fee_sat: 5_000,
        };
        draft.outputs.push(Item::new(WALLET, &peg_out));
        draft.outputs.push(burn(sat(5)));
        (draft, requests)
    }

    fn accept(&mut self, world: &mut World, draft: &Draft, requests: &[NoteRequest]) {
        let txid = self.scribe.accept(world, draft);
        self.notes = self.scribe.collect(world, txid, requests);
    }
}

/// A deposit in the last block. The one before it is buried now.
fn deposit(scribe: &Scribe, world: &mut World, address: u64) -> (Item, Owner) {
    let deposit = scribe.pay(world, address, DEPOSIT_SAT);
    world.chain().mine(1);
    world.run(5_000);
    let proof = scribe.proof(world, address, deposit);
    scribe.claim(address, &proof)
}

#[test]
fn a_transaction_of_every_module_is_all_or_nothing_at_every_point() {
    let (mut world, alice, bob) = world(9);
    let mut series = Series::new(&mut world, alice);
    let (mut before, requests) = series.draft(&mut world);
    series.accept(&mut world, &before, &requests);
    for (what, code, stage, spoil) in FLAWS {
        let (draft, requests) = series.draft(&mut world);
        let pieces = Pieces {
            before,
            unburied: series.unburied.clone(),
        };
        let mut spoilt = draft.clone();
        spoil(&mut spoilt, &pieces);
        refuse(
            &mut world,
            what,
            &spoilt.sign(series.scribe.federation),
            code,
            *stage,
        );
        // The same money, at once.
        series.accept(&mut world, &draft, &requests);
        before = draft;
    }
    let view = receive(&mut world, bob, series.scribe.string(&series.notes)).unwrap();
    assert_eq!(view.phase, Phase::Done, "{view:?}");
    world.chain().mine(3);
    world.run(20_000);
    let spread = world.surplus_sat();
    check_books(&mut world, &[alice, bob], spread);
}
