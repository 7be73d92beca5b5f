//! Guardians that agree at once on everything they say, each with a database of its own.

use std::collections::BTreeMap;

use bitcoin::{consensus::deserialize, ScriptBuf, Transaction};
use guildmint_core::{
    ledger::{Ledger, Memory, Scope, Space},
    module::{At, Fault, Federation, Later, Query, Reject, ServerModule},
    Epoch, FederationId, ModuleId, PeerId, Quorum, TxId, Wire,
};
use guildmint_wallet::{
    client::WalletClient, dealer, server::Wallet, Block, ChainAnswer, Confirmation, Frozen, Job,
    News, PegInProof, PegOut, PegOutQuote, PegOutStatus, Vote, WalletConfig, Watched,
};
use rand_chacha::{rand_core::SeedableRng, ChaCha20Rng};
use serde_json::Value as Json;

use crate::chain::{pay, start, Chain};

const MODULE: ModuleId = ModuleId(3);
const AGREED: Scope = Scope::module(Space::Agreed, MODULE);
const LOCAL: Scope = Scope::module(Space::Local, MODULE);

pub struct Guardian {
    pub wallet: Wallet,
    pub memory: Memory,
    pub watch: Option<(Block, Vec<Watched>)>,
    pub fee_rate_sat_per_kvb: u64,
}

pub struct World {
    pub config: WalletConfig,
    pub chain: Chain,
    pub guardians: Vec<Guardian>,
    pub client: WalletClient,
    pub epoch: u64,
    /// What the federation owes besides what the wallet knows of: notes, in this test a number.
    pub notes_msat: i128,
    /// Changes votes on their way: the adversary.
    pub tamper: fn(PeerId, &mut Vote),
    pub faults: Vec<Fault>,
    transactions: u64,
}

/// What the tests submit: inputs, outputs; the difference is notes.
#[derive(Default)]
pub struct Request {
    pub inputs: Vec<PegInProof>,
    pub outputs: Vec<PegOut>,
}

impl From<PegInProof> for Request {
    fn from(proof: PegInProof) -> Self {
        Self {
            inputs: vec![proof],
            ..Self::default()
        }
    }
}

impl From<PegOut> for Request {
    fn from(peg_out: PegOut) -> Self {
        Self {
            outputs: vec![peg_out],
            ..Self::default()
        }
    }
}

pub type Verdict = Result<guildmint_core::TxId, Reject>;

impl World {
    pub fn new(guardians: u16) -> Self {
        Self::with(guardians, |_| ())
    }

    pub fn with(guardians: u16, adjust: impl Fn(&mut WalletConfig)) -> Self {
        let quorum = Quorum::new(guardians).unwrap();
        let mut rng = ChaCha20Rng::seed_from_u64(u64::from(guardians));
        let (mut config, secrets) =
            dealer::deal(bitcoin::Network::Regtest, start(), quorum, &mut rng);
        adjust(&mut config);
        let id = FederationId([9; 32]);
        let guardian = |(me, secret)| {
            let federation = Federation {
                id,
                quorum,
                network: config.network,
                me,
            };
            Guardian {
                wallet: Wallet::new(federation, config.clone(), secret).unwrap(),
                memory: Memory::default(),
                watch: None,
                fee_rate_sat_per_kvb: 1_000,
            }
        };
        Self {
            chain: Chain::new(),
            guardians: quorum.peers().zip(secrets).map(guardian).collect(),
            client: WalletClient::new(id, MODULE, quorum, config.clone(), &[7; 64]).unwrap(),
            config,
            epoch: 0,
            notes_msat: 0,
            tamper: |_, _| (),
            faults: Vec::new(),
            transactions: 0,
        }
    }

    /// A federation that has agreed on a fee rate and holds these deposits.
    pub fn funded(guardians: u16, deposits_sat: &[u64]) -> Self {
        let mut world = Self::new(guardians);
        world.fund(deposits_sat);
        world
    }

