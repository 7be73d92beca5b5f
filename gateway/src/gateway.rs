//! The gateway as one value: events in, actions out.

mod look;

use std::collections::VecDeque;

use guildmint_core::{ledger::Memory, FederationId};

use crate::{
    announce,
    call::{Answer, Call},
    desk::Desk,
    error::GatewayError,
    event::{Action, Command, Event, Millis, SaveId, Ticket},
    federation::News,
    fees,
    keys::Keys,
    ledger, limits, node,
    operation::{fetch, pay, receive},
    reply::Reply,
    rows::{self, DamagedRow, Served, ServedRow},
    settings::Settings,
    warning::Warning,
};

pub use look::{FederationView, PaymentView};

/// A gateway: its rows, and what is under way.
pub struct Gateway {
    desk: Desk,
    started: bool,
    held: VecDeque<(SaveId, Vec<Action>)>,
    wake: Option<Millis>,
    last_save: u64,
}

impl Gateway {
    /// A gateway from its stored rows; those that are not resident are not needed. `random` makes names that nobody guesses; no secret
    /// comes of it.
    ///
    /// Nothing happens before the first [`Event::Time`]. ⚠ Before it, the shell has the node deliver no event.
    ///
    /// # Errors
    /// If a row cannot be read.
    pub fn load(rows: Memory, seed: &[u8; 64], random: [u8; 32]) -> Result<Self, DamagedRow> {
        Ok(Self {
            desk: Desk::new(Keys::new(seed), rows::load(rows)?, random),
            started: false,
            held: VecDeque::new(),
            wake: None,
            last_save: 0,
        })
    }

    /// Takes an event, and says what to do, in order. Actions that depend on rows that are not durable yet are held back
    /// until [`Event::Saved`]: whatever leaves, a crash cannot undo what it stands on (SPEC GW-5).
    #[must_use]
    pub fn handle(&mut self, event: Event) -> Vec<Action> {
        let mut ready = Vec::new();
        match event {
            Event::Time { now } => self.time(now),
            Event::Saved { save } => ready = self.saved(save),
            Event::Command { ticket, command } => self.command(ticket, command),
            Event::Federation { federation, news } => self.news(federation, news),
            Event::Node(delivery) => {
                if receive::may_handle(&self.desk, &delivery.event) {
                    self.node_event(delivery.event);
                    self.desk.call(Call::Handled(delivery.number));
                }
            }
            Event::Answered(answer) => self.answered(answer),
            Event::NodeState(state) => {
                let is_new = self.desk.node.is_none() || self.desk.node_id() != state.node_id;
                self.desk.node = Some(*state);
                if is_new {
                    self.announce_everywhere();
                }
                pay::watch(&mut self.desk);
                receive::watch(&mut self.desk);
            }
        }
        ready.extend(self.flush());
        ready
    }

    fn time(&mut self, now: Millis) {
        self.desk.now = self.desk.now.max(now);
        if !self.started {
            self.started = true;
            pay::start(&mut self.desk);
            receive::start(&mut self.desk);
            fetch::start(&mut self.desk);
        }
        for concern in self.desk.take_due() {
            self.desk.ring(concern);
        }
    }

    fn command(&mut self, ticket: Ticket, command: Command) {
        match command {
            Command::Pay(request) => pay::ask(&mut self.desk, ticket, request),
            Command::Invoice(request) => receive::ask(&mut self.desk, ticket, &request),
            Command::Fetch(request) => fetch::ask(&mut self.desk, ticket, request),
            Command::Serve {
                federation,
                network,
                settings,
            } => {
                let result = self.serve(federation, network, settings);
                self.desk.reply(ticket, result);
            }
            Command::Leave { federation } => {
                let result = self.leave(federation);
                self.desk.reply(ticket, result);
            }
            Command::Resume => {
                ledger::resume(&mut self.desk);
                self.announce_everywhere();
                self.desk.reply(ticket, Ok(Reply::Done));
            }
        }
    }

    fn serve(
        &mut self,
        federation: FederationId,
        network: bitcoin::Network,
        settings: Settings,
    ) -> Result<Reply, GatewayError> {
        let row = ServedRow(federation);
        let is_new = !self.desk.rows.contains(&row);
        let rows = self.desk.rows.scan::<ServedRow>();
        if is_new && rows.len() >= limits::MAX_REMEMBERED_FEDERATIONS {
            return Err(GatewayError::RememberedFederations);
        }
        // One that was left, and is joined again, is one more too.
        let others = rows.iter().filter(|(other, _)| other.0 != federation);
        if others.filter(|(_, other)| !other.left).count() >= limits::MAX_FEDERATIONS {
            return Err(GatewayError::Federations);
        }
        let served = Served {
            network,
            settings,
            left: false,
        };
        self.desk.rows.put(&row, &served);
        announce::renew(&mut self.desk, federation);
        fees::check(&mut self.desk);
        Ok(Reply::Done)
    }

    fn leave(&mut self, federation: FederationId) -> Result<Reply, GatewayError> {
        let mut served = self.desk.served(federation)?;
        served.left = true;
        self.desk.rows.put(&ServedRow(federation), &served);
        Ok(Reply::Done)
    }

