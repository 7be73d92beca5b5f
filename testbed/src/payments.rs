//! `cargo testbed bench --lightning`: what payments take, as users of the command-line wallet see them, what they cost, and what of both the
//! federation adds to Lightning.

mod spent;

use std::{
    thread,
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
use spent::Spent;

/// Users, half of whom pay the others.
const USERS: usize = 32;
/// How many pay at once: a few, and as many as there are.
const PAIRS: [usize; 2] = [4, USERS / 2];
/// What each begins with.
const FUNDS: Amount = Amount::from_sat(400_000);
/// What is paid each time.
const AMOUNT: &str = "1000sat";
const AMOUNT_SAT: u64 = 1_000;
/// Payments of each kind whose time is taken, one after the other.
const TIMED: usize = 30;
/// Payments when many pay at once, of all together.
const AT_ONCE: usize = 80;
/// What gateways may have in a federation while they are measured.
const GATEWAY_LIMIT: Amount = Amount::from_sat(100_000_000);
/// How long one payment may take.
const LIMIT: Duration = Duration::from_secs(60);

/// How money gets from one to the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// From the second gateway's node to the first one's. No federation hears of it.
    NodesAlone,
    /// From user to user, by the gateway that made the invoice.
    OneGateway,
    /// From user to user, over Lightning, by the same two nodes.
    TwoGateways,
}

impl Way {
    fn words(self) -> &'static str {
        match self {
            Self::NodesAlone => "nodes of two gateways, no federation",
            Self::OneGateway => "user to user, one gateway",
            Self::TwoGateways => "user to user, two gateways",
        }
    }
}

/// Payments of one kind.
struct Measured {
    /// How long each took, the shortest first.
    took: Vec<Duration>,
    /// All of them together.
    elapsed: Duration,
    spent: Spent,
}

impl Measured {
    fn percentile(&self, percent: usize) -> Duration {
        let last = self.took.len().saturating_sub(1);
        let place = (self.took.len() * percent / 100).min(last);
        self.took.get(place).copied().unwrap_or_default()
    }

    fn per_second(&self) -> f64 {
        self.took.len() as f64 / self.elapsed.as_secs_f64()
    }

    fn row(&self, what: &str, is_rate: bool) -> [String; 8] {
        let count = self.took.len();
        let each = |ms: u64| format!("{} ms", ms / count.max(1) as u64);
        let rate = is_rate.then(|| format!("{:.1}", self.per_second()));
        [
            format!("{what}, {count} times"),
            seconds(self.percentile(50)),
            seconds(self.percentile(99)),
            rate.unwrap_or_default(),
            each(self.spent.gateways_ms),
            each(self.spent.guardians_ms),
            each(self.spent.wallets_ms),
            format!("{} %", self.spent.busy_percent()),
        ]
    }

