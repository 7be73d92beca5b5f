//! Everything that a whole guardian takes from peers and clients.

use guildmint_core::PeerId;
use guildmint_engine::{
    node::{inspect, utter, Action, Event, Request, Said, Ticket},
    Payload,
};

use crate::{canonical::wire, seeds};

/// The bytes are a message of two peers, a submission and news. Nothing of it halts a guardian.
pub fn target(bytes: &[u8]) {
    if let Said::Contribution { payload, .. } = inspect(bytes) {
        let payload = wire::<Payload>(&payload);
        assert_eq!(payload.map(utter).as_deref(), Some(bytes));
    }
    let mut node = seeds::node();
    let peer = |from| Event::Peer {
        from: PeerId(from),
        bytes: bytes.to_vec(),
    };
    let submit = Event::Client {
        ticket: Ticket(1),
        request: Request::Submit(bytes.to_vec()),
    };
    let news = Event::World {
        module: seeds::WALLET,
        news: bytes.to_vec(),
    };
    let events = [peer(1), peer(2), submit, news, peer(9), Event::Time];
    for (now_ms, event) in (0..).zip(events) {
        let actions = node.handle(now_ms * 1_000, event);
        let halted = |action: &Action| matches!(action, Action::Halt { .. });
        assert!(!actions.iter().any(halted));
    }
}