    fn announce_everywhere(&mut self) {
        for (ServedRow(federation), _) in self.desk.rows.scan() {
            announce::renew(&mut self.desk, federation);
        }
    }

    fn news(&mut self, federation: FederationId, news: News) {
        let desk = &mut self.desk;
        match news {
            News::State(state) => {
                let costs = state.costs;
                let before = desk.federations.insert(federation, state);
                if before.is_none_or(|before| before.costs != costs) {
                    fees::check(desk);
                }
                announce::renew(desk, federation);
                pay::watch(desk);
                receive::watch(desk);
            }
            News::Looked { contract, answer } => {
                pay::looked(desk, (federation, contract).into(), &answer);
            }
            News::Claimed { contract, fee } => {
                let key = (federation, contract).into();
                pay::step(desk, key, pay::Happening::Claimed { fee });
            }
            News::NotClaimed { contract, closing } => {
                let key = (federation, contract).into();
                pay::step(desk, key, pay::Happening::NotClaimed(closing));
            }
            News::Announced { number } => announce::published(desk, federation, number),
            News::NotAnnounced { number, reason } => {
                announce::refused(desk, federation, number, reason);
            }
            news => self.incoming_news(federation, news),
        }
    }

    fn incoming_news(&mut self, federation: FederationId, news: News) {
        let desk = &mut self.desk;
        let by_offer = |offer| receive::by_offer(desk, federation, offer);
        let by_contract = |contract| receive::by_contract(desk, federation, contract);
        let (hash, happening) = match news {
            News::Funded {
                offer,
                contract,
                fee,
            } => (
                by_offer(offer),
                receive::Happening::Funded { contract, fee },
            ),
            News::NotFunded { offer, reason } => {
                (by_offer(offer), receive::Happening::NotFunded { reason })
            }
            News::Opened { contract, preimage } => {
                (by_contract(contract), receive::Happening::Opened(preimage))
            }
            News::NotRefunded { contract, preimage } => (
                by_contract(contract),
                receive::Happening::Opened(Some(preimage)),
            ),
            News::Refunded { contract, fee } => {
                (by_contract(contract), receive::Happening::Refunded { fee })
            }
            _ => return,
        };
        if let Some(hash) = hash {
            receive::step(desk, hash, happening);
        }
    }

    fn node_event(&mut self, event: node::Event) {
        let desk = &mut self.desk;
        match event {
            node::Event::PaymentSucceeded {
                hash,
                preimage,
                fee_msat,
            } => pay::succeeded(desk, hash, &preimage, fee_msat),
            node::Event::PaymentFailed { hash, reason } => pay::failed(desk, hash, reason),
            node::Event::Held {
                hash,
                amount_msat,
                claim_deadline_height,
            } => receive::held(desk, hash, amount_msat, claim_deadline_height),
            node::Event::Claimed { hash, .. } => receive::claimed(desk, hash),
            node::Event::Returned { hash } => receive::returned(desk, hash),
            node::Event::Fetched {
                request,
                hash,
                amount_msat,
                invoice,
            } => fetch::found(desk, request, hash, amount_msat, invoice),
            node::Event::FetchFailed { request, reason } => fetch::failed(desk, request, reason),
            node::Event::Channel {
                change:
                    node::ChannelChange::Closed {
                        reason,
                        stale: true,
                    },
                ..
            } => desk.warn(Warning::StaleChannel(reason)),
            node::Event::Channel { .. } => {}
        }
    }

    fn answered(&mut self, answer: Answer) {
        let desk = &mut self.desk;
        match answer {
            Answer::Sent {
                hash,
                refusal,
                known,
            } => pay::sent(desk, hash, refusal, known),
            Answer::NotSettled {
                hash,
                claiming,
                refusal,
            } => receive::not_settled(desk, hash, claiming, &refusal),
            Answer::NotFetched { request, refusal } => fetch::refused(desk, request, &refusal),
            Answer::Invoice { hash, result } => receive::made(desk, hash, result),
        }
    }

    /// What can be done now. New changes go out first; what came with or after them waits until they are durable.
    fn flush(&mut self) -> Vec<Action> {
        let changes = self.desk.rows.take_changes();
        let mut actions = std::mem::take(&mut self.desk.outbox);
        let mut ready = Vec::new();
        if !changes.is_empty() {
            self.last_save += 1;
            let save = SaveId(self.last_save);
            ready.push(Action::Save { save, changes });
            self.held.push_back((save, actions));
        } else if let Some((_, held)) = self.held.back_mut() {
            held.append(&mut actions);
        } else {
            ready = actions;
        }
        let wake = self.desk.next_wake();
        if wake != self.wake {
            self.wake = wake;
            ready.extend(wake.map(|at| Action::WakeAt { at }));
        }
        ready
    }

    fn saved(&mut self, save: SaveId) -> Vec<Action> {
        let mut ready = Vec::new();
        while self.held.front().is_some_and(|(held, _)| *held <= save) {
            ready.extend(self.held.pop_front().into_iter().flat_map(|(_, held)| held));
        }
        ready
    }
}
