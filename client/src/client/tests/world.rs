//! Wallets, a fake federation and a chain under simulated time.

use bitcoin::{
    absolute::LockTime, block::Header, hashes::Hash, transaction::Version, Block, BlockHash,
    CompactTarget, OutPoint, ScriptBuf, Sequence, TxIn, TxMerkleNode, TxOut, Witness,
};
use guildmint_core::{api::mark, Amount, PeerId};
use guildmint_wallet::MerkleBranch;
use rand_chacha::rand_core::RngCore;
use serde_json::json;

use super::{
    fake::{Fake, Mood},
    *,
};
use crate::{ApiRequest, Burial, ChainNews, Command, GatewayCall, Sighting, Ticket, View};

/// How often somebody who holds a request looks whether it can be answered.
const HELD_MS: u64 = 200;

/// When a wallet's process dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crash {
    Never,
    /// Just before the save with this number is durable.
    BeforeSave(u64),
    /// Just after, and before anything that waited for it.
    AfterSave(u64),
    /// When the request with this number is on its way: it arrives, the answer does not.
    AfterRequest(u64),
}

enum Delivery {
    Event(Event),
    /// A request arrives at a guardian.
    Request(RequestId, PeerId, ApiRequest),
    /// A guardian holds it until then.
    Held(RequestId, PeerId, ApiRequest, Millis),
    /// A request arrives at a gateway, which may hold it until then.
    Call(RequestId, String, GatewayCall, Millis),
}

pub struct User {
    seed: MasterSeed,
    pub store: Memory,
    pub client: Client,
    /// How often the process has died.
    lives: u8,
    pub crash: Crash,
    saves: u64,
    requests: u64,
    last_ticket: u64,
    pub replies: BTreeMap<Ticket, Result<Reply, ClientError>>,
    pub asked: Vec<(PeerId, ApiRequest)>,
    pub calls: Vec<(String, GatewayCall)>,
    /// Where it was last told that guardians are.
    pub apis: BTreeMap<PeerId, String>,
    queue: BTreeMap<(Millis, u64), Delivery>,
    wake: Option<Millis>,
    sequence: u64,
}

pub struct World {
    pub fake: Fake,
    pub users: Vec<User>,
    pub now: Millis,
    pub deposits: BTreeMap<ScriptBuf, Vec<Sighting>>,
    pub tip_height: u32,
    rng: ChaCha20Rng,
}

impl World {
    pub fn new(fake: Fake, users: u8, seed: u64) -> Self {
        let users = (0..users).map(|number| User::new(&fake, number)).collect();
        let mut world = Self {
            fake,
            users,
            now: Millis(1_000_000),
            deposits: BTreeMap::new(),
            tip_height: 100,
            rng: ChaCha20Rng::seed_from_u64(seed),
        };
        for user in 0..world.users.len() {
            world.deliver(user, Event::Time { now: world.now });
        }
        world
    }

    pub fn standard() -> Self {
        Self::new(Fake::new(0), 2, 1)
    }

    /// Gives a user a command and waits for the reply.
    pub fn command(&mut self, user: usize, command: Command) -> Result<Reply, ClientError> {
        self.users[user].last_ticket += 1;
        let ticket = Ticket(self.users[user].last_ticket);
        self.deliver(user, Event::Command { ticket, command });
        self.run(user, |one| one.replies.contains_key(&ticket));
        self.users[user].replies.remove(&ticket).unwrap()
    }

    /// Gives the first user a command; the ticket, and in which life that was.
    pub fn give(&mut self, command: Command) -> (Ticket, u8) {
        let before = self.users[0].lives;
        self.users[0].last_ticket += 1;
        let ticket = Ticket(self.users[0].last_ticket);
        self.deliver(0, Event::Command { ticket, command });
        (ticket, before)
    }

    /// How often the first user's process has died.
    pub fn lives(&self) -> u8 {
        self.users[0].lives
    }

    /// Lets the next thing happen to the first user.
    pub fn advance(&mut self) {
        assert!(self.step(0), "nothing more happens");
    }

    /// Starts an operation.
    pub fn start(&mut self, user: usize, command: Command) -> OperationId {
        match self.command(user, command) {
            Ok(Reply::Started { operation }) => operation,
            other => panic!("{other:?}"),
        }
    }

    /// Runs until an operation has ended.
    pub fn end(&mut self, user: usize, operation: OperationId) -> View {
        let ended = |one: &User| {
            one.client
                .operation(operation)
                .is_ok_and(|view| view.phase != crate::Phase::Pending)
        };
        self.run(user, ended);
        self.users[user].client.operation(operation).unwrap()
    }

    /// Runs until a condition holds, at most ten simulated minutes.
    pub fn run(&mut self, user: usize, until: impl Fn(&User) -> bool) {
        let limit = self.now.after_ms(600_000);
        while !until(&self.users[user]) {
            assert!(self.step(user) && self.now < limit, "nothing more happens");
        }
    }

