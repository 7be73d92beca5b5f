//! The end: everything that was begun is brought to its end, and every satoshi is looked for.

use std::{
    collections::BTreeSet,
    sync::{atomic::Ordering, PoisonError},
};

use anyhow::{bail, ensure, Context, Result};
use bitcoin::{Address, Amount, Network as Chain};
use guildmint_testbed::{
    federation::FINALITY_BLOCKS,
    stop::Stop,
    wallet::{Wallet, WalletError},
};
use serde_json::Value;

use super::{
    load::{Load, Street},
    wait,
    watch::Watch,
    LIMIT,
};

/// What is known at the end.
pub struct Books {
    brought_in_msat: u64,
    taken_out_msat: u64,
    withdrawals: usize,
    in_wallets_msat: u64,
    in_epoch: u64,
}

impl Books {
    pub fn figures(&self) -> Vec<(&'static str, String)> {
        let sat = |msat: u64| format!("{} sat", msat / 1_000);
        vec![
            ("withdrawals", self.withdrawals.to_string()),
            ("brought in", sat(self.brought_in_msat)),
            ("taken out, with fees", sat(self.taken_out_msat)),
            (
                "in wallets, and owed by all guardians",
                sat(self.in_wallets_msat),
            ),
            ("all guardians are in epoch", self.in_epoch.to_string()),
        ]
    }

    /// Brings all to its end, and finds that nothing is missing.
    pub fn settle(street: &Street, load: &Load<'_>, watch: &Watch) -> Result<Self> {
        street.with_faucet(|faucet| Ok(faucet.mine(FINALITY_BLOCKS + 1)?))?;
        for wallet in street.pairs.iter().flatten() {
            // What waits for a guardian that has only just come back may take another try.
            let resumed = wait(&Stop::default(), LIMIT, || Ok(resume(wallet).ok()));
            resumed.context("operations do not come to an end")?;
        }
        let deposits = load.deposits.lock().unwrap_or_else(PoisonError::into_inner);
        for (pair, one, operation) in deposits.iter() {
            street.pairs[*pair][*one].run(&["deposit", "status", operation, "--wait"])?;
        }
        let notes = load.notes.lock().unwrap_or_else(PoisonError::into_inner);
        for (pair, one, text) in notes.iter() {
            refused_if_spent(street.pairs[*pair][*one].run(&["receive", text]).map(drop))?;
        }
        for wallet in street.pairs.iter().flatten() {
            // Notes that were never handed over.
            refused_if_spent(wallet.run(&["reclaim"]).map(drop))?;
        }
        let brought_in_msat = load.brought_in_sat.load(Ordering::Relaxed) * 1_000;
        let withdrawn = withdrawals(street)?;
        let (withdrawals, taken_out_msat) = (withdrawn.many, withdrawn.msat);
        let mut in_wallets_msat = withdrawn.waiting_msat;
        for wallet in street.pairs.iter().flatten() {
            // What comes back of a withdrawal that waits is pending.
            let balance = wallet.run(&["balance"])?;
            in_wallets_msat += balance.number("balance_msat")? + balance.number("pending_msat")?;
        }
        ensure!(
            brought_in_msat == taken_out_msat + in_wallets_msat,
            "{brought_in_msat} msat came in, {taken_out_msat} went out, {in_wallets_msat} are in wallets"
        );
        let in_epoch = all_owe(watch, in_wallets_msat)?;
        let faults = watch.faults()?;
        ensure!(
            faults.is_empty(),
            "guardians that were killed are blamed: {faults:?}"
        );
        Ok(Self {
            brought_in_msat,
            taken_out_msat,
            withdrawals,
            in_wallets_msat,
            in_epoch,
        })
    }
}

/// What was done before, or taken back, cannot be done again.
fn refused_if_spent(done: Result<(), WalletError>) -> Result<()> {
    match done {
        Err(WalletError::Refused { answer, .. }) if answer.contains("\"note_spent\"") => Ok(()),
        other => Ok(other?),
    }
}