    pub fn fund(&mut self, deposits_sat: &[u64]) {
        let first = self.transactions * 1000;
        let proofs: Vec<PegInProof> = (first..)
            .zip(deposits_sat)
            .map(|(index, sat)| self.deposit(index, *sat))
            .collect();
        self.bury();
        for proof in proofs {
            self.submit(proof).unwrap();
        }
    }

    pub fn set_fee_rate(&mut self, sat_per_kvb: u64) {
        for guardian in &mut self.guardians {
            guardian.fee_rate_sat_per_kvb = sat_per_kvb;
        }
    }

    /// Pays to a deposit address, mines that, and proves it.
    pub fn deposit(&mut self, index: u64, amount_sat: u64) -> PegInProof {
        let script = self.client.script_pubkey(index).unwrap();
        let transaction = self.chain.stranger_pays(vec![pay(script, amount_sat)]);
        self.chain.mine(vec![transaction.clone()]);
        self.prove(index, &transaction, 0)
    }

    pub fn prove(&self, index: u64, transaction: &Transaction, output: u32) -> PegInProof {
        let (_, header, merkle) = self.chain.find(transaction.compute_txid()).unwrap();
        self.client
            .peg_in(index, transaction, output, header, merkle)
            .unwrap()
    }

    /// Mines until all that is mined now is final, and agrees on it.
    pub fn bury(&mut self) {
        self.chain.mine_empty(self.config.finality_blocks);
        self.settle_down();
    }

    /// What observers see.
    pub fn observe(&mut self) {
        let tip = self.chain.tip();
        for guardian in &mut self.guardians {
            let (agreed, pending) = guardian.watch.clone().unwrap_or((start(), vec![]));
            let chain = News::of_chain(agreed, tip.height, self.config.finality_blocks, |height| {
                self.chain.hash(height)
            });
            let sat_per_kvb = guardian.fee_rate_sat_per_kvb;
            if let Some(chain) = chain {
                guardian.hear(chain);
            }
            guardian.hear(News::FeeRate { sat_per_kvb });
            for watched in pending {
                let found = self.chain.find(watched.txid);
                if let Some((height, header, merkle)) = found.filter(|f| f.0 <= agreed.height) {
                    guardian.hear(News::Confirmed(Confirmation {
                        txid: watched.txid,
                        height,
                        header,
                        merkle,
                    }));
                }
            }
        }
    }

    pub fn votes(&self) -> Vec<(PeerId, Vote)> {
        let votes = (0..).map(PeerId).zip(&self.guardians);
        let mut votes: Vec<(PeerId, Vote)> = votes
            .filter_map(|(peer, guardian)| Some((peer, guardian.vote()?)))
            .collect();
        votes
            .iter_mut()
            .for_each(|(peer, vote)| (self.tamper)(*peer, vote));
        votes
    }

    /// Epochs until nobody has anything to say.
    pub fn settle_down(&mut self) {
        for _ in 0..100 {
            self.observe();
            if self.votes().is_empty() {
                return;
            }
            self.run(&[]);
        }
        panic!("the guardians never stop talking");
    }

    /// One epoch with one transaction.
    pub fn submit(&mut self, request: impl Into<Request>) -> Verdict {
        self.run(&[request.into()]).remove(0)
    }

    /// One epoch with these transactions, on every guardian.
    pub fn run(&mut self, requests: &[Request]) -> Vec<Verdict> {
        let votes = self.votes();
        let first = self.transactions;
        self.transactions += requests.len() as u64;
        let at = At {
            epoch: Epoch(self.epoch),
            height: self.chain.tip().height,
            version: 1,
        };
        self.epoch += 1;
        let mut results = Vec::new();
        for guardian in &mut self.guardians {
            results.push(guardian.process(at, votes.clone(), first, requests));
        }
        let (verdicts, notes, faults, jobs) = results.pop().unwrap();
        for (guardian, other) in self.guardians.iter().zip(&results) {
            assert_eq!((&other.0, &other.3), (&verdicts, &jobs), "guardians differ");
            assert_eq!(guardian.agreed_rows(), self.guardians[0].agreed_rows());
        }
        self.notes_msat += notes;
        self.faults.extend(faults);
        self.carry_out(jobs);
        self.check_balance();
        verdicts
    }

