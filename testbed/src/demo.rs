//! The main job on real bitcoin: in, from hand to hand, out. Every figure is checked.

pub mod lightning;

use std::{
    collections::BTreeSet,
    fmt,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{anyhow, ensure, Context, Result};
use bitcoin::{
    hashes::{sha256, Hash},
    key::CompressedPublicKey,
    secp256k1::{Secp256k1, SecretKey},
    Address, Amount, KnownHrp, Network as Chain,
};

use guildmint_testbed::{
    faucet::Faucet,
    federation::{Guardian, FINALITY_BLOCKS},
    network::Network,
    progress::{minutes, Progress},
    rpc::Rpc,
    stop::{Stop, WaitError},
    table::Table,
    wallet::Wallet,
};

/// What alice brings in.
const PEG_IN: Amount = Amount::from_sat(1_000_000);
/// What she hands to bob.
const HAND_OVER: Amount = Amount::from_sat(300_000);
/// What bob takes out.
const WITHDRAWAL: Amount = Amount::from_sat(200_000);
/// How long the federation may take for its part of a step.
const LIMIT: Duration = Duration::from_secs(120);
/// How long to wait for a withdrawal before another block is mined.
const BETWEEN_BLOCKS: Duration = Duration::from_secs(2);

/// Runs the demo on a network that is up, with the wallets below its directory. Returns the table of what happened.
pub fn run(network: &Network, wallet: &Path, stop: &Stop) -> Result<Table> {
    let mut demo = Demo::new(network, wallet, stop)?;
    let invite = network
        .state()?
        .federation
        .context("the network has no federation")?
        .invite;
    demo.step("alice and bob join", |demo| demo.join(&invite))?;
    demo.step("alice pegs in", Demo::peg_in)?;
    demo.step("alice hands e-cash to bob", Demo::hand_over)?;
    let (address, fee_msat) = demo.step_with("bob withdraws", Demo::withdraw)?;
    demo.step("the chain has it", |demo| demo.check_chain(&address))?;
    demo.step("balances add up", |demo| demo.check_balances(fee_msat))?;
    demo.step("all guardians' audits agree", Demo::check_audit)?;
    Ok(demo.table)
}

struct Demo {
    alice: Wallet,
    bob: Wallet,
    faucet: Faucet,
    rpc: Rpc,
    guardians: Vec<Guardian>,
    stop: Stop,
    table: Table,
}

impl Demo {
    fn new(network: &Network, wallet: &Path, stop: &Stop) -> Result<Self> {
        let state = network.state()?;
        let users = network.directory().join("users");
        Ok(Self {
            alice: Wallet::new(wallet, &users, "alice", stop)?,
            bob: Wallet::new(wallet, &users, "bob", stop)?,
            faucet: network.faucet()?,
            rpc: state.bitcoind.context("the network has no bitcoind")?.rpc,
            guardians: state.guardians,
            stop: stop.clone(),
            table: Table::new(["what happened", "figure", "took"]),
        })
    }

    fn step(&mut self, what: &str, act: impl FnOnce(&Self) -> Result<String>) -> Result<()> {
        self.step_with(what, |demo| Ok((act(demo)?, ())))
    }

    /// Does one thing and writes down the figure that it gives, and how long it took.
    fn step_with<T>(
        &mut self,
        what: &str,
        act: impl FnOnce(&Self) -> Result<(String, T)>,
    ) -> Result<T> {
        let (row, value) = Self::measure(what, || act(self))?;
        self.table.row(row);
        Ok(value)
    }

    /// Gives what to write down, too.
    fn measure<T>(
        what: &str,
        act: impl FnOnce() -> Result<(String, T)>,
    ) -> Result<([String; 3], T)> {
        let (begun, progress) = (Instant::now(), Progress::begin(what, None));
        let done = act();
        progress.end(if done.is_ok() { "done" } else { "failed" });
        let (figure, value) = done.with_context(|| what.to_owned())?;
        Ok(([what.to_owned(), figure, minutes(begun.elapsed())], value))
    }

    fn join(&self, invite: &str) -> Result<String> {
        for user in [&self.alice, &self.bob] {
            user.run(&["init"])?;
            user.run(&["join", invite])?;
        }
        Ok("invite code accepted".into())
    }

    fn peg_in(&self) -> Result<String> {
        let deposit = self.alice.run(&["deposit", "address"])?;
        let (address, operation) = (deposit.text("address")?, deposit.text("operation")?);
        let txid = self.faucet.pay(&parse_address(&address)?, PEG_IN)?;
        self.faucet.mine(FINALITY_BLOCKS + 1)?;
        let state = self
            .alice
            .run(&["deposit", "status", &operation, "--wait"])?
            .text("state")?;
        ensure!(
            state == "claimed",
            "the deposit {txid} is {state}, not claimed"
        );
        equal("alice's balance", self.alice.balance_msat()?, msat(PEG_IN))?;
        Ok(sat(PEG_IN))
    }

    fn hand_over(&self) -> Result<String> {
        let notes = self.alice.run(&["send", &sat(HAND_OVER)])?.text("notes")?;
        let received = self.bob.run(&["receive", &notes])?.number("amount_msat")?;
        equal("what bob received", received, msat(HAND_OVER))?;
        equal("bob's balance", self.bob.balance_msat()?, msat(HAND_OVER))?;
        Ok(sat(HAND_OVER))
    }

    /// Gives the address, and what the withdrawal cost besides its amount.
    fn withdraw(&self) -> Result<(String, (Address, u64))> {
        let address = fresh_address()?;
        let withdrawal =
            self.bob
                .run(&["withdraw", &address.to_string(), &sat(WITHDRAWAL), "--yes"])?;
        let fee_msat = withdrawal.number("fee_msat")?;
        ensure!(
            fee_msat > 0,
            "a withdrawal cannot be free: the chain is not"
        );
        Ok((
            format!("{} + {} fee", sat(WITHDRAWAL), in_sat(fee_msat)),
            (address, fee_msat),
        ))
    }

    fn check_chain(&self, address: &Address) -> Result<String> {
        let script = address.script_pubkey();
        let mut mined = Instant::now();
        let received = self.wait("the withdrawal on the chain", || {
            // A withdrawal that waits is mined at once; until it is there, blocks come now and then, as they do.
            if !self.rpc.mempool()?.is_empty() || mined.elapsed() >= BETWEEN_BLOCKS {
                self.faucet.mine(1)?;
                mined = Instant::now();
            }
            let unspent = self.rpc.unspent(&script)?;
            Ok((!unspent.is_empty())
                .then(|| unspent.iter().map(|output| output.amount).sum::<Amount>()))
        })?;
        equal(
            "what the address received, in msat",
            msat(received),
            msat(WITHDRAWAL),
        )?;
        Ok(format!("{} at {address}", sat(received)))
    }

    fn check_balances(&self, fee_msat: u64) -> Result<String> {
        let (alice, bob) = (self.alice.balance_msat()?, self.bob.balance_msat()?);
        equal("alice's balance", alice, msat(PEG_IN - HAND_OVER))?;
        equal(
            "bob's balance",
            bob,
            msat(HAND_OVER - WITHDRAWAL).saturating_sub(fee_msat),
        )?;
        Ok(format!("alice {}, bob {}", in_sat(alice), in_sat(bob)))
    }

    /// Guardians may be an epoch apart for a moment, so equal audits are waited for.
    fn equal_audits(&self) -> Result<Audit> {
        let audit = self.wait("equal audits on all guardians", || {
            let mut audits: BTreeSet<Audit> = self
                .guardians
                .iter()
                .map(Audit::of)
                .collect::<Result<_>>()?;
            Ok(audits.pop_first().filter(|_| audits.is_empty()))
        })?;
        equal(
            "its surplus",
            audit.net_msat,
            audit.assets_msat - audit.liabilities_msat,
        )?;
        ensure!(
            audit.net_msat >= 0,
            "the federation owes more than it has: {audit}"
        );
        Ok(audit)
    }

    fn check_audit(&self) -> Result<String> {
        let audit = self.equal_audits()?;
        let owed = self.alice.balance_msat()? + self.bob.balance_msat()?;
        equal(
            "what the federation owes",
            audit.liabilities_msat,
            i128::from(owed),
        )?;
        Ok(audit.to_string())
    }

    fn wait<T>(&self, what: &str, probe: impl FnMut() -> Result<Option<T>>) -> Result<T> {
        self.stop.wait(LIMIT, probe).map_err(|error| match error {
            WaitError::Failed(error) => error,
            WaitError::Interrupted => anyhow!("interrupted"),
            WaitError::TimedOut(limit) => anyhow!("no {what} within {} s", limit.as_secs()),
        })
    }
}

/// What a guardian says it has and owes, in millisatoshi.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Audit {
    assets_msat: i128,
    liabilities_msat: i128,
    net_msat: i128,
}