    /// Runs for so long.
    pub fn pass(&mut self, user: usize, ms: u64) {
        let end = self.now.after_ms(ms);
        while self.next(user).is_some_and(|at| at <= end) {
            self.step(user);
        }
        self.now = end;
    }

    fn next(&self, user: usize) -> Option<Millis> {
        let one = &self.users[user];
        let queued = one.queue.keys().next().map(|(at, _)| *at);
        queued.into_iter().chain(one.wake).min()
    }

    fn step(&mut self, user: usize) -> bool {
        let Some(next) = self.next(user) else {
            return false;
        };
        self.now = self.now.max(next);
        if self.users[user].wake.is_some_and(|wake| wake <= self.now) {
            self.users[user].wake = None;
            self.deliver(user, Event::Time { now: self.now });
            return true;
        }
        match self.users[user].queue.pop_first() {
            Some((_, Delivery::Event(event))) => self.deliver(user, event),
            Some((_, Delivery::Request(request, peer, body))) => {
                let until = self.now.after_ms(wait_ms(&body));
                self.ask_guardian(user, (request, peer, body), until);
            }
            Some((_, Delivery::Held(request, peer, body, until))) => {
                self.ask_guardian(user, (request, peer, body), until);
            }
            Some((_, Delivery::Call(request, url, call, until))) => {
                self.ask_gateway(user, (request, url, call), until);
            }
            None => {}
        }
        true
    }

    /// A guardian's answer: at once, or when it is another than the one that is known.
    fn ask_guardian(
        &mut self,
        user: usize,
        (request, peer, body): (RequestId, PeerId, ApiRequest),
        until: Millis,
    ) {
        let (plain, known) = plain(&body);
        let result = self.fake.answer(peer, &plain);
        let same = |answer: &Json| known.as_ref() == Some(&mark(answer));
        let holds = self.fake.moods[usize::from(peer.0)] != Mood::Hasty;
        if self.now < until && holds && result.as_ref().is_ok_and(same) {
            let held = Delivery::Held(request, peer, body, until);
            return self.later(user, HELD_MS, held);
        }
        let event = Event::Answer { request, result };
        self.later(user, 1, Delivery::Event(event));
    }

    fn ask_gateway(
        &mut self,
        user: usize,
        (request, url, call): (RequestId, String, GatewayCall),
        until: Millis,
    ) {
        match self.fake.gateway(&url, &call) {
            Some(result) => {
                let event = Event::Gateway { request, result };
                self.later(user, 1, Delivery::Event(event));
            }
            None if self.now < until => {
                self.later(user, HELD_MS, Delivery::Call(request, url, call, until));
            }
            None => {
                let result = Ok(json!({}));
                let event = Event::Gateway { request, result };
                self.later(user, 1, Delivery::Event(event));
            }
        }
    }

    fn later(&mut self, user: usize, ms: u64, delivery: Delivery) {
        let one = &mut self.users[user];
        one.sequence += 1;
        one.queue
            .insert((self.now.after_ms(ms), one.sequence), delivery);
    }

    pub fn deliver(&mut self, user: usize, event: Event) {
        let now = self.now;
        let one = &mut self.users[user];
        let mut actions = one.client.handle(Event::Time { now });
        actions.extend(one.client.handle(event));
        for action in actions {
            if !self.act(user, action) {
                return self.restart(user);
            }
        }
    }

    /// Carries out an action; false if the process dies of it.
    fn act(&mut self, user: usize, action: Action) -> bool {
        let one = &mut self.users[user];
        match action {
            Action::Save { save, changes } => {
                one.saves += 1;
                if one.crash == Crash::BeforeSave(one.saves) {
                    return false;
                }
                one.store.apply(changes);
                if one.crash == Crash::AfterSave(one.saves) {
                    return false;
                }
                let delay = self.rng.next_u64() % 3;
                self.later(user, delay, Delivery::Event(Event::Saved { save }));
            }
            Action::Request {
                request,
                peer,
                body,
            } => {
                one.requests += 1;
                one.asked.push((peer, body.clone()));
                if one.crash == Crash::AfterRequest(one.requests) {
                    let _ = self.fake.answer(peer, &body);
                    return false;
                }
                let slow = self.fake.moods[usize::from(peer.0)] == Mood::Slow;
                let delay = 1 + self.rng.next_u64() % 40 + if slow { 5_000 } else { 0 };
                self.later(user, delay, Delivery::Request(request, peer, body));
            }
            Action::AskGateway { request, url, call } => {
                one.calls.push((url.clone(), call.clone()));
                let until = self.now.after_ms(60_000);
                let delay = 1 + self.rng.next_u64() % 40;
                self.later(user, delay, Delivery::Call(request, url, call, until));
            }
            Action::FindDeposits { operation, script } => {
                let news = ChainNews {
                    tip_height: self.tip_height,
                    deposits: self.deposits.get(&script).cloned().unwrap_or_default(),
                };
                let result = Ok(news);
                self.later(user, 5, Delivery::Event(Event::Chain { operation, result }));
            }
            Action::WakeAt { at } => one.wake = Some(at),
            Action::Reply { ticket, result } => {
                one.replies.insert(ticket, result);
            }
            Action::UseAddresses { apis } => one.apis = apis,
            Action::Progress { .. } => {}
        }
        true
    }

