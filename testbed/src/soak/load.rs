//! What users do meanwhile: pairs that hand e-cash to each other, bring bitcoin in and take some out, and whose programs are killed,
//! too.

use std::{
    path::Path,
    process::Stdio,
    sync::{
        atomic::{AtomicBool, AtomicU64, Ordering},
        Mutex, PoisonError,
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use bitcoin::{hashes::Hash, Address, Amount, Network as Chain, ScriptBuf, WPubkeyHash};
use guildmint_testbed::{
    faucet::Faucet,
    federation::FINALITY_BLOCKS,
    network::Network,
    rpc::Rpc,
    stop::Stop,
    wallet::{Wallet, WalletError},
};

use super::{wait, Dice, LIMIT};

/// What each pair begins with, in satoshi.
pub const BEGIN_SAT: u64 = 200_000;
/// The most that is handed over at a time, brought in or taken out, in satoshi.
const MOST_SAT: u64 = 9_000;
/// The least that is brought in or taken out, in satoshi.
const LEAST_SAT: u64 = 3_000;
/// How long a program that is killed has worked at most, in milliseconds.
const LIFE_MS: u64 = 1_500;
/// Between blocks.
const BLOCK_TIME: Duration = Duration::from_secs(2);

/// Users, two and two, and the chain.
pub struct Street {
    pub pairs: Vec<[Wallet; 2]>,
    pub faucet: Mutex<Faucet>,
    pub rpc: Rpc,
    /// What each pair began with, in satoshi.
    pub begin_sat: u64,
}

impl Street {
    /// Users who have joined and have money.
    pub fn build(
        network: &Network,
        program: &Path,
        folder: &Path,
        (pairs, begin_sat): (usize, u64),
        stop: &Stop,
    ) -> Result<Self> {
        let state = network.state()?;
        let invite = state.federation.context("a federation")?.invite;
        let user = |name: String| -> Result<Wallet> {
            let wallet = Wallet::new(program, folder, &name, stop)?;
            wallet.run(&["init"])?;
            wallet.run(&["join", &invite])?;
            Ok(wallet)
        };
        let pair = |i| Ok([user(format!("user-{i}-a"))?, user(format!("user-{i}-b"))?]);
        let street = Self {
            pairs: (0..pairs).map(pair).collect::<Result<_>>()?,
            faucet: Mutex::new(network.faucet()?),
            rpc: state.bitcoind.context("a bitcoind")?.rpc,
            begin_sat,
        };
        for [first, _] in &street.pairs {
            let operation = street.bring_in(first, begin_sat)?;
            street.with_faucet(|faucet| Ok(faucet.mine(FINALITY_BLOCKS + 1)?))?;
            first.run(&["deposit", "status", &operation, "--wait"])?;
        }
        Ok(street)
    }

    pub fn with_faucet<T>(&self, act: impl FnOnce(&Faucet) -> Result<T>) -> Result<T> {
        act(&self.faucet.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Pays to a new address of a user; gives the operation.
    fn bring_in(&self, wallet: &Wallet, amount_sat: u64) -> Result<String> {
        let deposit = wallet.run(&["deposit", "address"])?;
        let address: Address<_> = deposit.text("address")?.parse()?;
        let address = address.require_network(Chain::Regtest)?;
        let amount = Amount::from_sat(amount_sat);
        self.with_faucet(|faucet| Ok(faucet.pay(&address, amount)?))?;
        Ok(deposit.text("operation")?)
    }
}

/// What was done, and what is still to be brought to an end.
pub struct Load<'a> {
    street: &'a Street,
    stop: &'a Stop,
    over: AtomicBool,
    handed_over: AtomicU64,
    delayed: AtomicU64,
    killed: AtomicU64,
    /// Bitcoin that came in, in satoshi.
    pub brought_in_sat: AtomicU64,
    /// Deposits: whose, by pair and place in it, and the operation.
    pub deposits: Mutex<Vec<(usize, usize, String)>>,
    /// Notes that somebody was to receive and perhaps has not: by whom, and the text.
    pub notes: Mutex<Vec<(usize, usize, String)>>,
}

impl<'a> Load<'a> {
    pub fn new(street: &'a Street, stop: &'a Stop) -> Self {
        Self {
            street,
            stop,
            over: AtomicBool::new(false),
            handed_over: AtomicU64::new(0),
            delayed: AtomicU64::new(0),
            killed: AtomicU64::new(0),
            brought_in_sat: AtomicU64::new(street.pairs.len() as u64 * street.begin_sat),
            deposits: Mutex::default(),
            notes: Mutex::default(),
        }
    }

    pub fn figures(&self) -> Vec<(&'static str, String)> {
        let figure = |counter: &AtomicU64| counter.load(Ordering::Relaxed).to_string();
        let deposits = self.deposits.lock().unwrap_or_else(PoisonError::into_inner);
        vec![
            ("payments between users", figure(&self.handed_over)),
            (
                "deposits",
                (deposits.len() + self.street.pairs.len()).to_string(),
            ),
            ("wallets killed", figure(&self.killed)),
            (
                "commands that failed and were taken up again",
                figure(&self.delayed),
            ),
        ]
    }

    /// Ends it once everybody is done with what they do.
    pub fn end(&self) {
        self.over.store(true, Ordering::SeqCst);
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst) || self.stop.requested()
    }

    /// Mines while there is load.
    pub fn mine(&self) -> Result<()> {
        while !self.is_over() {
            self.street.with_faucet(|faucet| Ok(faucet.mine(1)?))?;
            let begun = Instant::now();
            let over = || Ok((begun.elapsed() >= BLOCK_TIME || self.is_over()).then_some(()));
            // Whoever asked for the end is heard above.
            let _ = wait(self.stop, LIMIT, over);
        }
        Ok(())
    }

    /// One pair's day.
    pub fn work(&self, pair: usize, mut dice: Dice) -> Result<()> {
        while !self.is_over() {
            let one = dice.below(2) as usize;
            match dice.below(10) {
                0 => self.deposit(pair, one, &mut dice)?,
                1 => self.withdraw(pair, one, &mut dice)?,
                _ => self.hand_over(pair, one, &mut dice)?,
            }
        }
        Ok(())
    }

    fn amount_sat(dice: &mut Dice) -> u64 {
        LEAST_SAT + dice.below(MOST_SAT - LEAST_SAT)
    }

    fn deposit(&self, pair: usize, one: usize, dice: &mut Dice) -> Result<()> {
        let amount_sat = Self::amount_sat(dice);
        let wallet = &self.street.pairs[pair][one];
        // A new address takes no guardian.
        let operation = self.street.bring_in(wallet, amount_sat)?;
        self.brought_in_sat.fetch_add(amount_sat, Ordering::Relaxed);
        let mut deposits = self.deposits.lock().unwrap_or_else(PoisonError::into_inner);
        deposits.push((pair, one, operation));
        Ok(())
    }

    fn withdraw(&self, pair: usize, one: usize, dice: &mut Dice) -> Result<()> {
        let amount = format!("{}sat", Self::amount_sat(dice));
        let address = fresh_address(dice)?.to_string();
        let wallet = &self.street.pairs[pair][one];
        self.do_or_die(wallet, &["withdraw", &address, &amount, "--yes"], dice)
            .map(drop)
    }

    fn hand_over(&self, pair: usize, one: usize, dice: &mut Dice) -> Result<()> {
        let [from, to] = [one, 1 - one].map(|it| &self.street.pairs[pair][it]);
        let amount = format!("{}sat", 1 + dice.below(MOST_SAT));
        let sent = self.do_or_die(from, &["send", &amount], dice)?;
        let Some(notes) = sent else {
            // Whatever came of it is in the wallet's list of operations.
            return Ok(());
        };
        match self.do_or_die(to, &["receive", &notes], dice)? {
            Some(_) => {
                self.handed_over.fetch_add(1, Ordering::Relaxed);
            }
            None => {
                let mut left = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
                left.push((pair, 1 - one, notes));
            }
        }
        Ok(())
    }

    /// Runs a command, or runs it and kills it. Gives its notes, or nothing but that it came to its end.
    fn do_or_die(
        &self,
        wallet: &Wallet,
        arguments: &[&str],
        dice: &mut Dice,
    ) -> Result<Option<String>> {
        if dice.percent(15) {
            self.killed.fetch_add(1, Ordering::Relaxed);
            kill_after(
                wallet,
                arguments,
                Duration::from_millis(dice.below(LIFE_MS)),
            )?;
            return Ok(None);
        }
        match wallet.run(arguments) {
            Ok(answer) => Ok(Some(answer.text("notes").unwrap_or_default())),
            // Too few guardians for too long, or too little money: a user tries again another time.
            Err(WalletError::Refused { .. }) => {
                self.delayed.fetch_add(1, Ordering::Relaxed);
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }
}

pub fn kill_after(wallet: &Wallet, arguments: &[&str], after: Duration) -> Result<()> {
    let mut command = wallet.command(arguments);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn()?;
    // One that has ended before is well, too.
    let _ = Stop::default().wait(after, || child.try_wait().map(|ended| ended.map(drop)));
    child.kill()?;
    child.wait()?;
    Ok(())
}

/// An address that nobody can spend from.
fn fresh_address(dice: &mut Dice) -> Result<Address> {
    let bytes: Vec<u8> = (0..32).map(|_| dice.below(256) as u8).collect();
    let script = ScriptBuf::new_p2wpkh(&WPubkeyHash::hash(&bytes));
    Ok(Address::from_script(&script, Chain::Regtest)?)
}
