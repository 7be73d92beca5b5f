//! What users of Lightning do meanwhile: they pay to Electrum, are paid by it, and pay each other through gateways, and their programs are
//! killed, too.

use std::{
    collections::BTreeMap,
    sync::{
        atomic::{AtomicBool, AtomicU64, Ordering},
        Mutex, MutexGuard, PoisonError,
    },
    thread::Scope,
    time::{Duration, Instant},
};

use anyhow::Result;
use bitcoin::Amount;
use guildmint_testbed::{
    electrum::CallError,
    lightning::{Lightning, CHANNEL},
    stop::Stop,
    wallet::{Wallet, WalletError},
};

use super::{
    load::{kill_after, Street},
    wait, Dice, LIMIT,
};

/// What each pair begins with, in satoshi.
pub const BEGIN_SAT: u64 = 2_000_000;
/// The most that is paid at a time, and the least, in satoshi. ⚠ When a channel is closed, Electrum 4.3 stops to look at any of its channels if it
/// finds an HTLC that is not worth what it believes miners to ask on regtest, some 30,000 sat.
const AMOUNTS_SAT: std::ops::Range<u64> = 50_000..90_000;
/// How long a program that is killed has worked at most, in milliseconds.
const LIFE_MS: u64 = 3_000;
/// How long a user waits for a payment before doing something else; it goes on with the next command.
const PATIENCE: &str = "20s";
/// How long Electrum may try to pay.
const ELECTRUM_LIMIT: Duration = Duration::from_secs(60);
/// Between blocks.
const BLOCK_TIME: Duration = Duration::from_secs(2);

/// What was done, by payment hash in hex.
#[derive(Default)]
pub struct Deeds {
    /// Invoices of Electrum's that users were to pay, in satoshi.
    pub out: BTreeMap<String, u64>,
    /// Invoices of users' that Electrum was to pay.
    pub incoming: BTreeMap<String, String>,
}

/// Users, nodes, and what was done.
pub struct Market<'a> {
    street: &'a Street,
    nodes: &'a Lightning,
    keys: &'a [String],
    stop: &'a Stop,
    over: AtomicBool,
    killed: AtomicU64,
    delayed: AtomicU64,
    between_users: AtomicU64,
    pub reopened: AtomicU64,
    deeds: Mutex<Deeds>,
}

impl<'a> Market<'a> {
    pub fn new(
        street: &'a Street,
        nodes: &'a Lightning,
        keys: &'a [String],
        stop: &'a Stop,
    ) -> Self {
        Self {
            street,
            nodes,
            keys,
            stop,
            over: AtomicBool::new(false),
            killed: AtomicU64::new(0),
            delayed: AtomicU64::new(0),
            between_users: AtomicU64::new(0),
            reopened: AtomicU64::new(0),
            deeds: Mutex::default(),
        }
    }

    pub fn figures(&self) -> Vec<(&'static str, String)> {
        let figure = |counter: &AtomicU64| counter.load(Ordering::Relaxed).to_string();
        let deeds = self.deeds();
        vec![
            ("invoices of Electrum's", deeds.out.len().to_string()),
            ("invoices for Electrum", deeds.incoming.len().to_string()),
            ("invoices between users", figure(&self.between_users)),
            ("wallets killed", figure(&self.killed)),
            (
                "commands that failed and were taken up again",
                figure(&self.delayed),
            ),
            ("channels opened anew", figure(&self.reopened)),
        ]
    }

