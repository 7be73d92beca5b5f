//! Users with wallets: the real client, on a disk that can lose power and a network that can lose requests.

use std::collections::{BTreeMap, VecDeque};

use bitcoin::ScriptBuf;
use guildmint_client::{
    join, unrestored, Action, ApiRequest, Burial, ChainNews, Client, ClientError, Command, Event,
    MasterSeed, Membership, Millis, NotesString, OperationId, Reply, RequestError, RequestId,
    SaveId, Sighting, Ticket, View,
};
use guildmint_core::{
    ledger::{Changes, Memory},
    module::Query,
    Amount, PeerId, Wire,
};
use guildmint_engine::node::{self, Request};
use guildmint_wallet::MerkleBranch;
use rand::Rng;

use crate::world::{Asker, Delivery, World};

/// Which user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct UserId(pub(crate) usize);

/// A user's wallet program and what survives its crashes.
pub(crate) struct User {
    seed: [u8; 64],
    client: Option<Client>,
    life: u32,
    disk: Memory,
    unsynced: VecDeque<(SaveId, Changes)>,
    disk_free_ms: u64,
    wake_ms: Option<u64>,
    replies: BTreeMap<u64, Result<Reply, ClientError>>,
    /// Guardians that the user has no connection to.
    pub(crate) cut_off: Vec<PeerId>,
}

impl World {
    /// A new user joins the federation.
    pub fn join(&mut self) -> UserId {
        let id = UserId(self.users.len());
        let disk = self.joined();
        let mut seed = [0; 64];
        self.rng.fill(&mut seed[..]);
        self.users.push(User {
            seed,
            client: None,
            life: 0,
            disk,
            unsynced: VecDeque::new(),
            disk_free_ms: 0,
            wake_ms: None,
            replies: BTreeMap::new(),
            cut_off: Vec::new(),
        });
        self.start_user(id);
        id
    }

    /// A user's program is killed, at this instant, and started again.
    pub fn kill_user(&mut self, user: UserId) {
        let one = &mut self.users[user.0];
        let synced = self.rng.gen_range(0..=one.unsynced.len());
        for (_, changes) in std::mem::take(&mut one.unsynced).into_iter().take(synced) {
            one.disk.apply(changes);
        }
        self.start_user(user);
    }

    /// All that a user's program knows is lost but the words; it joins the federation again.
    pub fn wipe_user(&mut self, user: UserId) {
        let disk = self.joined();
        let one = &mut self.users[user.0];
        one.disk = disk;
        one.unsynced.clear();
        self.start_user(user);
    }

    /// The same, and the user says that the words were used before.
    pub fn lose_wallet(&mut self, user: UserId) {
        let mut disk = self.joined();
        disk.apply(unrestored());
        let one = &mut self.users[user.0];
        one.disk = disk;
        one.unsynced.clear();
        self.start_user(user);
    }

    /// What is on the disk of somebody who has just joined.
    fn joined(&self) -> Memory {
        let api = |peer| (peer, String::new());
        let membership = Membership {
            genesis: self.genesis().encode(),
            apis: self.peers().into_iter().map(api).collect(),
            announcements: Vec::new(),
        };
        let mut disk = Memory::default();
        disk.apply(join(&membership));
        disk
    }

    /// A user loses the connection to a guardian.
    pub fn cut_off(&mut self, user: UserId, peer: PeerId) {
        self.users[user.0].cut_off.push(peer);
    }

    /// The wallet of a user.
    ///
    /// # Panics
    /// If it is not running, which in simulations it always is.
    #[must_use]
    #[allow(clippy::expect_used)]
    pub fn wallet(&self, user: UserId) -> &Client {
        self.users[user.0]
            .client
            .as_ref()
            .expect("wallets always run")
    }

    /// What a user can spend.
    #[must_use]
    pub fn balance(&self, user: UserId) -> Amount {
        self.wallet(user).balance().spendable
    }