    /// The process dies and is started again: all that is left is what was saved.
    pub fn restart(&mut self, user: usize) {
        let one = &mut self.users[user];
        one.crash = Crash::Never;
        one.lives += 1;
        one.queue.clear();
        one.wake = None;
        one.client = Client::load(one.store.clone(), &one.seed, [one.lives; 32]).unwrap();
        self.deliver(user, Event::Time { now: self.now });
    }

    /// The user's disk is gone; there are the words, and the invite code.
    pub fn lose(&mut self, user: usize) {
        let mut store = Memory::default();
        store.apply(crate::unrestored());
        store.apply(crate::join(&self.fake.membership()));
        self.users[user].store = store;
        self.restart(user);
    }

    /// Pays to a deposit address, in a block that is deep enough.
    pub fn pay(&mut self, address: &str, amount_sat: u64) {
        let address: bitcoin::Address<_> = address.parse().unwrap();
        let script = address.assume_checked().script_pubkey();
        let sighting = mined(&script, amount_sat, self.tip_height, self.rng.next_u32());
        self.deposits.entry(script).or_default().push(sighting);
        self.tip_height += 2;
    }

    /// Gives a user money.
    pub fn fund(&mut self, user: usize, amount_sat: u64) -> View {
        let operation = self.start(user, Command::DepositAddress);
        let view = self.users[user].client.operation(operation).unwrap();
        self.pay(view.details["address"].as_str().unwrap(), amount_sat);
        self.end(user, operation)
    }

    pub fn balance(&self, user: usize) -> u64 {
        self.users[user].client.balance().spendable.msat()
    }
}

impl User {
    fn new(fake: &Fake, number: u8) -> Self {
        let mut store = Memory::default();
        store.apply(crate::join(&fake.membership()));
        let seed = MasterSeed::new([number; 64]);
        Self {
            client: Client::load(store.clone(), &seed, [0; 32]).unwrap(),
            seed,
            store,
            lives: 0,
            crash: Crash::Never,
            saves: 0,
            requests: 0,
            last_ticket: 0,
            replies: BTreeMap::new(),
            asked: Vec::new(),
            calls: Vec::new(),
            apis: BTreeMap::new(),
            queue: BTreeMap::new(),
            wake: None,
            sequence: 0,
        }
    }

    /// Counts crashes from here.
    pub fn crash(&mut self, crash: Crash) {
        self.crash = match crash {
            Crash::Never => Crash::Never,
            Crash::BeforeSave(number) => Crash::BeforeSave(self.saves + number),
            Crash::AfterSave(number) => Crash::AfterSave(self.saves + number),
            Crash::AfterRequest(number) => Crash::AfterRequest(self.requests + number),
        };
    }
}

/// For how long a guardian may hold a request.
fn wait_ms(body: &ApiRequest) -> u64 {
    match body {
        ApiRequest::Module { parameters, .. } => {
            let seconds = parameters.get("wait").map(|wait| wait.parse::<u64>());
            seconds.map_or(0, |seconds| seconds.unwrap() * 1_000)
        }
        _ => 0,
    }
}

/// A request without the wish to wait, and the answer that is known.
fn plain(body: &ApiRequest) -> (ApiRequest, Option<String>) {
    let mut body = body.clone();
    let known = match &mut body {
        ApiRequest::Module { parameters, .. } => {
            parameters.remove("wait");
            parameters.remove("known")
        }
        _ => None,
    };
    (body, known)
}

pub fn sat(sat: u64) -> Amount {
    Amount::from_sat(sat).unwrap()
}

/// A block with one transaction, which pays to a script.
fn mined(script: &ScriptBuf, amount_sat: u64, height: u32, salt: u32) -> Sighting {
    let transaction = bitcoin::Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![TxIn {
            previous_output: OutPoint::new(bitcoin::Txid::all_zeros(), salt),
            script_sig: ScriptBuf::new(),
            sequence: Sequence::MAX,
            witness: Witness::new(),
        }],
        output: vec![TxOut {
            value: bitcoin::Amount::from_sat(amount_sat),
            script_pubkey: script.clone(),
        }],
    };
    let txid = transaction.compute_txid();
    let header = Header {
        version: bitcoin::block::Version::TWO,
        prev_blockhash: BlockHash::all_zeros(),
        merkle_root: TxMerkleNode::from_raw_hash(txid.to_raw_hash()),
        time: 0,
        bits: CompactTarget::from_consensus(0),
        nonce: 0,
    };
    let block = Block {
        header,
        txdata: vec![transaction.clone()],
    };
    assert!(block.check_merkle_root());
    Sighting {
        outpoint: OutPoint::new(txid, 0),
        amount_sat,
        burial: Some(Burial {
            height,
            header,
            merkle: MerkleBranch::of(&[txid], 0).unwrap(),
            transaction,
        }),
    }
}
