//! A node alone, driven by lines of JSON: `cargo run --example node -- DIRECTORY ELECTRUM_URL LISTEN`, on regtest and with a seed that everybody
//! knows. It shows how a program keeps a node, and tests kill it.
#![allow(clippy::unwrap_used)]

use std::{
    io::{BufRead as _, Write as _},
    sync::Arc,
};

use guildmint_gateway::node::{ChannelOrder, Command, LightningNode, PaymentHash, SentState};
use guildmint_gateway_ldk::{Node, NodeConfig, Seed};
use guildmint_gateway_store::{GatewayStore, Place};
use serde::Deserialize;
use serde_json::{json, Value};

/// One line of the input.
#[derive(Deserialize)]
enum Line {
    Address,
    Open(ChannelOrder),
    Command(Command),
    State,
    Sent(PaymentHash),
    Stop,
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut argument = |what: &str| {
        arguments
            .next()
            .ok_or(format!("{what} is missing"))
            .unwrap()
    };
    let place = Place::in_directory(argument("the directory"));
    let mut config = NodeConfig::new(bitcoin::Network::Regtest, argument("the Electrum URL"));
    config.listen = Some(argument("where to listen").parse().unwrap());
    let store = GatewayStore::open(&place, Arc::new(|_| std::process::abort())).unwrap();
    let node = Node::start(config, &Seed::new([1; 32]), &store).unwrap();
    let mut output = std::io::stdout();
    writeln!(output, "{}", json!({ "id": node.state().node_id })).unwrap();
    for line in std::io::stdin().lock().lines() {
        let line: Line = serde_json::from_str(&line.unwrap()).unwrap();
        if matches!(line, Line::Stop) {
            break;
        }
        let answer = answer(&node, line);
        writeln!(output, "{answer}").unwrap();
    }
    node.stop();
    store.close().unwrap();
}

fn answer(node: &Node, line: Line) -> Value {
    let done = match line {
        Line::Address => node.new_address().map(|address| json!(address)),
        Line::Open(order) => node.open_channel(&order).map(|id| json!(id)),
        Line::Command(command) => node.command(command).map(|()| json!(null)),
        Line::State => Ok(json!(node.state())),
        Line::Sent(hash) => node
            .sent(hash)
            .map(|sent| match sent.map(|sent| sent.state) {
                None => json!("unknown"),
                Some(SentState::InFlight) => json!("in flight"),
                Some(SentState::Succeeded { .. }) => json!("succeeded"),
                Some(SentState::Failed(reason)) => json!({ "failed": reason }),
            }),
        Line::Stop => Ok(json!(null)),
    };
    match done {
        Ok(value) => json!({ "ok": value }),
        Err(refusal) => json!({ "refused": refusal.to_string() }),
    }
}