    pub fn deeds(&self) -> MutexGuard<'_, Deeds> {
        self.deeds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends it once everybody is done with what they do.
    pub fn end(&self) {
        self.over.store(true, Ordering::SeqCst);
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst) || self.stop.requested()
    }

    /// Mines while there is load, and opens channels in place of those that kills have closed.
    pub fn mine(&self) -> Result<()> {
        while !self.is_over() {
            self.street.with_faucet(|faucet| Ok(faucet.mine(1)?))?;
            self.reopen();
            let begun = Instant::now();
            let over = || Ok((begun.elapsed() >= BLOCK_TIME || self.is_over()).then_some(()));
            // Whoever asked for the end is heard above.
            let _ = wait(self.stop, LIMIT, over);
        }
        Ok(())
    }

    /// A gateway without a channel to Electrum opens one, if it is there and has the money.
    fn reopen(&self) {
        let Ok(uri) = self.nodes.electrum.uri() else {
            return;
        };
        for gateway in &self.nodes.gateways {
            let Ok(status) = gateway.status() else {
                continue;
            };
            let key = uri.split('@').next().unwrap_or_default();
            let mut channels = status.node.channels.iter();
            let is_rich = status.node.balances.wallet_msat > 2 * CHANNEL.to_sat() * 1_000;
            if is_rich && !channels.any(|channel| channel.peer == key) {
                // It may be killed before it has done so.
                let opened = gateway.open_channel(&uri, CHANNEL, CHANNEL / 2, false);
                self.reopened
                    .fetch_add(u64::from(opened.is_ok()), Ordering::Relaxed);
            }
        }
    }

    /// One pair's day. What Electrum pays is paid beside it.
    pub fn work<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        pair: usize,
        mut dice: Dice,
    ) -> Result<()> {
        while !self.is_over() {
            let one = dice.below(2) as usize;
            match dice.below(3) {
                0 => self.pay_out(pair, one, &mut dice)?,
                1 => self.receive(scope, pair, one, &mut dice)?,
                _ => self.pay_each_other(pair, one, &mut dice)?,
            }
        }
        Ok(())
    }

    fn amount_sat(dice: &mut Dice) -> u64 {
        AMOUNTS_SAT.start + dice.below(AMOUNTS_SAT.end - AMOUNTS_SAT.start)
    }

    fn key(&self, dice: &mut Dice) -> &str {
        &self.keys[dice.below(self.keys.len() as u64) as usize]
    }

    fn pay_out(&self, pair: usize, one: usize, dice: &mut Dice) -> Result<()> {
        let amount_sat = Self::amount_sat(dice);
        let invoice = self
            .nodes
            .electrum
            .invoice(Amount::from_sat(amount_sat), "soak")?;
        self.deeds().out.insert(invoice.hash, amount_sat);
        let wallet = &self.street.pairs[pair][one];
        self.pay(wallet, &invoice.text, dice)
    }

    fn pay(&self, wallet: &Wallet, invoice: &str, dice: &mut Dice) -> Result<()> {
        let key = self.key(dice);
        let pay = [
            "ln",
            "pay",
            invoice,
            "--yes",
            "--gateway",
            key,
            "--timeout",
            PATIENCE,
        ];
        self.do_or_die(wallet, &pay, dice).map(drop)
    }

    /// Invoice and hash, if one was made.
    fn invoice(
        &self,
        pair: usize,
        one: usize,
        dice: &mut Dice,
    ) -> Result<Option<(String, String)>> {
        let amount = format!("{}sat", Self::amount_sat(dice));
        let key = self.key(dice);
        let make = [
            "ln",
            "invoice",
            &amount,
            "--gateway",
            key,
            "--timeout",
            PATIENCE,
        ];
        self.do_or_die(&self.street.pairs[pair][one], &make, dice)
    }

    fn receive<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        pair: usize,
        one: usize,
        dice: &mut Dice,
    ) -> Result<()> {
        let Some((invoice, hash)) = self.invoice(pair, one, dice)? else {
            return Ok(());
        };
        self.deeds().incoming.insert(hash, invoice.clone());
        // How it ended is looked up at the end; it may be in flight for long.
        scope.spawn(move || {
            let _: Result<_, CallError> = self.nodes.electrum.pay(&invoice, ELECTRUM_LIMIT);
        });
        Ok(())
    }

    fn pay_each_other(&self, pair: usize, one: usize, dice: &mut Dice) -> Result<()> {
        let Some((invoice, _)) = self.invoice(pair, 1 - one, dice)? else {
            return Ok(());
        };
        self.between_users.fetch_add(1, Ordering::Relaxed);
        self.pay(&self.street.pairs[pair][one], &invoice, dice)
    }

    /// Runs a command, or runs it and kills it. Gives its invoice and hash, if it came to its end.
    fn do_or_die(
        &self,
        wallet: &Wallet,
        arguments: &[&str],
        dice: &mut Dice,
    ) -> Result<Option<(String, String)>> {
        if dice.percent(15) {
            self.killed.fetch_add(1, Ordering::Relaxed);
            let life = Duration::from_millis(dice.below(LIFE_MS));
            kill_after(wallet, arguments, life)?;
            return Ok(None);
        }
        match wallet.run(arguments) {
            Ok(answer) => {
                let field = |name| answer.text(name).unwrap_or_default();
                Ok(Some((field("invoice"), field("payment_hash"))))
            }
            // No gateway, too few guardians, or too little money: a user tries again another time.
            Err(WalletError::Refused { .. }) => {
                self.delayed.fetch_add(1, Ordering::Relaxed);
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }
}
