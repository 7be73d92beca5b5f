//! Random deposits, withdrawals, fee spikes and liars: nothing is lost, nothing is paid twice, nobody disagrees.

use std::collections::BTreeMap;

use guildmint_core::{Amount, PeerId, TxId};
use guildmint_wallet::{CoinsAnswer, News, PegInProof, PegOutState, Stance, Vote};
use proptest::prelude::*;

use crate::chain::start;
use crate::world::{address, script, Request, World};

#[derive(Debug, Clone)]
enum Step {
    Deposit(u64),
    Withdraw(Vec<u64>),
    FeeRate(u64),
    Mine(u32),
    Epoch,
    Lie(u8),
    /// What miners ask for from now on.
    Miners(u64),
    /// So many blocks, and what guardians make of them.
    Wait(u32),
    /// A miner takes a version that was replaced.
    MineReplaced,
    /// So many blocks are replaced by others.
    Reorganise(usize),
    /// These operators have looked.
    Unfreeze(u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (2_000u64..300_000).prop_map(Step::Deposit),
        4 => prop::collection::vec(330u64..150_000, 1..5).prop_map(Step::Withdraw),
        1 => (1_000u64..60_000).prop_map(Step::FeeRate),
        3 => (1u32..4).prop_map(Step::Mine),
        2 => Just(Step::Epoch),
        1 => (0u8..4).prop_map(Step::Lie),
        2 => prop_oneof![Just(0), Just(u64::MAX), 1_000u64..60_000].prop_map(Step::Miners),
        2 => (1u32..20).prop_map(Step::Wait),
        1 => Just(Step::MineReplaced),
        1 => (1usize..5).prop_map(Step::Reorganise),
        1 => any::<u8>().prop_map(Step::Unfreeze),
    ];
    prop::collection::vec(step, 10..45)
}

fn honest(_: PeerId, _: &mut Vote) {}

fn silent(peer: PeerId, vote: &mut Vote) {
    if peer == PeerId(1) {
        *vote = Vote::default();
    }
}

fn wrong_signatures(peer: PeerId, vote: &mut Vote) {
    if peer == PeerId(0) {
        for given in &mut vote.signatures {
            given.signatures.reverse();
            given.signatures.pop();
            given.signatures.extend(given.signatures.first().copied());
        }
    }
}

fn greedy(peer: PeerId, vote: &mut Vote) {
    if peer == PeerId(2) {
        vote.fee_rate_sat_per_kvb = Some(u64::MAX);
        vote.hashes.reverse();
        vote.confirmations.clear();
        vote.stance = Some(Stance::Freeze(start()));
    }
}

const LIARS: [fn(PeerId, &mut Vote); 4] = [honest, silent, wrong_signatures, greedy];

const OUTDATED: [&str; 2] = ["fee_too_low", "insufficient_coins"];

struct Story {
    world: World,
    unclaimed: Vec<PegInProof>,
    deposits: u64,
    /// What was accepted: address, amount.
    owed: BTreeMap<TxId, (String, u64)>,
    addresses: u16,
}

impl Story {
    fn step(&mut self, step: Step) {
        match step {
            Step::Deposit(sat) => {
                self.deposits += 1;
                let proof = self.world.deposit(self.deposits, sat);
                self.unclaimed.push(proof);
            }
            Step::Withdraw(amounts) => self.withdraw(&amounts),
            Step::FeeRate(rate) => self.world.set_fee_rate(rate),
            Step::Mine(count) => self.world.chain.mine_empty(count),
            Step::Epoch => self.claim(),
            Step::Lie(which) => self.world.tamper = LIARS[usize::from(which)],
            Step::Miners(ask) => self.world.chain.miners_sat_per_kvb = ask,
            Step::Wait(blocks) => {
                for _ in 0..blocks {
                    self.world.chain.mine(vec![]);
                    self.world.observe();
                    self.world.run(&[]);
                }
            }
            Step::MineReplaced => drop(self.world.chain.mine_replaced()),
            Step::Reorganise(depth) => {
                let depth = depth.min(self.world.chain.blocks.len());
                self.world.chain.reorganise(depth, &[]);
            }
            Step::Unfreeze(who) => self.unfreeze(who),
        }
        self.world.observe();
    }

