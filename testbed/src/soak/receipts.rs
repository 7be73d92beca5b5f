//! The end of a soak with Lightning: every payment is brought to its end, and everybody's money is looked for.

use std::{collections::BTreeMap, sync::atomic::Ordering};

use anyhow::{ensure, Context, Result};
use guildmint_testbed::{
    federation::FINALITY_BLOCKS,
    lightning::Lightning,
    stop::Stop,
    wallet::{Wallet, WalletError},
};
use serde_json::Value;

use super::{
    books::{all_owe, figure, operations},
    load::{Street, BEGIN_SAT},
    market::Market,
    wait,
    watch::Watch,
    LIMIT,
};

/// Blocks that are mined between two looks. HTLCs of channels that were closed end within some hundred of them.
const BLOCKS: u64 = 6;
/// How many looks that takes at most.
const LOOKS: u64 = 120;
/// What closing one channel, opening another, and sweeping what was in it, may cost all together, in millisatoshi: Electrum's fees on
/// regtest are high.
const CHANNEL_MSAT: i128 = 400_000_000;

/// What all nodes have on the chain and in channels, in millisatoshi.
pub fn wealth(nodes: &Lightning) -> Result<i128> {
    let balance = nodes.electrum.balance()?;
    let mut all = i128::from(balance.total_msat());
    for gateway in &nodes.gateways {
        all += i128::from(gateway.status()?.node.balances.total_msat());
    }
    Ok(all)
}

/// What is known at the end.
pub struct Receipts {
    paid: u64,
    refunded: u64,
    credited: u64,
    waiting: u64,
    in_wallets_msat: u64,
    in_gateways_msat: u64,
    closed: u64,
    chain_cost_msat: i128,
    in_epoch: u64,
}

impl Receipts {
    pub fn figures(&self) -> Vec<(&'static str, String)> {
        let sat = |msat: u64| format!("{} sat", msat / 1_000);
        vec![
            ("payments that users made", self.paid.to_string()),
            ("payments that came back", self.refunded.to_string()),
            ("payments that users got", self.credited.to_string()),
            ("invoices that nobody paid", self.waiting.to_string()),
            ("in wallets", sat(self.in_wallets_msat)),
            ("in gateways, as e-cash", sat(self.in_gateways_msat)),
            ("channels closed by kills", self.closed.to_string()),
            (
                "which cost, with new ones",
                format!("{} sat", self.chain_cost_msat / 1_000),
            ),
            ("all guardians are in epoch", self.in_epoch.to_string()),
        ]
    }

    /// Brings all to its end, and finds that nothing is missing. `had_msat` is what nodes had before.
    pub fn settle(
        street: &Street,
        nodes: &Lightning,
        market: &Market<'_>,
        watch: &Watch,
        had_msat: i128,
    ) -> Result<Self> {
        bring_to_an_end(street, nodes)?;
        let mut receipts = Self {
            paid: 0,
            refunded: 0,
            credited: 0,
            waiting: 0,
            in_wallets_msat: 0,
            in_gateways_msat: 0,
            closed: closed_channels(nodes)?,
            chain_cost_msat: 0,
            in_epoch: 0,
        };
        let settled = nodes.electrum.settled()?;
        let settled = settled.into_iter().map(|it| (it.hash, it.amount_msat));
        let electrum = Seen {
            settled: settled.collect(),
            some_closed: receipts.closed > 0,
        };
        for (place, wallet) in street.pairs.iter().flatten().enumerate() {
            let began_msat = if place % 2 == 0 { BEGIN_SAT * 1_000 } else { 0 };
            receipts.count(wallet, began_msat, market, &electrum)?;
        }
        for gateway in &nodes.gateways {
            for federation in gateway.status()?.federations {
                receipts.in_gateways_msat += federation.ecash_msat + federation.pending_msat;
            }
        }
        let owed_msat = receipts.in_wallets_msat + receipts.in_gateways_msat;
        receipts.in_epoch = all_owe(watch, owed_msat)?;
        receipts.weigh(nodes, market, had_msat)?;
        Ok(receipts)
    }