    /// What this takes of what another one takes.
    fn ratio(&self, other: &Self) -> [String; 8] {
        let times = |this: f64, other: f64| match this / other.max(f64::EPSILON) {
            less if less < 1.0 => format!("× {less:.3}"),
            more => format!("× {more:.1}"),
        };
        let took = |percent| {
            let (this, other) = (self.percentile(percent), other.percentile(percent));
            times(this.as_secs_f64(), other.as_secs_f64())
        };
        let gateways = |one: &Self| one.spent.gateways_ms as f64 / one.took.len() as f64;
        [
            "    against the nodes alone".to_owned(),
            took(50),
            took(99),
            times(self.per_second(), other.per_second()),
            times(gateways(self), gateways(other)),
            String::new(),
            String::new(),
            String::new(),
        ]
    }
}

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
    let mut table = Table::new([
        "what",
        "p50",
        "p99",
        "per second",
        "gateways",
        "guardians",
        "wallets",
        "machine",
    ]);
    let mut row = |what: &str, act: &dyn Fn() -> Result<Duration>| {
        let measured = bench.timed(act).with_context(|| what.to_owned())?;
        table.row(measured.row(what, false));
        Ok::<_, anyhow::Error>(measured)
    };
    row("a wallet's command that only looks", &|| bench.look())?;
    row("pay, to Electrum", &|| bench.pay())?;
    row("receive, from Electrum", &|| bench.receive())?;
    row(Way::OneGateway.words(), &|| {
        bench.hand_over(0, Way::OneGateway)
    })?;
    let alone = row(Way::NodesAlone.words(), &|| bench.pay_alone())?;
    let two = row(Way::TwoGateways.words(), &|| {
        bench.hand_over(0, Way::TwoGateways)
    })?;
    let mut ratio = two.ratio(&alone);
    ratio[3].clear();
    table.row(ratio);
    for pairs in PAIRS {
        bench.rates(pairs, &mut table)?;
    }
    let (ready, ended) = bench.recovery()?;
    table.row([
        "killed in a payment: start to ready, to the end".to_owned(),
        seconds(ready),
        seconds(ended),
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

    fn measure(&self, act: impl FnOnce() -> Result<Vec<Duration>>) -> Result<Measured> {
        let spent = || Spent::so_far(&State::load(self.network.directory())?);
        let (before, begun) = (spent()?, Instant::now());
        let mut took = act()?;
        took.sort();
        Ok(Measured {
            took,
            elapsed: begun.elapsed(),
            spent: spent()? - before,
        })
    }

    /// One kind of payment, one after the other.
    fn timed(&self, act: &dyn Fn() -> Result<Duration>) -> Result<Measured> {
        self.measure(|| (0..TIMED).map(|_| act()).collect())
    }

    /// What a run of the wallet's program takes that asks nobody.
    fn look(&self) -> Result<Duration> {
        let begun = Instant::now();
        self.users[0].run(&["balance"])?;
        Ok(begun.elapsed())
    }

    /// The peer of comparison: the same nodes over the same channel, ordered by their operators.
    fn pay_alone(&self) -> Result<Duration> {
        let gateways = &self.nodes.gateways;
        let invoice = gateways[0].invoice(Amount::from_sat(AMOUNT_SAT))?;
        let begun = Instant::now();
        let state = gateways[1].pay(&invoice)?;
        ensure!(state == "paid", "{state}");
        Ok(begun.elapsed())
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

    /// The time that the payer of a pair waits. The payee's wallet does nothing then, nor has to.
    fn hand_over(&self, pair: usize, way: Way) -> Result<Duration> {
        let (from, to) = (&self.users[2 * pair], &self.users[2 * pair + 1]);
        let payer = match way {
            Way::NodesAlone => return self.pay_alone(),
            Way::OneGateway => 0,
            Way::TwoGateways => 1,
        };
        let made = to.run(&["ln", "invoice", AMOUNT, "--gateway", &self.keys[0]])?;
        let invoice = made.text("invoice")?;
        let begun = Instant::now();
        self.ln_pay(from, &invoice, payer)?;
        Ok(begun.elapsed())
    }

    /// Payments when so many pay at once.
    fn at_once(&self, pairs: usize, way: Way) -> Result<Measured> {
        self.measure(|| {
            thread::scope(|scope| {
                let each = AT_ONCE / pairs;
                let pay = |pair| move || (0..each).map(|_| self.hand_over(pair, way)).collect();
                let working: Vec<_> = (0..pairs).map(|pair| scope.spawn(pay(pair))).collect();
                let mut all = Vec::new();
                for one in working {
                    let took: Result<Vec<Duration>> =
                        one.join().map_err(|_| anyhow!("a user's thread"))?;
                    all.extend(took?);
                }
                Ok(all)
            })
        })
    }

    /// The ways beside each other, when so many pay at once.
    fn rates(&self, pairs: usize, table: &mut Table) -> Result<()> {
        let mut add = |way: Way| {
            let what = format!("{pairs} at once: {}", way.words());
            let measured = self.at_once(pairs, way).with_context(|| what.clone())?;
            table.row(measured.row(&what, true));
            Ok::<_, anyhow::Error>(measured)
        };
        add(Way::OneGateway)?;
        let alone = add(Way::NodesAlone)?;
        let two = add(Way::TwoGateways)?;
        table.row(two.ratio(&alone));
        Ok(())
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
