//! What every module must do, with stories of deposits and payments on a bitcoin network in memory.
#![allow(clippy::unwrap_used)]

use bitcoin::{consensus::deserialize, Network, OutPoint};
use guildmint_core::{module::Reject, Amount, Item, PeerId, Quorum, TxId};
use guildmint_kit::{
    chain::FakeChain,
    conformance::{Dealt, Subject, World, MODULE},
    rand::{seq::SliceRandom, Rng},
    ChaCha20Rng,
};
use guildmint_wallet::{
    client::WalletClient, dealer, server::Wallet, Block, Confirmation, Job, MerkleBranch, News,
    PegOutQuote, WalletConfig, Watched,
};

const ADDRESSES: [&str; 2] = [
    "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080",
    "bcrt1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqc8gma6",
];

struct Users {
    chain: FakeChain,
    client: WalletClient,
    config: WalletConfig,
    /// What the federation asked to be watched.
    agreed: Block,
    pending: Vec<Watched>,
    /// Deposits by the index of their key, claimed or not.
    deposits: Vec<(u64, OutPoint, u64)>,
}

/// The chain when the federation was founded.
fn founding() -> (FakeChain, Block) {
    let mut chain = FakeChain::new();
    chain.mine(3);
    let height = chain.tip_height();
    let hash = chain.hash(height).unwrap();
    (chain, Block { height, hash })
}

fn msat(msat: u64) -> Amount {
    Amount::from_msat(msat).unwrap()
}

impl Subject for Users {
    type Module = Wallet;
    const SEEDS: u64 = 6;
    const EPOCHS: usize = 16;
    /// Miners.
    const PAYS_OUTSIDE: bool = true;

    fn deal(quorum: Quorum, rng: &mut ChaCha20Rng) -> Dealt<Wallet> {
        let (mut config, secrets) = dealer::deal(Network::Regtest, founding().1, quorum, rng);
        config.peg_in_fee = msat(1_500);
        config.peg_out_fee = msat(2_700);
        (config, secrets)
    }

    fn begin(world: &World<Wallet>, config: &WalletConfig) -> Self {
        let (federation, quorum) = (world.federation(), world.quorum());
        let seed = &[1; 64];
        let client = WalletClient::new(federation, MODULE, quorum, config.clone(), seed);
        let (chain, agreed) = founding();
        Self {
            chain,
            client: client.unwrap(),
            config: config.clone(),
            agreed,
            pending: Vec::new(),
            deposits: Vec::new(),
        }
    }

    fn act(&mut self, world: &mut World<Wallet>, rng: &mut ChaCha20Rng) {
        self.work(world.jobs());
        for _ in 0..rng.gen_range(0..3) {
            self.deposit(rng);
        }
        // Never so deep that a block goes which is agreed.
        if self.chain.tip_height() > founding().1.height && rng.gen_range(0..8) == 0 {
            self.chain.reorganise(1);
        }
        self.chain.mine(rng.gen_range(0..3));
        for peer in world.quorum().peers() {
            if rng.gen_range(0..4) > 0 {
                self.look(world, peer, rng);
            }
        }
        for _ in 0..rng.gen_range(0..3) {
            self.claim(world, rng);
            self.withdraw(world, rng);
        }
        for path in ["chain", "utxos", "recoverable", "peg-outs"] {
            world.query(PeerId(0), path, &[]).unwrap().unwrap();
        }
        let none = [("from", "0".to_owned()), ("to", "0".to_owned())];
        let claimed = world.query(PeerId(0), "claimed-prefixes", &none);
        let all = ("to", claimed.unwrap().unwrap()["count"].to_string());
        let all = [("from", "0".to_owned()), all];
        world
            .query(PeerId(0), "claimed-prefixes", &all)
            .unwrap()
            .unwrap();
        let hash = [("hash", self.agreed.hash.to_string())];
        assert!(world.query(PeerId(0), "block", &hash).is_some());
    }
}

impl Users {
    /// Does what the federation asks for.
    fn work(&mut self, jobs: Vec<Job>) {
        for job in jobs {
            match job {
                Job::Broadcast { transaction, .. } => {
                    let taken = self.chain.broadcast(deserialize(&transaction).unwrap());
                    assert_eq!(
                        taken,
                        Ok(()),
                        "the network refuses the federation's transaction"
                    );
                }
                Job::Watch {
                    agreed, pending, ..
                } => (self.agreed, self.pending) = (agreed, pending),
            }
        }
    }

