//! Payments over Lightning, also when gateways fail. Every figure is checked.

mod offers;
mod vanish;

use std::{path::Path, thread, time::Duration};

use anyhow::{anyhow, bail, ensure, Context, Result};
use bitcoin::{
    hashes::{sha256, Hash as _},
    Amount,
};

use serde_json::Value;

use guildmint_testbed::{
    control::{control, Order},
    lightning::Lightning,
    network::Network,
    stop::Stop,
    table::Table,
    wallet::{Answer, Wallet},
};

use super::{equal, msat, sat, Audit, Demo};

/// What alice pays to Electrum, and what she would have paid.
const PAID: Amount = Amount::from_sat(20_000);
/// What Electrum pays to bob.
const RECEIVED: Amount = Amount::from_sat(30_000);
/// What alice pays to bob.
const INTERNAL: Amount = Amount::from_sat(10_000);
/// What alice pays while a gateway is killed.
const KILLED: Amount = Amount::from_sat(40_000);
/// What a federation takes for funding a contract and for taking it back, at most, in millisatoshi.
const FEW_MSAT: i128 = 1_000_000;
/// How long Electrum may take to pay.
const PAY_LIMIT: Duration = Duration::from_secs(90);

/// Runs the demo on a network with gateways. Returns the table of what happened.
pub fn run(network: &Network, nodes: &Lightning, wallet: &Path, stop: &Stop) -> Result<Table> {
    let demo = Demo::new(network, wallet, stop)?;
    let mut town = Town {
        demo,
        nodes,
        directory: network.directory(),
        keys: Vec::new(),
    };
    let state = network.state()?;
    let invite = state.federation.context("no federation")?.invite;
    town.step("alice and bob join", |town| {
        town.demo.join(&invite)?;
        Ok("invite code accepted".into())
    })?;
    town.step("alice pegs in", |town| town.demo.peg_in())?;
    town.keys = town.step_with("gateways are announced", Town::find_gateways)?;
    town.step("alice pays an Electrum invoice", Town::pay_out)?;
    town.step("bob is paid by Electrum", Town::receive)?;
    town.step("alice pays bob through one gateway", |town| {
        town.pay_within(0)
    })?;
    town.step("alice pays bob through another one", |town| {
        town.pay_within(1)
    })?;
    town.step("alice pays offers of a gateway's", Town::pay_offers)?;
    town.step("both pay one invoice", Town::pay_twice)?;
    town.step("a payee refuses: forfeit and refund", Town::be_refused)?;
    town.step("a gateway is killed, and pays", Town::kill)?;
    let before = town.step_with("a gateway vanishes: refund in time", Town::vanish)?;
    town.step("it comes back, and has lost nothing", |town| {
        town.come_back(before)
    })?;
    town.step("all guardians' audits agree", Town::check_audit)?;
    Ok(town.demo.table)
}

struct Town<'a> {
    demo: Demo,
    nodes: &'a Lightning,
    directory: &'a Path,
    /// The gateways' keys in the federation, in the order of the gateways.
    keys: Vec<String>,
}

/// What everybody has, in millisatoshi.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Holdings {
    alice: i128,
    bob: i128,
    /// All gateways' e-cash.
    ecash: i128,
    /// All gateways' part of their channels.
    channels: i128,
    /// Electrum's part of its channels.
    electrum: i128,
}

impl Holdings {
    fn owed(&self) -> i128 {
        self.alice + self.bob + self.ecash
    }
}

/// What a payment changes for those whom it concerns, in millisatoshi.
#[derive(Clone, Copy, Debug, Default)]
struct Change {
    alice: i128,
    bob: i128,
    electrum: i128,
}