    fn carry_out(&mut self, jobs: Vec<Job>) {
        for job in jobs {
            assert_eq!(Job::decode(&job.encode()).as_ref(), Ok(&job));
            match job {
                Job::Broadcast { transaction, txid } => {
                    let transaction: Transaction = deserialize(&transaction).unwrap();
                    assert_eq!(transaction.compute_txid(), txid);
                    let rate = self.config.fee_rate_bounds.min_sat_per_kvb;
                    self.chain.broadcast(transaction, rate);
                }
                Job::Watch {
                    agreed, pending, ..
                } => {
                    for guardian in &mut self.guardians {
                        guardian.watch = Some((agreed, pending.clone()));
                    }
                }
            }
        }
    }

    /// Reserves − liabilities = fees collected − fees paid, and never below zero.
    fn check_balance(&self) {
        let audit = self.guardians[0].read(|wallet, agreed, _| wallet.audit(agreed));
        let net_msat =
            i128::from(audit.assets_msat) - i128::from(audit.liabilities_msat) - self.notes_msat;
        assert!(net_msat >= 0, "{net_msat} msat are missing");
        let utxos = self.query("utxos", &[]).unwrap();
        let coins = utxos["utxos"].as_array().unwrap();
        let sum: u64 = coins
            .iter()
            .map(|coin| coin["amount_sat"].as_u64().unwrap())
            .sum();
        assert_eq!(sum * 1000, audit.assets_msat);
    }

    /// What is left of fees, in millisatoshi.
    pub fn net_msat(&self) -> i128 {
        let audit = self.guardians[0].read(|wallet, agreed, _| wallet.audit(agreed));
        i128::from(audit.assets_msat) - i128::from(audit.liabilities_msat) - self.notes_msat
    }

    pub fn query(&self, path: &str, parameters: &[(&str, &str)]) -> Result<Json, Reject> {
        let parameters = parameters
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        let query = Query {
            path: path.into(),
            parameters: parameters.collect(),
        };
        self.guardians[0]
            .read(|wallet, agreed, local| wallet.query(agreed, local, &query))
            .unwrap()
    }

    pub fn frozen(&self) -> Option<Frozen> {
        let chain: ChainAnswer = serde_json::from_value(self.query("chain", &[]).unwrap()).unwrap();
        chain.frozen
    }

    pub fn quote(&self, address: &str, amount_sat: u64) -> Result<PegOutQuote, Reject> {
        let amount = amount_sat.to_string();
        let answer = self.query(
            "peg-out-quote",
            &[("address", address), ("amount_sat", &amount)],
        )?;
        Ok(serde_json::from_value(answer).unwrap())
    }

    /// A peg-out at the price of a quote.
    pub fn quoted(&self, address: &str, amount_sat: u64) -> Result<PegOut, Reject> {
        let fee_sat = self.quote(address, amount_sat)?.fee_sat;
        Ok(self.client.peg_out(address, amount_sat, fee_sat).unwrap())
    }

    pub fn status(&self, txid: TxId) -> Option<PegOutStatus> {
        let output = PegOut {
            address: String::new(),
            amount_sat: 0,
            fee_sat: 0,
        };
        let at = guildmint_core::OutPoint { txid, index: 0 };
        self.guardians[0]
            .read(|wallet, agreed, _| wallet.outcome(agreed, &output, at, None).map(Later::get))
    }
}

type Processed = (Vec<Verdict>, i128, Vec<Fault>, Vec<Job>);

