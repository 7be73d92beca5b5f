//! `cargo testbed bench --lightning`: what payments take, as users of the command-line wallet see them, and what they cost a gateway.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use anyhow::{anyhow, ensure, Context, Result};
use bitcoin::{Address, Amount, Network as Chain};

use guildmint_testbed::{
    control::{control, Order},
    federation::FINALITY_BLOCKS,
    lightning::Lightning,
    network::Network,
    programs::Programs,
    state::State,
    stop::Stop,
    table::Table,
    wallet::Wallet,
};

/// Users, half of whom pay the others.
const USERS: usize = 8;
/// What each begins with.
const FUNDS: Amount = Amount::from_sat(400_000);
/// What is paid each time.
const AMOUNT: &str = "1000sat";
const AMOUNT_SAT: u64 = 1_000;
/// Payments of each kind whose time is taken, one after the other.
const TIMED: usize = 30;
/// Payments of each user when all pay at once.
const AT_ONCE: usize = 10;
/// What gateways may have in a federation while they are measured.
const GATEWAY_LIMIT: Amount = Amount::from_sat(100_000_000);
/// How long one payment may take.
const LIMIT: Duration = Duration::from_secs(60);
/// In which `/proc` counts processor time, in milliseconds.
const TICK_MS: u64 = 10;

struct Bench<'a> {
    network: &'a Network,
    nodes: &'a Lightning,
    keys: Vec<String>,
    users: Vec<Wallet>,
    stop: &'a Stop,
}

/// Measures, on a network with gateways.
pub fn run(
    network: &Network,
    nodes: &Lightning,
    programs: &Programs,
    stop: &Stop,
) -> Result<Table> {
    let bench = Bench::new(network, nodes, programs, stop)?;
    let mut table = Table::new(["what", "p50", "p99", "gateway's processor time"]);
    table.row(bench.timed("pay, to Electrum", || bench.pay())?);
    table.row(bench.timed("receive, from Electrum", || bench.receive())?);
    table.row(bench.timed("pay within the federation, one gateway", || bench.within(0))?);
    table.row(bench.timed("pay within the federation, two gateways", || {
        bench.within(1)
    })?);
    let (rate, cpu_ms) = bench.at_once()?;
    let pairs = USERS / 2;
    table.row([
        format!("{pairs} pairs at once, one gateway"),
        format!("{rate:.2} payments/s"),
        String::new(),
        format!("{cpu_ms} ms"),
    ]);
    let (ready, ended) = bench.recovery()?;
    table.row([
        "killed in a payment: start to ready, to the end".to_owned(),
        seconds(ready),
        seconds(ended),
        String::new(),
    ]);
    Ok(table)
}

impl<'a> Bench<'a> {
    fn new(
        network: &'a Network,
        nodes: &'a Lightning,
        programs: &Programs,
        stop: &'a Stop,
    ) -> Result<Self> {
        let federation = network.state()?.federation.context("a federation")?;
        let folder = network.directory().join("users");
        let mut keys = Vec::new();
        for gateway in &nodes.gateways {
            gateway.limit(&federation.federation_id, GATEWAY_LIMIT)?;
            let served = gateway.status()?.federations.into_iter().next();
            keys.push(served.context("a federation that is served")?.key);
        }
        let (faucet, mut users) = (network.faucet()?, Vec::new());
        let mut deposits = Vec::new();
        for number in 0..USERS {
            let user = Wallet::new(&programs.wallet, &folder, &format!("user-{number}"), stop)?;
            user.run(&["init"])?;
            user.run(&["join", &federation.invite])?;
            let deposit = user.run(&["deposit", "address"])?;
            let address: Address<_> = deposit.text("address")?.parse()?;
            faucet.pay(&address.require_network(Chain::Regtest)?, FUNDS)?;
            deposits.push(deposit.text("operation")?);
            users.push(user);
        }
        nodes.mine(FINALITY_BLOCKS + 1)?;
        for (user, operation) in users.iter().zip(&deposits) {
            user.run(&["deposit", "status", operation, "--wait"])?;
        }
        Ok(Self {
            network,
            nodes,
            keys,
            users,
            stop,
        })
    }

    /// One kind of payment, one after the other.
    fn timed(&self, what: &str, act: impl Fn() -> Result<Duration>) -> Result<[String; 4]> {
        let before_ms = self.cpu_ms(0)?;
        let mut took = (0..TIMED)
            .map(|_| act())
            .collect::<Result<Vec<_>>>()
            .with_context(|| what.to_owned())?;
        let cpu_ms = (self.cpu_ms(0)? - before_ms) / TIMED as u64;
        took.sort();
        let [p50, p99] = [50, 99].map(|percent| took[(took.len() * percent / 100).min(TIMED - 1)]);
        let what = format!("{what}, {TIMED} times");
        Ok([what, seconds(p50), seconds(p99), format!("{cpu_ms} ms")])
    }

