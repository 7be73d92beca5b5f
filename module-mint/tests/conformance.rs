//! What every module must do, with stories about somebody who has notes issued, spends them, and tries to spend them twice.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use guildmint_core::{Amount, Item, OutPoint, PeerId, Quorum, TxId};
use guildmint_kit::{
    conformance::{Dealt, Subject, World, MODULE},
    rand::{seq::SliceRandom, Rng},
    ChaCha20Rng,
};
use guildmint_mint::{
    client::{MasterSeed, MintClient, NoteRequest, SpendableNote},
    dealer, Denomination, Mint, MintConfig, MintOutcome, PointBytes,
};

/// Notes of 8 to 32 msat: enough to pay the fees below.
const EXPONENTS: std::ops::Range<u8> = 3..6;

struct Holder {
    client: MintClient,
    next: BTreeMap<Denomination, u64>,
    /// Notes that were asked for in the last epoch.
    asked: Vec<(TxId, Vec<NoteRequest>)>,
    /// Notes that were issued, spent or not.
    notes: Vec<SpendableNote>,
}

fn msat(msat: u64) -> Amount {
    Amount::from_msat(msat).unwrap()
}

impl Subject for Holder {
    type Module = Mint;
    const SEEDS: u64 = 2;
    const EPOCHS: usize = 6;

    fn deal(quorum: Quorum, rng: &mut ChaCha20Rng) -> Dealt<Mint> {
        let denominations = EXPONENTS.map(|exponent| Denomination::new(exponent).unwrap());
        let (mut config, secrets) = dealer::deal(quorum, denominations, rng).unwrap();
        config.input_fee = msat(1);
        config.output_fee = msat(2);
        (config, secrets)
    }

    fn begin(world: &World<Mint>, config: &MintConfig) -> Self {
        let seed = MasterSeed::new([1; 64]);
        let (federation, quorum) = (world.federation(), world.quorum());
        Self {
            client: MintClient::new(federation, MODULE, quorum, config.clone(), &seed).unwrap(),
            next: BTreeMap::new(),
            asked: Vec::new(),
            notes: Vec::new(),
        }
    }

    fn act(&mut self, world: &mut World<Mint>, rng: &mut ChaCha20Rng) {
        self.collect(world);
        self.ask(world, rng);
        for _ in 0..rng.gen_range(0..3) {
            self.spend(world, rng);
        }
        world
            .query(PeerId(0), "denominations", &[])
            .unwrap()
            .unwrap();
        for path in ["issued-prefixes", "spent-prefixes"] {
            let none = [("from", "0".to_owned()), ("to", "0".to_owned())];
            let count = world.query(PeerId(0), path, &none).unwrap().unwrap()["count"].to_string();
            let all = [("from", "0".to_owned()), ("to", count)];
            world.query(PeerId(0), path, &all).unwrap().unwrap();
        }
        let first = [("page", "0".to_owned())];
        world.query(PeerId(0), "shares", &first).unwrap().unwrap();
        let nonces: Vec<String> = self.notes.iter().map(|n| n.nonce().to_string()).collect();
        if let Some(nonce) = nonces.choose(rng) {
            let path = format!("notes/{nonce}");
            world.query(PeerId(0), &path, &[]).unwrap().unwrap();
            let all = [("nonces", nonces.join(","))];
            world.query(PeerId(0), "spent", &all).unwrap().unwrap();
        }
    }
}

impl Holder {
    /// Makes notes of the shares of those that were accepted.
    fn collect(&mut self, world: &World<Mint>) {
        for (txid, requests) in std::mem::take(&mut self.asked) {
            if !world.was_accepted(txid) {
                continue;
            }
            for (index, request) in (0..).zip(requests) {
                let shares: BTreeMap<PeerId, PointBytes> = world
                    .outcomes(OutPoint { txid, index })
                    .into_iter()
                    .map(|(peer, json)| {
                        let outcome: MintOutcome = serde_json::from_value(json).unwrap();
                        (peer, outcome.share)
                    })
                    .collect();
                assert_eq!(shares.len(), world.quorum().guardians());
                let finalized = self.client.finalize(&request, &shares).unwrap();
                assert!(finalized.culprits.is_empty());
                self.notes.push(finalized.note);
            }
        }
    }

    fn requests(&mut self, count: usize, rng: &mut ChaCha20Rng) -> Vec<NoteRequest> {
        let request = |_| {
            let denomination = Denomination::new(rng.gen_range(EXPONENTS)).unwrap();
            let next = self.next.entry(denomination).or_default();
            // Sometimes an index is used twice by mistake.
            *next += u64::from(rng.gen_range(0..6) > 0);
            NoteRequest::new(denomination, *next)
        };
        (0..count).map(request).collect()
    }

    /// Asks for new notes, and pays with play money.
    fn ask(&mut self, world: &mut World<Mint>, rng: &mut ChaCha20Rng) {
        let count = rng.gen_range(1..3);
        let requests = self.requests(count, rng);
        let price = requests.iter().map(|r| r.denomination.msat() + 2).sum();
        let input = world.pay_in(msat(price));
        let outputs = self.client.outputs(&requests);
        if let Ok(txid) = world.submit(vec![input], outputs, |_| vec![None]) {
            self.asked.push((txid, requests));
        }
    }

    /// Spends a note, or one that is spent, for play money and sometimes a new note.
    fn spend(&mut self, world: &mut World<Mint>, rng: &mut ChaCha20Rng) {
        let Some(note) = self.notes.choose(rng).cloned() else {
            return;
        };
        let brings = note.denomination().msat() - 1;
        let reissue: bool = rng.gen();
        let requests = self.requests(usize::from(reissue), rng);
        let price: u64 = requests.iter().map(|r| r.denomination.msat() + 2).sum();
        let mut inputs: Vec<Item> = vec![self.client.input(&note)];
        let mut outputs = self.client.outputs(&requests);
        // The difference is paid in or out.
        if price > brings {
            inputs.push(world.pay_in(msat(price - brings)));
        } else {
            outputs.push(world.pay_out(msat(brings - price)));
        }
        let inputs_count = inputs.len();
        let sign = |txid| {
            let mut signatures = vec![Some(note.sign(txid))];
            signatures.resize(inputs_count, None);
            signatures
        };
        if let Ok(txid) = world.submit(inputs, outputs, sign) {
            self.asked.push((txid, requests));
        }
    }
}

guildmint_kit::conformance!(Holder);