    /// An operation of a user.
    ///
    /// # Panics
    /// If there is none of this name.
    #[must_use]
    #[allow(clippy::expect_used)]
    pub fn operation(&self, user: UserId, operation: OperationId) -> View {
        self.wallet(user)
            .operation(operation)
            .expect("it was started")
    }

    /// Gives a command and lets time pass until it is answered.
    ///
    /// # Errors
    /// Those of the wallet.
    ///
    /// # Panics
    /// If there is no answer within ten minutes.
    pub fn command(&mut self, user: UserId, command: Command) -> Result<Reply, ClientError> {
        self.next_ticket += 1;
        let ticket = self.next_ticket;
        let event = Event::Command {
            ticket: Ticket(ticket),
            command,
        };
        self.user_event(user, event);
        let deadline_ms = self.now_ms + 600_000;
        loop {
            if let Some(reply) = self.users[user.0].replies.remove(&ticket) {
                return reply;
            }
            assert!(self.now_ms < deadline_ms, "no reply within ten minutes");
            self.run(50);
        }
    }

    /// Starts an operation and lets time pass until it has ended.
    ///
    /// # Errors
    /// Those of the wallet when the operation is started.
    ///
    /// # Panics
    /// If it has not ended within ten minutes.
    pub fn operate(&mut self, user: UserId, command: Command) -> Result<View, ClientError> {
        let started = self.command(user, command)?;
        let Reply::Started { operation } = started else {
            return Err(ClientError::Federation(format!(
                "no operation: {started:?}"
            )));
        };
        Ok(self.finish(user, operation))
    }

    /// Lets time pass until an operation has ended.
    ///
    /// # Panics
    /// If that takes longer than ten minutes.
    pub fn finish(&mut self, user: UserId, operation: OperationId) -> View {
        let deadline_ms = self.now_ms + 600_000;
        loop {
            let view = self.operation(user, operation);
            if view.phase != guildmint_client::Phase::Pending {
                return view;
            }
            assert!(self.now_ms < deadline_ms, "not ended: {view:?}");
            self.run(100);
        }
    }

    /// Deposits and waits for the e-cash: pays, mines, claims.
    ///
    /// # Panics
    /// If it is not claimed within ten minutes.
    pub fn fund(&mut self, user: UserId, sat: u64) {
        let before = self.balance(user);
        let script = self.deposit_address(user);
        self.chain().pay(script, sat);
        self.chain().mine(3);
        let deadline_ms = self.now_ms + 600_000;
        while self.balance(user) == before {
            assert!(
                self.now_ms < deadline_ms,
                "not claimed: {:?}; committed {:?}",
                self.wallet(user).operations(),
                self.committed()
            );
            self.run(200);
        }
    }

    /// A new address of a user.
    ///
    /// # Panics
    /// If the wallet gives none.
    #[allow(clippy::expect_used)]
    pub fn deposit_address(&mut self, user: UserId) -> ScriptBuf {
        let view = self
            .command(user, Command::DepositAddress)
            .expect("an address");
        let Reply::Started { operation } = view else {
            return ScriptBuf::new();
        };
        let view = self.operation(user, operation);
        let address = view.details.get("address").and_then(|a| a.as_str());
        let address: bitcoin::Address<_> =
            address.and_then(|a| a.parse().ok()).expect("an address");
        address.assume_checked().script_pubkey()
    }