    /// Processor time that a gateway has taken since it started.
    fn cpu_ms(&self, gateway: usize) -> Result<u64> {
        let state = State::load(self.network.directory())?;
        let name = &self.nodes.gateways[gateway].spec.name;
        let pid = state.running(name).context("a gateway that runs")?.pid;
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let fields = stat.rsplit_once(')').context("a process")?.1;
        let ticks = fields.split_ascii_whitespace().skip(11).take(2);
        let ticks: u64 = ticks.filter_map(|field| field.parse::<u64>().ok()).sum();
        Ok(ticks * TICK_MS)
    }

    fn ln_pay(&self, user: &Wallet, invoice: &str, gateway: usize) -> Result<()> {
        let key = &self.keys[gateway];
        let paid = user.run(&["ln", "pay", invoice, "--yes", "--gateway", key])?;
        ensure!(paid.text("state")? == "paid", "{}", paid.document());
        Ok(())
    }

    fn pay(&self) -> Result<Duration> {
        let amount = Amount::from_sat(AMOUNT_SAT);
        let invoice = self.nodes.electrum.invoice(amount, "bench")?;
        let begun = Instant::now();
        self.ln_pay(&self.users[0], &invoice.text, 0)?;
        Ok(begun.elapsed())
    }

    /// From the payer's start until it is claimed.
    fn receive(&self) -> Result<Duration> {
        let user = &self.users[0];
        let made = user.run(&["ln", "invoice", AMOUNT, "--gateway", &self.keys[0]])?;
        let (invoice, operation) = (made.text("invoice")?, made.text("operation")?);
        thread::scope(|scope| {
            let begun = Instant::now();
            let paying = scope.spawn(|| self.nodes.electrum.pay(&invoice, LIMIT));
            user.run(&["ln", "status", &operation, "--wait"])?;
            let took = begun.elapsed();
            let paid = paying.join().map_err(|_| anyhow!("Electrum's thread"))??;
            ensure!(paid.success, "{paid:?}");
            Ok(took)
        })
    }

    fn within(&self, gateway: usize) -> Result<Duration> {
        self.hand_over(&self.users[0], &self.users[1], gateway)
    }

    /// The time that the payer waits. The payee's wallet does nothing then, nor has to.
    fn hand_over(&self, from: &Wallet, to: &Wallet, gateway: usize) -> Result<Duration> {
        let made = to.run(&["ln", "invoice", AMOUNT, "--gateway", &self.keys[0]])?;
        let invoice = made.text("invoice")?;
        let begun = Instant::now();
        self.ln_pay(from, &invoice, gateway)?;
        Ok(begun.elapsed())
    }

    /// Payments in a second when pairs pay at once, and what one costs the gateway.
    fn at_once(&self) -> Result<(f64, u64)> {
        let (before_ms, begun) = (self.cpu_ms(0)?, Instant::now());
        thread::scope(|scope| {
            let working: Vec<_> = self
                .users
                .chunks_exact(2)
                .map(|pair| {
                    scope.spawn(|| {
                        (0..AT_ONCE)
                            .try_for_each(|_| self.hand_over(&pair[0], &pair[1], 0).map(drop))
                    })
                })
                .collect();
            working.into_iter().try_for_each(|it| {
                it.join()
                    .unwrap_or_else(|_| Err(anyhow!("a user's thread")))
            })
        })?;
        let many = (USERS / 2 * AT_ONCE) as u64;
        let rate = many as f64 / begun.elapsed().as_secs_f64();
        Ok((rate, (self.cpu_ms(0)? - before_ms) / many))
    }

    /// From the start of a gateway that was killed in a payment, until it is ready, and until the user has the proof.
    fn recovery(&self) -> Result<(Duration, Duration)> {
        let electrum = &self.nodes.electrum;
        electrum.hold(true)?;
        let invoice = electrum.invoice(Amount::from_sat(AMOUNT_SAT), "bench")?;
        thread::scope(|scope| {
            let paying = scope.spawn(|| self.ln_pay(&self.users[0], &invoice.text, 0));
            let held = self.stop.wait(LIMIT, || {
                let channels = electrum.channels()?;
                let held = channels.iter().any(|it| it.remote_in_flight_sat > 0);
                Ok::<_, anyhow::Error>(held.then_some(()))
            });
            held.map_err(|error| anyhow!("nothing is held: {error}"))?;
            self.nodes.rest(&self.nodes.gateways[0])?;
            let (directory, name) = (self.network.directory(), &self.nodes.gateways[0].spec.name);
            control(directory, name, Order::Kill, self.stop)?;
            electrum.hold(false)?;
            let begun = Instant::now();
            control(directory, name, Order::Start, self.stop)?;
            let ready = begun.elapsed();
            paying.join().map_err(|_| anyhow!("the user's thread"))??;
            Ok((ready, begun.elapsed()))
        })
    }
}

fn seconds(duration: Duration) -> String {
    format!("{:.2} s", duration.as_secs_f64())
}
