//! A node that is killed, at any moment, again and again.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Write as _},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, ChildStdin, ChildStdout, Command as Program, Stdio},
};

use guildmint_gateway::node::{
    ChannelOrder, Command, Event, LightningNode as _, NodeState, PaymentHash, Preimage,
};
use serde_json::{json, Value};

use crate::world::{order, wait_for, Running, World, CHANNEL_SAT, FUNDS};

const KILLS: u32 = 12;
const AMOUNT_MSAT: u64 = 2_000_000;
/// What opening and closing one channel and sweeping what is in it may cost both together, in satoshi.
const CHANNEL_COST_SAT: u64 = 40_000;
/// Each kill may close one.
const MAX_COST_SAT: u64 = (KILLS as u64 + 1) * CHANNEL_COST_SAT;

/// A node in a process of its own.
struct Killable {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Killable {
    fn start(world: &World, listen: SocketAddr) -> Self {
        let mut child = Program::new(example())
            .arg(world.folder.path().join("killed"))
            .arg(world.config().electrum_url)
            .arg(listen.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = child.stdin.take().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let mut node = Self {
            child,
            input,
            output,
        };
        let hello = node.read().expect("the node starts");
        assert!(hello["id"].is_string(), "{hello}");
        node
    }

    fn read(&mut self) -> Option<Value> {
        let mut line = String::new();
        let bytes = self.output.read_line(&mut line).ok()?;
        (bytes > 0).then(|| serde_json::from_str(&line).unwrap())
    }

    fn ask(&mut self, line: &Value) -> Value {
        writeln!(self.input, "{line}").unwrap();
        let mut answer = self.read().expect("the node answers");
        match answer.get_mut("ok") {
            Some(value) => value.take(),
            None => answer,
        }
    }

    fn state(&mut self) -> NodeState {
        serde_json::from_value(self.ask(&json!("State"))).unwrap()
    }

    fn pay(&mut self, invoice: &str, hash: PaymentHash) {
        let pay = Command::Pay(order(invoice, hash, AMOUNT_MSAT));
        self.ask(&json!({ "Command": pay }));
    }

    /// As `kill -9` does, and as a loss of power does to whoever asked for a sync.
    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// Cargo builds examples beside the tests.
fn example() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let folder = test.parent().and_then(|deps| deps.parent()).unwrap();
    folder.join("examples").join("node")
}

fn total_sat(state: &NodeState) -> u64 {
    let balances = state.balances;
    let on_chain_msat = balances.wallet_msat + balances.reserved_msat + balances.unconfirmed_msat;
    (on_chain_msat + balances.channels_msat + balances.closing_msat) / 1000
}

/// The payee's side: claims what comes, and counts it.
#[derive(Default)]
struct Payee {
    preimages: BTreeMap<PaymentHash, Preimage>,
    claimed: BTreeMap<PaymentHash, u64>,
}

impl Payee {
    fn invoice(&mut self, node: &Running, number: u8) -> (PaymentHash, String) {
        let preimage = Preimage([number; 32]);
        let hash = preimage.hash();
        self.preimages.insert(hash, preimage);
        (hash, node.invoice(hash, AMOUNT_MSAT))
    }