    fn unfreeze(&mut self, who: u8) {
        let Some(frozen) = self.world.frozen() else {
            return;
        };
        for (bit, guardian) in self.world.guardians.iter_mut().enumerate() {
            if who >> bit & 1 == 1 {
                let number = frozen.number;
                guardian.hear(News::Unfreeze { number });
            }
        }
    }

    fn claim(&mut self) {
        let mut proofs = std::mem::take(&mut self.unclaimed);
        // The block may be another since.
        for proof in &mut proofs {
            let txid = proof.claim().unwrap().outpoint.txid;
            let (_, header, merkle) = self.world.chain.find(txid).unwrap();
            (proof.header, proof.merkle) = (header, merkle);
        }
        let requests: Vec<Request> = proofs.iter().cloned().map(Request::from).collect();
        let verdicts = self.world.run(&requests);
        for (proof, verdict) in proofs.into_iter().zip(verdicts) {
            if let Err(reject) = verdict {
                assert!(reject.retryable, "{reject:?}");
                self.unclaimed.push(proof);
            }
        }
    }

    fn withdraw(&mut self, amounts: &[u64]) {
        let mut requests: Vec<(Request, String, u64)> = Vec::new();
        let mut left_sat = u64::try_from(self.world.notes_msat / 1000).unwrap();
        for amount_sat in amounts {
            self.addresses += 1;
            let address = address(self.addresses);
            let Ok(peg_out) = self.world.quoted(&address, *amount_sat) else {
                continue;
            };
            let Some(rest) = left_sat.checked_sub(amount_sat + peg_out.fee_sat) else {
                continue;
            };
            left_sat = rest;
            requests.push((peg_out.into(), address, *amount_sat));
        }
        let (requests, meant): (Vec<Request>, Vec<_>) =
            requests.into_iter().map(|(r, a, s)| (r, (a, s))).unzip();
        let verdicts = self.world.run(&requests);
        for (verdict, meant) in verdicts.into_iter().zip(meant) {
            match verdict {
                Ok(txid) => drop(self.owed.insert(txid, meant)),
                // Votes of the same epoch are counted first, and so are earlier peg-outs: a quote may be too old.
                Err(reject) => assert!(OUTDATED.contains(&reject.code.as_str()), "{reject:?}"),
            }
        }
    }

    /// Everybody honest, fees low, blocks coming: all that was accepted is paid, once.
    fn heal(&mut self) {
        self.world.tamper = honest;
        self.world.set_fee_rate(1_000);
        self.world.chain.miners_sat_per_kvb = 0;
        for _ in 0..12 {
            self.world.chain.mine(vec![]);
            self.world.settle_down();
            self.unfreeze(u8::MAX);
        }
        assert_eq!(self.world.frozen(), None);
        for (txid, (address, amount_sat)) in &self.owed {
            let status = self.world.status(*txid).unwrap();
            assert_eq!(status.state, PegOutState::Confirmed, "{amount_sat} sat");
            let paid = self.world.chain.payments_to(&script(address));
            assert_eq!(paid, [*amount_sat]);
        }
        self.claim();
        assert!(self.unclaimed.is_empty());
        let utxos = self.world.query("utxos", &[]).unwrap();
        let utxos: CoinsAnswer = serde_json::from_value(utxos).unwrap();
        for coin in utxos.utxos {
            let unspent_sat = self.world.chain.unspent_sat(coin.outpoint);
            assert_eq!(unspent_sat, Some(coin.amount_sat));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn all_is_paid_once_and_nobody_disagrees(
        steps in steps(),
        large in any::<bool>(),
        peg_in_fee_sat in prop_oneof![Just(0), 0u64..1_500],
    ) {
        let guardians = if large { 7 } else { 4 };
        let mut story = Story {
            // What bumping may spend.
            world: World::with(guardians, |config| {
                config.peg_in_fee = Amount::from_sat(peg_in_fee_sat).unwrap();
            }),
            unclaimed: Vec::new(),
            deposits: 0,
            owed: BTreeMap::new(),
            addresses: 0,
        };
        story.world.observe();
        for step in steps {
            story.step(step);
        }
        story.heal();
    }
}
