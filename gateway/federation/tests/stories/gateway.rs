//! What gateways are for, with a real federation: the gateway's rules and a Lightning network in memory, and orders carried by a wallet.

use std::collections::BTreeMap;

use bitcoin::Network;
use guildmint_core::ledger::Memory;
use guildmint_gateway::{
    federation::News,
    node::{
        fake::{FakeLightning, FakeNode},
        InvoiceOrder, LightningNode, PaymentOrder, SentState,
    },
    Action, Command, Event, Gateway, GatewayError, Limits, Millis, Reply, Settings, Ticket,
};
use guildmint_ln::{
    ContractId, FeeSchedule, InvoiceHash, InvoiceRequest, OutgoingContract, PayRequest, Preimage,
};

use crate::{
    orders::{outgoing, preimage},
    town::{msat, FEE},
    world::World,
};

const ECASH: u64 = 200_000;
const CHANNELS: u64 = 10_000_000;

/// A gateway, its node and its federation.
struct Shop {
    world: World,
    lightning: FakeLightning,
    node: FakeNode,
    peer: FakeNode,
    gateway: Gateway,
    disk: Memory,
    heard: usize,
    replies: BTreeMap<Ticket, Result<Reply, GatewayError>>,
    tickets: u64,
}

impl Shop {
    fn new() -> Self {
        let world = World::new(ECASH);
        let lightning = FakeLightning::new(1, world.now.0 / 1000);
        let node = lightning.add_node(CHANNELS);
        let peer = lightning.add_node(CHANNELS);
        let mut shop = Self {
            gateway: Gateway::load(Memory::default(), &[7; 64], [3; 32]).unwrap(),
            world,
            lightning,
            node,
            peer,
            disk: Memory::default(),
            heard: 0,
            replies: BTreeMap::new(),
            tickets: 0,
        };
        // Both see the same chain.
        let node_height = shop.node.state().height;
        let ahead = node_height.saturating_sub(shop.world.town.height());
        shop.world.town.mine(ahead);
        shop.lightning
            .mine(shop.world.town.height().saturating_sub(node_height));
        let federation = shop.world.town.id();
        shop.ask(Command::Serve {
            federation,
            network: Network::Regtest,
            settings: settings(),
        });
        let height = shop.world.town.height();
        shop.until(|shop| shop.world.state.height == height && shop.world.state.trouble.is_none());
        shop.round();
        shop
    }

    fn ask(&mut self, command: Command) -> Ticket {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        self.feed(Event::Command { ticket, command });
        ticket
    }

    fn feed(&mut self, event: Event) {
        let now = Millis(self.world.now.0);
        let mut events = vec![Event::Time { now }, event];
        while !events.is_empty() {
            for action in self.gateway.handle(events.remove(0)) {
                match action {
                    Action::Save { save, changes } => {
                        self.disk.apply(changes);
                        events.push(Event::Saved { save });
                    }
                    Action::Node(call) => {
                        events.extend(call.make(&self.node).map(Event::Answered));
                    }
                    Action::Federation { order, .. } => self.world.order(order),
                    Action::Reply { ticket, result } => {
                        self.replies.insert(ticket, result);
                    }
                    Action::Warn(_) | Action::WakeAt { .. } => {}
                }
            }
        }
    }

    /// One round of everything.
    fn round(&mut self) {
        self.world.pass(20);
        self.feed(Event::NodeState(Box::new(self.node.state())));
        let federation = self.world.town.id();
        let state = News::State(self.world.state.clone());
        self.feed(Event::Federation {
            federation,
            news: state,
        });
        while let Some(news) = self.world.news.get(self.heard).cloned() {
            self.heard += 1;
            self.feed(Event::Federation { federation, news });
        }
        for delivery in self.node.events(10).unwrap() {
            self.feed(Event::Node(delivery));
        }
    }

    fn until(&mut self, done: impl Fn(&Self) -> bool) {
        for _ in 0..3_000 {
            if done(self) {
                return;
            }
            self.round();
        }
        panic!("it never comes: {:?}", self.replies);
    }

    fn reply(&mut self, ticket: Ticket) -> Result<Reply, GatewayError> {
        self.until(|shop| shop.replies.contains_key(&ticket));
        self.replies[&ticket].clone()
    }

    /// The gateway's process and that of its wallet end, and start again from what is on the disk.
    fn restart(&mut self) {
        self.node.stop();
        self.node.start();
        self.world.restart();
        self.gateway = Gateway::load(self.disk.clone(), &[7; 64], [4; 32]).unwrap();
        let now = Millis(self.world.now.0);
        self.feed(Event::Time { now });
    }

    /// A user locks money for an invoice, and asks the gateway to pay.
    fn pay(&mut self, contract: OutgoingContract, invoice: &str) -> (ContractId, Ticket) {
        let contract = self.world.town.lock(OutgoingContract {
            invoice_hash: InvoiceHash::new(invoice),
            timelock: self.world.town.height() + 1_008,
            ..contract
        });
        let federation = self.world.town.id();
        let ticket = self.ask(Command::Pay(PayRequest {
            federation,
            contract,
            invoice: invoice.to_owned(),
        }));
        (contract, ticket)
    }

