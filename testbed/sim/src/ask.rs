//! Questions to guardians, and who gets the answers.

use guildmint_core::PeerId;
use guildmint_engine::node::{Event, Reply, Request, Ticket};
use rand::Rng;

use crate::world::{Asker, Delivery, World};

/// How long somebody waits for an answer, in milliseconds.
const PATIENCE_MS: u64 = 60_000;

impl World {
    /// Asks guardians the same at once, and lets time pass until all have answered.
    ///
    /// # Panics
    /// If one does not within a minute.
    pub fn question(&mut self, peers: &[PeerId], request: &Request) -> Vec<Reply> {
        let asked = self.put(peers, request);
        self.answers(&asked)
    }

    /// Asks guardians the same at once; see [`World::answers`].
    pub fn put(&mut self, peers: &[PeerId], request: &Request) -> Vec<Ticket> {
        let ask = |peer: &PeerId| self.ask(*peer, Asker::Somebody, request.clone());
        peers.iter().map(ask).collect()
    }

    /// Lets time pass until questions are answered.
    ///
    /// # Panics
    /// If that takes longer than a minute.
    pub fn answers(&mut self, asked: &[Ticket]) -> Vec<Reply> {
        let deadline_ms = self.now_ms + PATIENCE_MS;
        while !asked.iter().all(|one| self.answers.contains_key(one)) {
            assert!(self.now_ms < deadline_ms, "no answer within a minute");
            self.run(5);
        }
        let answers = asked.iter().filter_map(|one| self.answers.remove(one));
        answers.collect()
    }

    /// Asks a guardian something; the answer comes to the asker.
    pub(crate) fn ask(&mut self, peer: PeerId, asker: Asker, request: Request) -> Ticket {
        self.next_ticket += 1;
        // Far from the tickets that nodes give out.
        let ticket = Ticket(1 << 40 | self.next_ticket);
        self.asked.insert(ticket, asker);
        let life = self.guardians[usize::from(peer.0)].life;
        let event = Event::Client { ticket, request };
        let delay_ms = self.rng.gen_range(1..20);
        self.later(delay_ms, Delivery::ToNode(peer, life, event));
        ticket
    }

    pub(crate) fn hear(&mut self, peer: PeerId, ticket: Ticket, reply: Reply) {
        let honest = !self.is_liar(peer);
        let Some(reply) = self.answer_of(peer, reply) else {
            return;
        };
        if let (Reply::Transaction(answer), true) = (&reply, honest) {
            self.checks.status(answer.txid, &answer.status);
        }
        match self.asked.remove(&ticket) {
            Some(Asker::Script(txid)) if honest => self.script_hears(peer, txid, reply),
            Some(Asker::User(user, life, request)) => self.answer_user(user, life, request, reply),
            Some(Asker::Somebody) => {
                self.answers.insert(ticket, reply);
            }
            _ => {}
        }
    }
}