    /// Hands out notes.
    ///
    /// # Errors
    /// Those of the wallet.
    ///
    /// # Panics
    /// If a hand-out that was started comes to no notes.
    #[allow(clippy::expect_used)]
    pub fn send(
        &mut self,
        user: UserId,
        amount: Amount,
    ) -> Result<(OperationId, NotesString), ClientError> {
        let reply = self.command(
            user,
            Command::Send {
                amount,
                reclaim_after_ms: 3 * 24 * 3_600_000,
            },
        )?;
        let Reply::Started { operation } = reply else {
            return Err(ClientError::Federation(format!("no operation: {reply:?}")));
        };
        let deadline_ms = self.now_ms + 600_000;
        loop {
            let view = self.operation(user, operation);
            if let Some(notes) = view.details.get("notes").and_then(|notes| notes.as_str()) {
                return Ok((operation, notes.parse().expect("the wallet's own notes")));
            }
            assert!(self.now_ms < deadline_ms, "no notes: {view:?}");
            self.run(100);
        }
    }

    #[allow(clippy::panic)]
    fn start_user(&mut self, user: UserId) {
        let random = self.rng.gen();
        let now_ms = self.now_ms;
        let one = &mut self.users[user.0];
        one.life += 1;
        one.disk_free_ms = now_ms;
        one.wake_ms = None;
        let seed = MasterSeed::new(one.seed);
        match Client::load(one.disk.clone(), &seed, random) {
            Ok(client) => one.client = Some(client),
            Err(error) => panic!("a wallet does not load its own rows: {error}"),
        }
        let now = Millis(now_ms);
        self.user_event(user, Event::Time { now });
    }

    /// Something for the user's present program.
    fn user_event(&mut self, user: UserId, event: Event) {
        let life = self.users[user.0].life;
        self.notify_user(user, life, event);
    }

    pub(crate) fn notify_user(&mut self, user: UserId, life: u32, event: Event) {
        let now = Millis(self.now_ms);
        let one = &mut self.users[user.0];
        let Some(client) = one.client.as_mut().filter(|_| one.life == life) else {
            return;
        };
        let mut actions = client.handle(Event::Time { now });
        if !matches!(event, Event::Time { .. }) {
            actions.extend(client.handle(event));
        }
        for action in actions {
            self.user_acts(user, life, action);
        }
    }

    pub(crate) fn user_synced(&mut self, user: UserId, life: u32) {
        let one = &mut self.users[user.0];
        if one.life == life {
            if let Some((save, changes)) = one.unsynced.pop_front() {
                one.disk.apply(changes);
                self.notify_user(user, life, Event::Saved { save });
            }
        }
    }

    pub(crate) fn wake_user(&mut self, user: UserId, life: u32, at_ms: u64) {
        let one = &mut self.users[user.0];
        if one.life == life && one.wake_ms == Some(at_ms) {
            one.wake_ms = None;
            self.notify_user(user, life, Event::Time { now: Millis(at_ms) });
        }
    }

    fn user_acts(&mut self, user: UserId, life: u32, action: Action) {
        match action {
            Action::Save { save, changes } => {
                let takes_ms = self.rng.gen_range(0..=6);
                let one = &mut self.users[user.0];
                one.disk_free_ms = one.disk_free_ms.max(self.now_ms) + takes_ms;
                one.unsynced.push_back((save, changes));
                let delay_ms = one.disk_free_ms - self.now_ms;
                self.later(delay_ms, Delivery::UserSynced(user, life));
            }
            Action::Request {
                request,
                peer,
                body,
            } => self.user_asks(user, life, request, peer, body),
            Action::FindDeposits { operation, script } => {
                let news = self.deposits(&script);
                let event = Event::Chain {
                    operation,
                    result: Ok(news),
                };
                self.later(20, Delivery::ToUser(user, life, event));
            }
            // Federations of simulations have no gateways.
            Action::AskGateway { request, .. } => {
                let result = Err(RequestError::Unreachable("no gateway".into()));
                let event = Event::Gateway { request, result };
                self.later(20, Delivery::ToUser(user, life, event));
            }
            Action::WakeAt { at } => {
                self.users[user.0].wake_ms = Some(at.0);
                let delay_ms = at.0.saturating_sub(self.now_ms);
                self.later(delay_ms, Delivery::WakeUser(user, life, at.0));
            }
            Action::Reply { ticket, result } => {
                self.users[user.0].replies.insert(ticket.0, result);
            }
            Action::Progress { .. } | Action::UseAddresses { .. } => {}
        }
    }