    /// An invoice for a user's offer.
    fn invoice(&mut self, index: u64, amount: u64) -> String {
        let offer = self.world.town.offer(index, amount);
        let federation = self.world.town.id();
        let ticket = self.ask(Command::Invoice(InvoiceRequest {
            federation,
            offer,
            description: "for a user".into(),
            expiry_seconds: 3_600,
        }));
        match self.reply(ticket) {
            Ok(Reply::Invoice(invoice)) => invoice,
            other => panic!("{other:?}"),
        }
    }
}

fn settings() -> Settings {
    Settings {
        send_fees: FeeSchedule {
            base: msat(2_000),
            parts_per_million: 10_000,
        },
        receive_fees: FeeSchedule {
            base: msat(500),
            parts_per_million: 0,
        },
        limits: Limits {
            exposure: msat(50_000_000),
            spending: msat(50_000_000),
            ..Limits::default()
        },
        ..Settings::default()
    }
}

#[test]
fn a_users_invoice_is_paid_and_the_gateway_has_what_was_locked_for_it() {
    for restarts in [false, true] {
        let mut shop = Shop::new();
        let hash = preimage(5).hash();
        shop.peer.know(&preimage(5).into());
        let order = InvoiceOrder {
            hash: hash.into(),
            amount_msat: 20_000,
            description: "a book".into(),
            expiry_s: 3_600,
            min_final_cltv_delta: 18,
        };
        let invoice = shop.peer.make_invoice(&order).unwrap();
        let contract = outgoing(&shop.world, 5, 22_200);
        let (_, ticket) = shop.pay(contract, &invoice);
        assert_eq!(shop.reply(ticket), Ok(Reply::Paid(preimage(5))));
        if restarts {
            shop.restart();
        }
        shop.until(|shop| shop.world.ecash() == ECASH + 22_200 - FEE);
        assert_eq!(shop.node.dispatched(hash.into()), 1);
        shop.until(|shop| {
            let views = shop.gateway.outgoing();
            views.iter().all(|view| view.state == "claimed")
        });
    }
}

#[test]
fn a_user_is_paid_and_the_gateway_has_the_payment() {
    for restarts in [false, true] {
        let mut shop = Shop::new();
        let invoice = shop.invoice(0, 20_000);
        let hidden = shop.world.town.user().preimage(0);
        let order = PaymentOrder {
            hash: hidden.hash().into(),
            invoice,
            amount_msat: 20_500,
            max_fee_msat: 5_000,
            max_total_cltv_delta: 1_008,
        };
        shop.peer
            .command(guildmint_gateway::node::Command::Pay(order))
            .unwrap();
        shop.until(|shop| !shop.world.town.incoming().is_empty());
        if restarts {
            shop.restart();
        }
        let is_paid = |shop: &Shop, hidden: Preimage| {
            let sent = shop.peer.sent(hidden.hash().into()).unwrap();
            sent.is_some_and(|sent| matches!(sent.state, SentState::Succeeded { .. }))
        };
        shop.until(|shop| is_paid(shop, hidden));
        let contract = shop.world.town.incoming().pop_first().unwrap();
        shop.world.town.claim(0, contract).unwrap();
        assert_eq!(shop.world.ecash(), ECASH - 20_000 - FEE);
        shop.until(|shop| {
            shop.gateway
                .incoming()
                .iter()
                .all(|view| view.state == "paid")
        });
    }
}

#[test]
fn one_user_pays_another_and_no_lightning_is_used() {
    let mut shop = Shop::new();
    let invoice = shop.invoice(0, 20_000);
    let hidden = shop.world.town.user().preimage(0);
    let contract = OutgoingContract {
        hash: hidden.hash(),
        ..outgoing(&shop.world, 1, 23_000)
    };
    let (_, ticket) = shop.pay(contract, &invoice);
    assert_eq!(shop.reply(ticket), Ok(Reply::Paid(hidden)));
    shop.until(|shop| shop.world.ecash() == ECASH - 20_000 + 23_000 - 2 * FEE);
    assert_eq!(shop.node.dispatched(hidden.hash().into()), 0);
    let contract = shop.world.town.incoming().pop_first().unwrap();
    shop.world.town.claim(0, contract).unwrap();
}

#[test]
fn who_offers_garbage_is_not_paid_and_the_payer_has_it_back() {
    let mut shop = Shop::new();
    let hash = preimage(6).hash();
    let offer = shop.world.town.garbage(hash, 20_000);
    let federation = shop.world.town.id();
    let ticket = shop.ask(Command::Invoice(InvoiceRequest {
        federation,
        offer,
        description: "for a thief".into(),
        expiry_seconds: 3_600,
    }));
    let Ok(Reply::Invoice(invoice)) = shop.reply(ticket) else {
        panic!("no invoice");
    };
    let order = PaymentOrder {
        hash: hash.into(),
        invoice,
        amount_msat: 20_500,
        max_fee_msat: 5_000,
        max_total_cltv_delta: 1_008,
    };
    shop.peer
        .command(guildmint_gateway::node::Command::Pay(order))
        .unwrap();
    shop.until(|shop| {
        let sent = shop.peer.sent(hash.into()).unwrap();
        sent.is_some_and(|sent| matches!(sent.state, SentState::Failed(_)))
    });
    shop.until(|shop| shop.world.ecash() == ECASH - 2 * FEE);
}