    /// One user: what is in the wallet is what the payments come to, and each of them is what Electrum knows of it.
    fn count(
        &mut self,
        wallet: &Wallet,
        began_msat: u64,
        market: &Market<'_>,
        electrum: &Seen,
    ) -> Result<()> {
        let mut should_msat = i128::from(began_msat);
        for view in operations(wallet, "pay")? {
            should_msat -= self.count_payment(&view, market, electrum)?;
        }
        for view in operations(wallet, "invoice")? {
            should_msat += self.count_invoice(&view, market, electrum)?;
        }
        let balance = wallet.run(&["balance"])?;
        let has_msat = balance.number("balance_msat")? + balance.number("pending_msat")?;
        ensure!(
            i128::from(has_msat) == should_msat,
            "a wallet has {has_msat} msat, and its payments come to {should_msat}"
        );
        self.in_wallets_msat += has_msat;
        Ok(())
    }

    /// Gives what a payment cost.
    fn count_payment(
        &mut self,
        view: &Value,
        market: &Market<'_>,
        electrum: &Seen,
    ) -> Result<i128> {
        let hash = view["payment_hash"].as_str().context("a hash")?;
        let price = || Ok(figure(view, "amount_msat")? + figure(view, "fee_msat")?);
        let to_electrum = market.deeds().out.get(hash).copied();
        match view["state"].as_str() {
            Some("paid") => {
                self.paid += 1;
                if let Some(amount_sat) = to_electrum {
                    electrum.got(hash, amount_sat * 1_000, view)?;
                }
                price().map(i128::from)
            }
            Some("refunded") => {
                self.refunded += 1;
                electrum.got_nothing(hash, view)?;
                let returned_msat = figure(view, "returned_msat")?;
                Ok(i128::from(price()?) - i128::from(returned_msat))
            }
            Some("failed") => electrum.got_nothing(hash, view).map(|()| 0),
            _ => anyhow::bail!("a payment has not come to its end: {view}"),
        }
    }

    /// Gives what came of an invoice.
    fn count_invoice(
        &mut self,
        view: &Value,
        market: &Market<'_>,
        electrum: &Seen,
    ) -> Result<i128> {
        let Some(hash) = view["payment_hash"].as_str() else {
            // Given up before a gateway had made it.
            return Ok(0);
        };
        let from_electrum = market.deeds().incoming.contains_key(hash);
        match view["state"].as_str() {
            Some("claimed") => {
                self.credited += 1;
                if from_electrum {
                    electrum.gave(hash, figure(view, "invoice_msat")?, view)?;
                }
                figure(view, "credited_msat").map(i128::from)
            }
            Some("claiming") => anyhow::bail!("not claimed: {view}"),
            _ => {
                self.waiting += 1;
                electrum.gave_nothing(hash, view).map(|()| 0)
            }
        }
    }

    /// Nodes have what they had, but for what miners got.
    fn weigh(&mut self, nodes: &Lightning, market: &Market<'_>, had_msat: i128) -> Result<()> {
        let changed = self.closed + market.reopened.load(Ordering::Relaxed);
        let most = i128::from(changed) * CHANNEL_MSAT;
        let mut last = 0;
        let all = wait(&Stop::default(), LIMIT, || {
            nodes.mine(BLOCKS)?;
            last = had_msat - wealth(nodes)?;
            Ok((0..=most).contains(&last).then_some(()))
        });
        all.with_context(|| {
            format!("nodes have {last} msat less than before, of which {most} may be fees")
        })?;
        self.chain_cost_msat = last;
        Ok(())
    }
}

/// What Electrum knows. What was settled on the chain, after a channel was closed, is not in it.
struct Seen {
    /// What Electrum got of each payment, in millisatoshi; negative if it paid.
    settled: BTreeMap<String, i64>,
    some_closed: bool,
}

impl Seen {
    fn is(&self, hash: &str, should_msat: i64, view: &Value) -> Result<()> {
        match self.settled.get(hash) {
            None if self.some_closed => Ok(()),
            has => {
                ensure!(
                    has == Some(&should_msat),
                    "Electrum has {has:?} msat of {view}, not {should_msat}"
                );
                Ok(())
            }
        }
    }

    fn got(&self, hash: &str, amount_msat: u64, view: &Value) -> Result<()> {
        self.is(hash, i64::try_from(amount_msat)?, view)
    }

    fn gave(&self, hash: &str, amount_msat: u64, view: &Value) -> Result<()> {
        self.is(hash, -i64::try_from(amount_msat)?, view)
    }

    /// ⚠ What came back to a user has not arrived as well.
    fn got_nothing(&self, hash: &str, view: &Value) -> Result<()> {
        let has = self.settled.get(hash);
        ensure!(has.is_none(), "Electrum got {has:?} msat of {view}");
        Ok(())
    }