impl Audit {
    fn of(guardian: &Guardian) -> Result<Self> {
        let document = guardian.get("/v1/audit")?;
        let number = |field: &str| -> Result<i128> {
            let value = &document[field];
            let number = value
                .as_i64()
                .map(i128::from)
                .or_else(|| value.as_str()?.parse().ok());
            number.with_context(|| {
                format!(
                    "{}: the audit has no {field}: {document}",
                    guardian.spec.name
                )
            })
        };
        Ok(Self {
            assets_msat: number("assets_msat")?,
            liabilities_msat: number("liabilities_msat")?,
            net_msat: number("net_msat")?,
        })
    }
}

impl fmt::Display for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "has {} msat, owes {} msat",
            self.assets_msat, self.liabilities_msat
        )
    }
}

fn msat(amount: Amount) -> u64 {
    amount.to_sat() * 1000
}

fn sat(amount: Amount) -> String {
    in_sat(msat(amount))
}

/// As people read it: whole satoshis where there is no rest.
fn in_sat(msat: u64) -> String {
    match msat % 1_000 {
        0 => format!("{}sat", msat / 1_000),
        _ => format!("{msat}msat"),
    }
}

fn equal<T: PartialEq + fmt::Display>(what: &str, is: T, should: T) -> Result<()> {
    ensure!(is == should, "{what} is {is}, but should be {should}");
    Ok(())
}

fn parse_address(text: &str) -> Result<Address> {
    let address: Address<_> = text
        .parse()
        .with_context(|| format!("{text:?} is no address"))?;
    Ok(address.require_network(Chain::Regtest)?)
}

/// An address that nobody has seen before; its key is forgotten at once.
fn fresh_address() -> Result<Address> {
    let mut secret = [0; 32];
    getrandom::getrandom(&mut secret).map_err(|error| anyhow!("no randomness: {error}"))?;
    let key = SecretKey::from_slice(&sha256::Hash::hash(&secret).to_byte_array())?;
    let public = CompressedPublicKey(key.public_key(&Secp256k1::new()));
    Ok(Address::p2wpkh(&public, KnownHrp::Regtest))
}