    fn user_asks(
        &mut self,
        user: UserId,
        life: u32,
        request: RequestId,
        peer: PeerId,
        body: ApiRequest,
    ) {
        let lost = self.rng.gen_range(0..100) < self.setup.faults.loss;
        if self.users[user.0].cut_off.contains(&peer) || lost {
            let result = Err(RequestError::Unreachable("no connection".into()));
            let event = Event::Answer { request, result };
            return self.later(20, Delivery::ToUser(user, life, event));
        }
        let asker = Asker::User(user, life, request);
        let deadline_ms = body.deadline_ms();
        let question = match body {
            ApiRequest::Submit(bytes) => Request::Submit(bytes),
            ApiRequest::Transaction { txid, wait_seconds } => Request::Transaction {
                txid,
                wait_ms: wait_seconds * 1_000,
            },
            ApiRequest::Status => Request::Status,
            ApiRequest::Announcements => Request::Announcements,
            ApiRequest::Revisions { after } => Request::Revisions { after },
            ApiRequest::Audit => Request::Audit,
            ApiRequest::Config => return,
            ApiRequest::Module {
                kind,
                path,
                parameters,
            } => Request::Query {
                kind: kind.to_owned(),
                query: Query { path, parameters },
            },
        };
        let ticket = self.ask(peer, asker, question);
        self.later(deadline_ms, Delivery::GiveUp(ticket));
    }

    /// A guardian has answered a user.
    pub(crate) fn answer_user(
        &mut self,
        user: UserId,
        life: u32,
        request: RequestId,
        reply: node::Reply,
    ) {
        let json = |value: Result<_, serde_json::Error>| {
            value.map_err(|error| RequestError::Malformed(error.to_string()))
        };
        let result = match reply {
            node::Reply::Transaction(answer) => json(serde_json::to_value(answer)),
            node::Reply::Audit(answer) => json(serde_json::to_value(answer)),
            node::Reply::Status(answer) => json(serde_json::to_value(answer)),
            node::Reply::Announcements(answer) => json(serde_json::to_value(answer)),
            node::Reply::Revisions(answer) => json(serde_json::to_value(answer)),
            node::Reply::Revise(answer) => json(serde_json::to_value(answer)),
            node::Reply::Query(answer) => Ok(answer),
            node::Reply::Problem(problem) => Err(RequestError::Problem(problem)),
        };
        let delay_ms = self.rng.gen_range(1..20);
        let event = Event::Answer { request, result };
        self.later(delay_ms, Delivery::ToUser(user, life, event));
    }

    /// A request is as old as its deadline.
    pub(crate) fn give_up_on(&mut self, ticket: node::Ticket) {
        if let Some(Asker::User(user, life, request)) = self.asked.remove(&ticket) {
            let result = Err(RequestError::TimedOut(0));
            self.notify_user(user, life, Event::Answer { request, result });
        }
    }

    /// What a chain source tells of payments to a script.
    fn deposits(&mut self, script: &ScriptBuf) -> ChainNews {
        let chain = &self.outside.chain;
        let sighting = |(outpoint, amount_sat): (bitcoin::OutPoint, u64)| {
            let burial = chain.place(outpoint.txid).and_then(|place| {
                Some(Burial {
                    height: place.height,
                    header: chain.block(place.height)?.header,
                    merkle: MerkleBranch::of(&chain.txids(place.height), place.position)?,
                    transaction: chain.transaction(outpoint.txid)?.clone(),
                })
            });
            Sighting {
                outpoint,
                amount_sat,
                burial,
            }
        };
        ChainNews {
            tip_height: chain.tip_height(),
            deposits: chain.paid(script).into_iter().map(sighting).collect(),
        }
    }
}