/// Goes on with all that is pending, to its end. A withdrawal for which fees have risen waits until they fall.
fn resume(wallet: &Wallet) -> Result<()> {
    match wallet.run(&["operations", "resume"]) {
        Err(WalletError::Refused { answer, .. }) if answer.contains("\"fee_too_low\"") => Ok(()),
        other => Ok(other.map(drop)?),
    }
}

/// What became of withdrawals.
#[derive(Default)]
struct Withdrawn {
    many: usize,
    /// What those cost that were accepted, with fees.
    msat: u64,
    /// What those would cost that wait for lower fees.
    waiting_msat: u64,
}

/// All withdrawals. Those that were accepted have arrived once.
fn withdrawals(street: &Street) -> Result<Withdrawn> {
    let mut withdrawn = Withdrawn::default();
    for wallet in street.pairs.iter().flatten() {
        for view in operations(wallet, "withdraw")? {
            let msat = figure(&view, "amount_sat")? * 1_000 + figure(&view, "fee_msat")?;
            match view["state"].as_str() {
                Some("signed" | "confirmed") => {
                    arrives(street, &view)?;
                    withdrawn.many += 1;
                    withdrawn.msat += msat;
                }
                Some("submitted") => withdrawn.waiting_msat += msat,
                Some("failed") => {}
                _ => bail!("a withdrawal has not come to its end: {view}"),
            }
        }
    }
    Ok(withdrawn)
}

/// Waits until a withdrawal is on the chain, and finds no more than was withdrawn.
fn arrives(street: &Street, view: &Value) -> Result<()> {
    let amount_sat = figure(view, "amount_sat")?;
    let address: Address<_> = view["address"].as_str().context("an address")?.parse()?;
    let script = address.require_network(Chain::Regtest)?.script_pubkey();
    let arrived = wait(&Stop::default(), LIMIT, || {
        if !street.rpc.mempool()?.is_empty() {
            street.with_faucet(|faucet| Ok(faucet.mine(1)?))?;
        }
        let unspent = street.rpc.unspent(&script)?;
        let sum: Amount = unspent.iter().map(|output| output.amount).sum();
        ensure!(sum.to_sat() <= amount_sat, "{sum} came of {view}");
        Ok((sum.to_sat() == amount_sat).then_some(()))
    });
    arrived.with_context(|| format!("not on the chain: {view}"))
}

pub fn operations(wallet: &Wallet, kind: &str) -> Result<Vec<Value>> {
    let list = wallet.run(&["operations", "list"])?;
    let all = list.document()["operations"].as_array().context("a list")?;
    let of_kind = all.iter().filter(|view| view["kind"] == kind);
    Ok(of_kind.cloned().collect())
}

/// Waits until all guardians owe just what is in wallets, in the same epoch.
pub fn all_owe(watch: &Watch, in_wallets_msat: u64) -> Result<u64> {
    let mut sheets = Vec::new();
    let all_right = wait(&Stop::default(), LIMIT, || {
        sheets = watch
            .guardians
            .iter()
            .map(|guardian| Ok(guardian.get("/v1/audit")?))
            .collect::<Result<Vec<Value>>>()?;
        let owed = |sheet: &Value| figure(sheet, "liabilities_msat").ok() == Some(in_wallets_msat);
        let epochs: BTreeSet<_> = sheets.iter().map(|sheet| sheet["epoch"].as_u64()).collect();
        let assets: BTreeSet<_> = sheets
            .iter()
            .map(|sheet| sheet["assets_msat"].to_string())
            .collect();
        Ok((sheets.iter().all(owed) && epochs.len() == 1 && assets.len() == 1).then_some(()))
    });
    all_right
        .with_context(|| format!("{in_wallets_msat} msat are in wallets; owed: {sheets:?}"))?;
    for index in 0..watch.guardians.len() {
        watch.look(index)?;
    }
    sheets[0]["epoch"].as_u64().context("an epoch")
}

/// A figure in a document, which may be written as text.
pub fn figure(document: &Value, field: &str) -> Result<u64> {
    let value = &document[field];
    let number = value.as_u64().or_else(|| value.as_str()?.parse().ok());
    number.with_context(|| format!("no {field}: {document}"))
}