impl Guardian {
    pub fn read<T>(
        &self,
        ask: impl FnOnce(
            &Wallet,
            &guildmint_core::ledger::View<'_, '_>,
            &guildmint_core::ledger::View<'_, '_>,
        ) -> T,
    ) -> T {
        let (mut agreed, mut local) = (Ledger::new(&self.memory), Ledger::new(&self.memory));
        ask(&self.wallet, &agreed.view(AGREED), &local.view(LOCAL))
    }

    pub fn vote(&self) -> Option<Vote> {
        let vote = self.read(|wallet, agreed, local| wallet.vote(agreed, local))?;
        assert_eq!(Vote::decode(&vote.encode()).as_ref(), Ok(&vote));
        Some(vote)
    }

    pub fn hear(&mut self, news: News) {
        let mut ledger = Ledger::new(&self.memory);
        self.wallet.sighted(&mut ledger.view(LOCAL), news);
        let changes = ledger.finish().unwrap();
        self.memory.apply(changes);
    }

    pub fn agreed_rows(&self) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let rows = self.memory.0.iter().filter(|(key, _)| key.is_agreed());
        rows.map(|(key, value)| (key.0.clone(), value.clone()))
            .collect()
    }

    fn process(
        &mut self,
        at: At,
        votes: Vec<(PeerId, Vote)>,
        first: u64,
        requests: &[Request],
    ) -> Processed {
        let mut ledger = Ledger::new(&self.memory);
        let faults = self.wallet.tally(&mut ledger.view(AGREED), votes, at);
        let mut notes = 0;
        let mut verdicts = Vec::new();
        for (number, request) in (first..).zip(requests) {
            ledger.begin();
            let mut txid = [0; 32];
            txid[..8].copy_from_slice(&number.to_le_bytes());
            let result = self.apply(&mut ledger, TxId(txid), request, at);
            match &result {
                Ok(_) => ledger.keep(),
                Err(_) => ledger.discard(),
            }
            notes += result.as_ref().unwrap_or(&0);
            verdicts.push(result.map(|_| TxId(txid)));
        }
        let jobs = self.wallet.settle(&mut ledger.view(AGREED), at);
        let changes = ledger.finish().unwrap();
        self.memory.apply(changes);
        (verdicts, notes, faults, jobs)
    }

    fn apply(
        &self,
        ledger: &mut Ledger<'_>,
        txid: TxId,
        request: &Request,
        at: At,
    ) -> Result<i128, Reject> {
        let mut notes = 0;
        for input in &request.inputs {
            assert_eq!(PegInProof::decode(&input.encode()).as_ref(), Ok(input));
            let key = self.wallet.check_input(input)?;
            let spent = self.wallet.spend(&mut ledger.view(AGREED), input, at)?;
            assert_eq!(spent.key, key);
            notes += i128::from(spent.amount.msat()) - i128::from(spent.fee.msat());
        }
        for (index, output) in (0..).zip(&request.outputs) {
            self.wallet.check_output(output)?;
            let at_output = guildmint_core::OutPoint { txid, index };
            let mut view = ledger.view(AGREED);
            let charge = self.wallet.accept(&mut view, output, at_output, at)?;
            notes -= i128::from(charge.amount.msat()) + i128::from(charge.fee.msat());
        }
        Ok(notes)
    }
}

/// A different address for each number.
pub fn address(number: u16) -> String {
    let mut hash = [0x11; 20];
    hash[..2].copy_from_slice(&number.to_le_bytes());
    let script = ScriptBuf::new_p2wpkh(&bitcoin::WPubkeyHash::from_raw_hash(
        bitcoin::hashes::Hash::from_byte_array(hash),
    ));
    bitcoin::Address::from_script(&script, bitcoin::Network::Regtest)
        .unwrap()
        .to_string()
}

pub fn script(address: &str) -> ScriptBuf {
    let address: bitcoin::Address<_> = address.parse().unwrap();
    address.assume_checked().script_pubkey()
}