impl Town<'_> {
    fn step(&mut self, what: &str, act: impl FnOnce(&Self) -> Result<String>) -> Result<()> {
        self.step_with(what, |town| Ok((act(town)?, ())))
    }

    fn step_with<T>(
        &mut self,
        what: &str,
        act: impl FnOnce(&Self) -> Result<(String, T)>,
    ) -> Result<T> {
        let (row, value) = Demo::measure(what, || act(self))?;
        self.demo.table.row(row);
        Ok(value)
    }

    fn find_gateways(&self) -> Result<(String, Vec<String>)> {
        let listed = self.demo.alice.run(&["ln", "gateways"])?;
        let listed = listed.document()["gateways"].as_array().cloned();
        let listed = listed.context("a list of gateways")?;
        let key = |url: &str| {
            let found = listed.iter().find(|gateway| gateway["url"] == url);
            let key = found.and_then(|gateway| gateway["gateway"].as_str());
            key.map(str::to_owned)
                .with_context(|| format!("{url} is not announced: {listed:?}"))
        };
        let gateways = &self.nodes.gateways;
        let keys = gateways.iter().map(|gateway| key(&gateway.api_url));
        let keys = keys.collect::<Result<Vec<_>>>()?;
        ensure!(listed.len() == keys.len(), "others are announced, too");
        Ok((format!("{} of them", keys.len()), keys))
    }

    fn pay_out(&self) -> Result<String> {
        let before = self.look()?;
        let invoice = self.nodes.electrum.invoice(PAID, "a book")?;
        let paid = self.alice(&["ln", "pay", &invoice.text, "--yes"])?;
        proven(&paid, &invoice.hash)?;
        let fee = fee_of(&paid, PAID)?;
        let gained = self.settle(
            before,
            Change {
                alice: -(msat_of(PAID) + fee),
                electrum: msat_of(PAID),
                ..Change::default()
            },
        )?;
        Ok(format!("{} + {fee} msat fee; {gained}", sat(PAID)))
    }

    fn receive(&self) -> Result<String> {
        let before = self.look()?;
        let made = self.demo.bob.run(&[
            "ln",
            "invoice",
            &sat(RECEIVED),
            "--description",
            "tea",
            "--gateway",
            &self.keys[1],
        ])?;
        let (invoice, operation) = (made.text("invoice")?, made.text("operation")?);
        let invoice_msat = i128::from(made.number("invoice_msat")?);
        let hash = made.text("payment_hash")?;
        let electrum = &self.nodes.electrum;
        let (paid, got) = thread::scope(|scope| {
            let paying = scope.spawn(|| electrum.pay(&invoice, PAY_LIMIT));
            // The wallet claims what the gateway funds.
            let got = self.demo.bob.run(&["ln", "status", &operation, "--wait"]);
            let paid = paying.join().map_err(|_| anyhow!("Electrum's thread"));
            Ok::<_, anyhow::Error>((paid??, got?))
        })?;
        ensure!(paid.success, "Electrum did not pay: {:?}", paid.log);
        is_preimage(&paid.preimage.context("a preimage")?, &hash)?;
        equal("credited", got.number("credited_msat")?, msat(RECEIVED))?;
        let gained = self.settle(
            before,
            Change {
                bob: msat_of(RECEIVED),
                electrum: -invoice_msat,
                ..Change::default()
            },
        )?;
        Ok(format!(
            "{} for {invoice_msat} msat; {gained}",
            sat(RECEIVED)
        ))
    }

    /// Bob's invoice is made by the first gateway. The same one swaps; the other one pays over Lightning.
    fn pay_within(&self, payer: usize) -> Result<String> {
        let before = self.look()?;
        let bob = &self.demo.bob;
        let amount = sat(INTERNAL);
        let made = bob.run(&["ln", "invoice", &amount, "--gateway", &self.keys[0]])?;
        let (invoice, operation) = (made.text("invoice")?, made.text("operation")?);
        let invoice_msat = made.number("invoice_msat")?;
        let pay = [
            "ln",
            "pay",
            &invoice,
            "--yes",
            "--gateway",
            &self.keys[payer],
        ];
        let (paid, got) = thread::scope(|scope| {
            let paying = scope.spawn(|| self.alice(&pay));
            let got = bob.run(&["ln", "status", &operation, "--wait"]);
            let paid = paying.join().map_err(|_| anyhow!("alice's thread"));
            Ok::<_, anyhow::Error>((paid??, got?))
        })?;
        proven(&paid, &made.text("payment_hash")?)?;
        equal("credited", got.number("credited_msat")?, msat(INTERNAL))?;
        let fee = fee_of(&paid, Amount::from_sat(invoice_msat / 1_000))?;
        let gained = self.settle(
            before,
            Change {
                alice: -(i128::from(invoice_msat) + fee),
                bob: msat_of(INTERNAL),
                ..Change::default()
            },
        )?;
        Ok(format!("{amount} + {fee} msat fee; {gained}"))
    }

    /// A payee is paid once; whoever comes second has the money back.
    fn pay_twice(&self) -> Result<String> {
        let before = self.look()?;
        let invoice = self.nodes.electrum.invoice(INTERNAL, "a gift")?;
        let pay = [
            "ln",
            "pay",
            &invoice.text,
            "--yes",
            "--gateway",
            &self.keys[0],
        ];
        let users = [&self.demo.alice, &self.demo.bob];
        let paid = thread::scope(|scope| {
            let paying = users.map(|user| scope.spawn(move || user.run(&pay)));
            paying.map(|it| it.join().ok().and_then(Result::ok))
        });
        let (payer, cost) = match &paid {
            [Some(paid), None] => (paid, self.refunded(&self.demo.bob)?),
            [None, Some(paid)] => (paid, self.refunded(&self.demo.alice)?),
            _ => bail!("not paid once: {paid:?}"),
        };
        proven(payer, &invoice.hash)?;
        let price = msat_of(INTERNAL) + fee_of(payer, INTERNAL)?;
        let [alice, bob] = match paid[0] {
            Some(_) => [-price, -cost],
            None => [-cost, -price],
        };
        let electrum = msat_of(INTERNAL);
        let change = Change {
            alice,
            bob,
            electrum,
        };
        let gained = self.settle(before, change)?;
        Ok(format!("one paid, one has it back; {gained}"))
    }

    fn be_refused(&self) -> Result<String> {
        let before = self.look()?;
        self.nodes.electrum.fail(true)?;
        let invoice = self.nodes.electrum.invoice(PAID, "refused")?;
        let paid = self.alice(&["ln", "pay", &invoice.text, "--yes"]);
        self.nodes.electrum.fail(false)?;
        ensure!(paid.is_err(), "a payment that was refused is done");
        let cost = self.refunded(&self.demo.alice)?;
        self.settle(
            before,
            Change {
                alice: -cost,
                ..Change::default()
            },
        )?;
        Ok(format!("all back but {cost} msat of the federation's"))
    }

    /// The last payment of a user's.
    fn payment(user: &Wallet) -> Result<Value> {
        let listed = user.run(&["operations", "list"])?;
        let all = listed.document()["operations"].as_array().cloned();
        let mut payments = all.context("a list of operations")?;
        payments.retain(|view| view["kind"] == "pay");
        payments.pop().context("a payment")
    }

    /// What a user's last payment, which came back, has cost.
    fn refunded(&self, user: &Wallet) -> Result<i128> {
        let view = Self::payment(user)?;
        ensure!(view["state"] == "refunded", "not refunded: {view}");
        let figure = |field: &str| {
            let figure = view[field].as_i64().map(i128::from);
            figure.with_context(|| format!("no {field}: {view}"))
        };
        // The gateway's fee was locked with the rest, and came back with it.
        let locked = figure("amount_msat")? + figure("fee_msat")?;
        let cost = locked - figure("returned_msat")?;
        ensure!(
            (0..FEW_MSAT).contains(&cost),
            "{cost} msat are lost: {view}"
        );
        Ok(cost)
    }

    fn kill(&self) -> Result<String> {
        let before = self.look()?;
        let electrum = &self.nodes.electrum;
        electrum.hold(true)?;
        let invoice = electrum.invoice(KILLED, "held")?;
        let pay = [
            "ln",
            "pay",
            &invoice.text,
            "--yes",
            "--gateway",
            &self.keys[0],
        ];
        let (paid, killed) = thread::scope(|scope| {
            let paying = scope.spawn(|| self.alice(&pay));
            let killed = self.wait_until_held(KILLED).and_then(|()| {
                self.control(0, Order::Kill)?;
                electrum.hold(false)?;
                self.control(0, Order::Start)
            });
            let paid = paying.join().map_err(|_| anyhow!("alice's thread"));
            (paid, killed)
        });
        killed?;
        let paid = paid??;
        proven(&paid, &invoice.hash)?;
        let fee = fee_of(&paid, KILLED)?;
        let gained = self.settle(
            before,
            Change {
                alice: -(msat_of(KILLED) + fee),
                electrum: msat_of(KILLED),
                ..Change::default()
            },
        )?;
        Ok(format!("{} + {fee} msat fee; {gained}", sat(KILLED)))
    }

    /// Waits until what the federation owes is what all have: a gateway may announce itself anew, which costs, between two looks.
    fn check_audit(&self) -> Result<String> {
        let mut last = None;
        let right = self.demo.wait("an audit of what all have", || {
            let (holdings, audit) = (self.look()?, self.demo.equal_audits()?);
            let is_right = audit.liabilities_msat == holdings.owed();
            last = Some(format!("{holdings:?} and {audit}"));
            Ok(is_right.then_some(audit))
        });
        let audit = right.with_context(|| format!("it is {}", last.unwrap_or_default()))?;
        Ok(audit.to_string())
    }

    fn alice(&self, arguments: &[&str]) -> Result<Answer> {
        Ok(self.demo.alice.run(arguments)?)
    }

    fn control(&self, gateway: usize, order: Order) -> Result<()> {
        let name = &self.nodes.gateways[gateway].spec.name;
        Ok(control(self.directory, name, order, &self.demo.stop)?)
    }

    /// Waits until Electrum has been offered a payment that it does not claim.
    fn wait_until_held(&self, amount: Amount) -> Result<()> {
        self.demo.wait("HTLC at Electrum", || {
            let channels = self.nodes.electrum.channels()?;
            let held_sat: u64 = channels.iter().map(|it| it.remote_in_flight_sat).sum();
            Ok((held_sat >= amount.to_sat()).then_some(()))
        })?;
        let mut gateways = self.nodes.gateways.iter();
        Ok(gateways.try_for_each(|gateway| self.nodes.rest(gateway))?)
    }

    fn look(&self) -> Result<Holdings> {
        let (mut ecash, mut channels) = (0, 0);
        for gateway in &self.nodes.gateways {
            let status = gateway.status()?;
            channels += i128::from(status.node.balances.channels_msat);
            let all = status.federations.iter();
            ecash += all
                .map(|it| i128::from(it.ecash_msat + it.pending_msat))
                .sum::<i128>();
        }
        Ok(Holdings {
            alice: self.demo.alice.balance_msat()?.into(),
            bob: self.demo.bob.balance_msat()?.into(),
            ecash,
            channels,
            electrum: self.nodes.electrum.balance()?.lightning_msat.into(),
        })
    }

    /// Waits until everybody has what they should, and nothing is missing: what Electrum got gateways have less in channels, and what the
    /// federation owes is what all have. Says what gateways have earned.
    fn settle(&self, before: Holdings, change: Change) -> Result<String> {
        let mut last = before;
        let settled = self.demo.wait("settled payment", || {
            let now = self.look()?;
            let owed = Audit::of(&self.demo.guardians[0])?.liabilities_msat;
            last = now;
            let right = now.alice == before.alice + change.alice
                && now.bob == before.bob + change.bob
                && now.electrum == before.electrum + change.electrum
                && now.channels == before.channels - change.electrum
                && now.owed() == owed;
            Ok(right.then_some(now))
        });
        let now = settled.with_context(|| format!("{before:?} by {change:?} is {last:?}"))?;
        let earned = now.ecash + now.channels - before.ecash - before.channels;
        ensure!(earned >= 0, "the gateways have lost {} msat", -earned);
        Ok(format!("gateways earn {earned} msat"))
    }
}

fn msat_of(amount: Amount) -> i128 {
    i128::from(msat(amount))
}

/// All that a payment cost on top of its amount.
fn fee_of(paid: &Answer, amount: Amount) -> Result<i128> {
    equal("what was paid", paid.number("amount_msat")?, msat(amount))?;
    Ok(i128::from(paid.number("fee_msat")?))
}

/// Whether a payment has the proof of it.
fn proven(paid: &Answer, hash: &str) -> Result<()> {
    equal("the payment", paid.text("state")?, "paid".to_owned())?;
    is_preimage(&paid.text("preimage")?, hash)
}

fn is_preimage(preimage: &str, hash: &str) -> Result<()> {
    let bytes = hex::decode(preimage).with_context(|| format!("{preimage:?} is not hex"))?;
    let hashed = sha256::Hash::hash(&bytes).to_string();
    equal("the hash of the proof", hashed.as_str(), hash)
}
