//! What happens in the federation: a deposit, notes, a payment on the chain.

use bitcoin::consensus::deserialize;
use guildmint_core::{Amount, Item, OutPoint, Transaction, TxId, Wire};
use guildmint_core::{EpochResult, PeerId};
use guildmint_engine::{EffectiveBatch, EpochOutput};
use guildmint_kit::{
    chain::FakeChain,
    play::{self, Burn, Mint},
    Sequencer,
};
use guildmint_mint::{
    client::{MasterSeed, MintClient, NoteRequest, SpendableNote},
    Denomination, MintOutcome,
};
use guildmint_wallet::{
    client::WalletClient, Block, Confirmation, Job, MerkleBranch, News, Watched,
};

use super::{dealt, founding, quorum, registry, MINT, WALLET};

/// A story, and what came up in it.
pub struct Story {
    sequencer: Sequencer,
    chain: FakeChain,
    agreed: Block,
    pending: Vec<Watched>,
    names: u64,
    /// Transactions, all accepted.
    pub transactions: Vec<Transaction>,
    /// The history of all epochs in which something happened.
    pub history: Vec<(EffectiveBatch, EpochResult)>,
    /// What guardians were told.
    pub news: Vec<News>,
    /// What they asked for.
    pub jobs: Vec<Vec<u8>>,
    /// A note.
    pub note: Option<SpendableNote>,
    /// What the first guardian told its owner.
    pub share: Option<MintOutcome>,
}

const ADDRESS: &str = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";

/// Tells it.
pub fn tell() -> Story {
    let (chain, agreed) = founding();
    let dealt = dealt();
    let mut story = Story {
        sequencer: Sequencer::new(&dealt.genesis, &registry(), &dealt.secrets).unwrap(),
        chain,
        agreed,
        pending: Vec::new(),
        names: 0,
        transactions: Vec::new(),
        history: Vec::new(),
        news: Vec::new(),
        jobs: Vec::new(),
        note: None,
        share: None,
    };
    story.deposit();
    story.issue_and_spend();
    story.withdraw();
    let history = story.sequencer.history();
    story.history = history
        .iter()
        .filter(|(b, _)| b.has_effect())
        .cloned()
        .collect();
    story
}

fn msat(msat: u64) -> Amount {
    Amount::from_msat(msat).unwrap()
}

impl Story {
    fn deposit(&mut self) {
        let config = dealt().wallet.clone();
        let federation = dealt().federation.id();
        let client = WalletClient::new(federation, WALLET, quorum(), config, &[1; 64]).unwrap();
        let out_point = self
            .chain
            .pay_among(client.script_pubkey(0).unwrap(), 50_000, 2);
        self.pass();
        self.pass();
        let place = self.chain.place(out_point.txid).unwrap();
        let proof = client.peg_in(
            0,
            self.chain.transaction(out_point.txid).unwrap(),
            out_point.vout,
            self.chain.block(place.height).unwrap().header,
            MerkleBranch::of(&self.chain.txids(place.height), place.position).unwrap(),
        );
        let input = Item::new(WALLET, &proof.unwrap());
        let output = burn(msat(50_000_000));
        self.submit(vec![input], vec![output], |txid| {
            vec![Some(client.sign(0, txid).unwrap())]
        });
    }

    fn issue_and_spend(&mut self) {
        let (config, federation) = (dealt().mint.clone(), dealt().federation.id());
        let seed = MasterSeed::new([1; 64]);
        let client = MintClient::new(federation, MINT, quorum(), config, &seed).unwrap();
        let request = |index| NoteRequest::new(Denomination::new(4).unwrap(), index);
        let requests = [request(0), request(1)];
        let input = self.pay(msat(32));
        let txid = self.submit(vec![input], client.outputs(&requests), |_| vec![None]);
        let shares = |index| {
            let shares = quorum().peers().map(|peer| {
                let outcome = self.sequencer.outcome(peer, OutPoint { txid, index });
                let outcome: MintOutcome = serde_json::from_value(outcome.unwrap()).unwrap();
                (peer, outcome.share)
            });
            shares.collect()
        };
        let note = client.finalize(&request(0), &shares(0)).unwrap().note;
        let kept = client.finalize(&request(1), &shares(1)).unwrap().note;
        let outcome = self
            .sequencer
            .outcome(PeerId(0), OutPoint { txid, index: 1 });
        self.share = serde_json::from_value(outcome.unwrap()).ok();
        self.note = Some(kept);
        let output = burn(msat(15));
        self.submit(vec![client.input(&note)], vec![output], |txid| {
            vec![Some(note.sign(txid))]
        });
    }