    fn take_events(&mut self, node: &Running) {
        for delivery in node.events(50).unwrap() {
            match &delivery.event {
                Event::Held { hash, .. } => {
                    let preimage = self.preimages[hash].clone();
                    // Refused if it went back meanwhile.
                    let _ = node.command(Command::Claim { preimage });
                }
                Event::Claimed { hash, amount_msat } => {
                    self.claimed.insert(*hash, *amount_msat);
                }
                _ => {}
            }
            node.handled(delivery.number).unwrap();
        }
    }
}

#[test]
fn a_node_that_is_killed_again_and_again_pays_nothing_twice_and_loses_nothing() {
    let world = World::new();
    let two = world.start("two", None);
    let listen: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let mut one = Killable::start(&world, listen);
    let address = one.ask(&json!("Address"));
    world.pay(address.as_str().unwrap());
    world.fund(&[&two]);
    wait_for("money on the chain", || {
        (total_sat(&one.state()) == FUNDS.to_sat()).then_some(())
    });
    let (mut payee, mut invoices) = (Payee::default(), Vec::new());
    for kill in 0..KILLS {
        ensure_channel(&world, &mut one, &two, &mut payee);
        for number in 0..3 {
            invoices.push(payee.invoice(&two, (kill * 3 + number + 1) as u8));
        }
        // All of them: those from before are repeated, as a gateway does.
        for (hash, invoice) in &invoices {
            one.pay(invoice, *hash);
        }
        // Somewhere in the middle: each time a little later.
        for _ in 0..kill {
            payee.take_events(&two);
            one.state();
        }
        one.kill();
        one = Killable::start(&world, listen);
    }
    let outcomes = settle(&world, &mut one, &two, &mut payee, &invoices);
    for (hash, succeeded) in outcomes {
        assert_eq!(payee.claimed.contains_key(&hash), succeeded, "{hash}");
    }
    // Whatever channels were closed on the way: all money is there, and none came from nowhere.
    let all_sat = 2 * FUNDS.to_sat();
    wait_for("all money", || {
        world.mine(2, &[&two]);
        let sum_sat = total_sat(&one.state()) + total_sat(&two.state());
        println!("{all_sat} sat, of which there are {sum_sat}");
        (all_sat - MAX_COST_SAT..=all_sat)
            .contains(&sum_sat)
            .then_some(())
    });
    one.kill();
}

/// Waits until the channel is usable. If a kill has closed it, opens another.
fn ensure_channel(world: &World, one: &mut Killable, two: &Running, payee: &mut Payee) {
    if one.state().channels.is_empty() {
        let open = ChannelOrder {
            peer: two.peer(),
            amount_sat: CHANNEL_SAT,
            push_msat: 0,
            public: false,
        };
        // What the closing took out of the wallets comes back with a block: money for the channel, and what the other keeps for closing it.
        wait_for("another channel", || {
            world.mine(1, &[two]);
            let free = [one.state(), two.state()].map(|state| state.balances.wallet_msat);
            if free.into_iter().min() < Some(2 * CHANNEL_SAT * 1000) {
                return None;
            }
            let opened = one.ask(&json!({ "Open": open }));
            // The closing may take it in this very moment.
            let is_taken = ["kept for closing", "too little on the chain"];
            let refused = opened["refused"].as_str().unwrap_or_default();
            assert!(
                opened.is_string() || is_taken.iter().any(|words| refused.contains(words)),
                "{opened}"
            );
            opened.is_string().then_some(())
        });
    }
    wait_for("a usable channel", || {
        payee.take_events(two);
        let channels = one.state().channels;
        // Blocks for the funding alone: what is held has a deadline.
        if !channels.iter().any(|channel| channel.ready) && world.mempool() > 0 {
            world.mine(1, &[two]);
        }
        channels.iter().any(|channel| channel.usable).then_some(())
    });
}

/// Goes on until the end of each payment is known: whether it succeeded.
fn settle(
    world: &World,
    one: &mut Killable,
    two: &Running,
    payee: &mut Payee,
    invoices: &[(PaymentHash, String)],
) -> BTreeMap<PaymentHash, bool> {
    for (hash, invoice) in invoices {
        one.pay(invoice, *hash);
    }
    wait_for("the end of all payments", || {
        payee.take_events(two);
        // HTLCs of closed channels end on the chain. Those of the open one are claimed at once.
        world.mine(2, &[two]);
        let mut outcomes = BTreeMap::new();
        for (hash, _) in invoices {
            let state = one.ask(&json!({ "Sent": hash }));
            match state.as_str() {
                Some("in flight" | "unknown") => return None,
                other => outcomes.insert(*hash, other == Some("succeeded")),
            };
        }
        let succeeded = outcomes.values().filter(|succeeded| **succeeded).count();
        (payee.claimed.len() >= succeeded).then_some(outcomes)
    })
}