    /// Somebody pays to the federation; sometimes a miner, who has to wait for long.
    fn deposit(&mut self, rng: &mut ChaCha20Rng) {
        let index = self.deposits.len() as u64;
        let script = self.client.script_pubkey(index).unwrap();
        let sat = rng.gen_range(1_900..100_000);
        let (out_point, sat) = match rng.gen_range(0..8) {
            0 => (self.chain.mine_paying(script), 5_000_000_000),
            others => (self.chain.pay_among(script, sat, others), sat),
        };
        self.deposits.push((index, out_point, sat));
    }

    /// A guardian looks at the chain, of which it may not have the last block.
    fn look(&self, world: &mut World<Wallet>, peer: PeerId, rng: &mut ChaCha20Rng) {
        let tip_height = self.chain.tip_height() - rng.gen_range(0..2);
        let finality = self.config.finality_blocks;
        let news = News::of_chain(self.agreed, tip_height, finality, |height| {
            self.chain.hash(height)
        });
        if let Some(news) = news {
            world.news(peer, &news);
        }
        let sat_per_kvb = rng.gen_range(1_000..4_000);
        world.news(peer, &News::FeeRate { sat_per_kvb });
        for watched in &self.pending {
            if let Some(confirmation) = self.confirmation(watched) {
                world.news(peer, &News::Confirmed(confirmation));
            }
        }
    }

    fn confirmation(&self, watched: &Watched) -> Option<Confirmation> {
        let place = self.chain.place(watched.txid)?;
        let buried = place.height <= self.agreed.height;
        let block = self.chain.block(place.height).filter(|_| buried)?;
        Some(Confirmation {
            txid: watched.txid,
            height: place.height,
            header: block.header,
            merkle: MerkleBranch::of(&self.chain.txids(place.height), place.position)?,
        })
    }

    /// Claims a deposit, perhaps too early, perhaps again.
    fn claim(&self, world: &mut World<Wallet>, rng: &mut ChaCha20Rng) -> Option<TxId> {
        let (index, out_point, sat) = *self.deposits.choose(rng)?;
        let place = self.chain.place(out_point.txid)?;
        let transaction = self.chain.transaction(out_point.txid)?;
        let header = self.chain.block(place.height)?.header;
        let merkle = MerkleBranch::of(&self.chain.txids(place.height), place.position)?;
        let proof = self
            .client
            .peg_in(index, transaction, out_point.vout, header, merkle);
        let Ok(proof) = proof else {
            assert!(sat < self.config.min_peg_in_sat);
            return None;
        };
        // In two parts, or a second claim would be the same transaction.
        let total = sat * 1000 - self.config.peg_in_fee.msat();
        let part = rng.gen_range(1..total);
        let outputs = vec![world.pay_out(msat(part)), world.pay_out(msat(total - part))];
        let sign = |txid| vec![Some(self.client.sign(index, txid).unwrap())];
        let verdict = world.submit(vec![Item::new(MODULE, &proof)], outputs, sign);
        only(
            &verdict,
            &["not_buried", "already_claimed", "coinbase_immature"],
        );
        verdict.ok()
    }

    /// Pays to an address, at the quoted price or sometimes less.
    fn withdraw(&self, world: &mut World<Wallet>, rng: &mut ChaCha20Rng) -> Option<TxId> {
        let address = *ADDRESSES.choose(rng)?;
        let amount_sat = rng.gen_range(400..30_000);
        let parameters = [
            ("address", address.to_owned()),
            ("amount_sat", amount_sat.to_string()),
        ];
        let quote = world.query(PeerId(0), "peg-out-quote", &parameters)?;
        only(&quote, &["no_fee_rate", "insufficient_coins"]);
        let quote: PegOutQuote = serde_json::from_value(quote.ok()?).unwrap();
        let less = u64::from(rng.gen_range(0..5) == 0);
        let peg_out = self
            .client
            .peg_out(address, amount_sat, quote.fee_sat - less)
            .unwrap();
        let total = peg_out.total().unwrap();
        let input = world.pay_in(total.checked_add(quote.module_fee).unwrap());
        let output = Item::new(MODULE, &peg_out);
        let verdict = world.submit(vec![input], vec![output], |_| vec![None]);
        only(&verdict, &["fee_too_low"]);
        assert_eq!(verdict.is_err(), less == 1);
        verdict.ok()
    }
}

fn only<T>(result: &Result<T, Reject>, codes: &[&str]) {
    if let Err(reject) = result {
        assert!(codes.contains(&reject.code.as_str()), "{reject:?}");
    }
}

guildmint_kit::conformance!(Users);