    fn withdraw(&mut self) {
        let peg_out = guildmint_wallet::PegOut {
            address: ADDRESS.into(),
            amount_sat: 10_000,
            fee_sat: 5_000,
        };
        let input = self.pay(peg_out.total().unwrap());
        self.submit(vec![input], vec![Item::new(WALLET, &peg_out)], |_| {
            vec![None]
        });
        for _ in 0..6 {
            self.pass();
        }
        assert!(self.pending.is_empty(), "the payment is confirmed");
    }

    fn pay(&mut self, amount: Amount) -> Item {
        self.names += 1;
        let mint = Mint {
            name: self.names,
            amount,
            key: None,
            honest: true,
        };
        Item::new(play::MODULE, &mint)
    }

    fn submit(
        &mut self,
        inputs: Vec<Item>,
        outputs: Vec<Item>,
        sign: impl FnOnce(TxId) -> Vec<Option<bitcoin::secp256k1::schnorr::Signature>>,
    ) -> TxId {
        let mut transaction = Transaction {
            inputs,
            outputs,
            signatures: Vec::new(),
        };
        transaction.signatures = sign(transaction.id(dealt().federation.id()));
        let txid = self.sequencer.submit(&transaction).unwrap();
        let output = self.sequencer.epoch().unwrap();
        assert_eq!(output.verdicts[&txid], Ok(()));
        self.transactions.push(transaction);
        self.work(&output);
        txid
    }

    /// A block, news of it, and an epoch.
    fn pass(&mut self) {
        self.chain.mine(2);
        let (first_height, tip_height) = (self.agreed.height + 1, self.chain.tip_height());
        let hashes = (first_height..tip_height).filter_map(|height| self.chain.hash(height));
        let mut news = vec![
            News::Chain {
                tip_height,
                first_height,
                hashes: hashes.collect(),
            },
            News::FeeRate { sat_per_kvb: 2_000 },
        ];
        news.extend(
            self.pending
                .iter()
                .filter_map(|watched| self.confirmed(watched)),
        );
        for one in &news {
            for peer in quorum().peers() {
                self.sequencer.news(peer, WALLET, &one.encode()).unwrap();
            }
        }
        self.news.extend(news);
        let output = self.sequencer.epoch().unwrap();
        self.work(&output);
    }

    fn confirmed(&self, watched: &Watched) -> Option<News> {
        let place = self.chain.place(watched.txid)?;
        let buried = place.height <= self.agreed.height;
        let block = self.chain.block(place.height).filter(|_| buried)?;
        Some(News::Confirmed(Confirmation {
            txid: watched.txid,
            height: place.height,
            header: block.header,
            merkle: MerkleBranch::of(&self.chain.txids(place.height), place.position)?,
        }))
    }

    fn work(&mut self, output: &EpochOutput) {
        for (module, job) in &output.jobs {
            if *module != WALLET {
                continue;
            }
            self.jobs.push(job.clone());
            match Job::decode(job).unwrap() {
                Job::Broadcast { transaction, .. } => {
                    self.chain
                        .broadcast(deserialize(&transaction).unwrap())
                        .unwrap();
                }
                Job::Watch {
                    agreed, pending, ..
                } => (self.agreed, self.pending) = (agreed, pending),
            }
        }
    }

    /// What the first guardian answers to a question.
    pub fn ask(&self, module: guildmint_core::ModuleId, path: &str) -> Vec<u8> {
        let query = guildmint_core::module::Query {
            path: path.into(),
            parameters: [("address", ADDRESS), ("amount_sat", "5000")]
                .map(|(name, value)| (name.into(), value.into()))
                .into(),
        };
        let answer = self.sequencer.query(PeerId(0), module, &query);
        serde_json::to_vec(&answer.unwrap().unwrap()).unwrap()
    }
}

fn burn(amount: Amount) -> Item {
    let padding = Vec::new();
    Item::new(play::MODULE, &Burn { amount, padding })
}