    /// ⚠ What Electrum paid has arrived.
    fn gave_nothing(&self, hash: &str, view: &Value) -> Result<()> {
        let has = self.settled.get(hash);
        ensure!(has.is_none(), "Electrum paid {has:?} msat for {view}");
        Ok(())
    }
}

fn closed_channels(nodes: &Lightning) -> Result<u64> {
    let channels = nodes.electrum.channels()?;
    let closed = channels
        .iter()
        .filter(|channel| channel.is_closed())
        .count();
    // Those between gateways are in nobody's list any more.
    let gateways = nodes.gateways.len();
    let mut between = 0;
    for gateway in &nodes.gateways {
        let status = gateway.status()?;
        let peers = status.node.channels.iter();
        let keys = nodes.electrum.uri()?;
        let electrum = keys.split('@').next().unwrap_or_default();
        between += peers.filter(|channel| channel.peer != electrum).count();
    }
    let should = gateways * gateways.saturating_sub(1);
    let lost = should.saturating_sub(between) / 2;
    Ok((closed + lost) as u64)
}

/// Goes on with all payments until none is under way: neither of users, nor of gateways, nor in a channel.
fn bring_to_an_end(street: &Street, nodes: &Lightning) -> Result<()> {
    nodes.mine(FINALITY_BLOCKS + 1)?;
    let mut last = String::new();
    for look in 0..LOOKS {
        for wallet in street.pairs.iter().flatten() {
            // What was paid on an invoice is seen at the first look; each takes a moment, and there are many.
            resume(wallet, look == 0)?;
        }
        match obstacle(street, nodes)? {
            // What gateways have funded meanwhile is claimed.
            None if look > 0 => {
                let mut wallets = street.pairs.iter().flatten();
                return wallets.try_for_each(|wallet| resume(wallet, true));
            }
            None => last.clear(),
            Some(obstacle) => last = obstacle,
        }
        nodes.mine(BLOCKS)?;
    }
    anyhow::bail!("after {} blocks: {last}", LOOKS * BLOCKS)
}

/// Payments go on as long as there is news of them; invoices that nobody pays wait for hours, and are only looked at.
fn resume(wallet: &Wallet, waiting: bool) -> Result<()> {
    let listed = wallet.run(&["operations", "list"])?;
    let all = listed.document()["operations"].as_array().cloned();
    for view in all.unwrap_or_default() {
        let state = view["state"].as_str().unwrap_or_default();
        let is_over = ["paid", "refunded", "failed", "claimed", "expired"].contains(&state);
        let name = view["operation"].as_str().context("an operation")?;
        let command = match view["kind"].as_str() {
            Some("pay") if !is_over => ["ln", "status", name, "--wait", "--timeout", "3s"].to_vec(),
            Some("invoice") if state == "claiming" || waiting && !is_over => {
                ["ln", "status", name].to_vec()
            }
            _ => continue,
        };
        match wallet.run(&command) {
            Ok(_) | Err(WalletError::Refused { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Something that is still under way.
fn obstacle(street: &Street, nodes: &Lightning) -> Result<Option<String>> {
    for wallet in street.pairs.iter().flatten() {
        for view in operations(wallet, "pay")? {
            let state = view["state"].as_str().unwrap_or_default();
            if !["paid", "refunded", "failed"].contains(&state) {
                return Ok(Some(format!("a payment is under way: {view}")));
            }
        }
        for view in operations(wallet, "invoice")? {
            if view["state"] == "claiming" {
                return Ok(Some(format!("not claimed: {view}")));
            }
        }
    }
    for gateway in &nodes.gateways {
        let status = gateway.status()?;
        let name = &gateway.spec.name;
        // Invoices that nobody has paid wait for hours.
        let payments = gateway.payments()?;
        let open = payments["open"].as_array().context("a list")?;
        if let Some(payment) = open.iter().find(|it| it["state"] != "open") {
            return Ok(Some(format!("{name} has not ended {payment}")));
        }
        if status.node.balances.closing_msat > 0 {
            return Ok(Some(format!("{name} waits for closed channels")));
        }
    }
    for channel in nodes.electrum.channels()? {
        if channel.local_in_flight_sat + channel.remote_in_flight_sat > 0 && !channel.is_closed() {
            return Ok(Some(format!("in flight at Electrum: {channel:?}")));
        }
    }
    Ok(None)
}
