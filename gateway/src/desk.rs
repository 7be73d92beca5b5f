//! Where operations find what they may use, and leave what they want.

use std::collections::{BTreeMap, BTreeSet};

use guildmint_core::{Amount, FederationId};
use guildmint_ln::{ContractId, OfferId, PaymentHash};

use crate::{
    call::Call,
    error::GatewayError,
    event::{Action, Millis, Ticket},
    federation::{FederationState, Order},
    keys::Keys,
    limits,
    node::{NodeId, NodeState, RequestId},
    operation::{fetch, pay, receive, ContractKey, Fetch, Incoming, Outgoing},
    reply::Reply,
    rows::{
        FetchRow, IncomingRow, OutgoingRow, Rows, Served, ServedRow, Spending, SpendingRow,
        TotalsRow,
    },
    warning::Warning,
};

/// What a timer is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Concern {
    Outgoing(ContractKey),
    Incoming(PaymentHash),
    Stray(PaymentHash),
    Fetch(RequestId),
    Announcement(FederationId),
}

/// Who waits for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Awaited {
    Payment(ContractKey),
    Invoice(PaymentHash),
    Fetched(RequestId),
}

/// The gateway, apart from the order in which what it does becomes durable.
pub(crate) struct Desk {
    pub(crate) now: Millis,
    pub(crate) keys: Keys,
    /// For names that nobody guesses.
    pub(crate) random: [u8; 32],
    pub(crate) rows: Rows,
    /// Unknown until it is told.
    pub(crate) node: Option<NodeState>,
    pub(crate) federations: BTreeMap<FederationId, FederationState>,
    /// Contracts about which a federation is asked, with who wants which invoice paid for them.
    pub(crate) looks: BTreeMap<ContractKey, Vec<(Ticket, String)>>,
    /// Payments that have not ended.
    pub(crate) paying: BTreeMap<ContractKey, Outgoing>,
    /// Payments that came and have not ended.
    pub(crate) receiving: BTreeMap<PaymentHash, Incoming>,
    pub(crate) offers: BTreeMap<(FederationId, OfferId), PaymentHash>,
    pub(crate) contracts: BTreeMap<(FederationId, ContractId), PaymentHash>,
    /// How many invoices of each federation can be paid.
    pub(crate) invoices: BTreeMap<FederationId, usize>,
    waiting: BTreeMap<Awaited, Vec<Ticket>>,
    timers: BTreeMap<Concern, Millis>,
    due: BTreeSet<(Millis, Concern)>,
    pub(crate) warned: BTreeSet<(PaymentHash, &'static str)>,
    /// What was last said of each federation's fees.
    pub(crate) fees_told: BTreeMap<FederationId, Vec<Warning>>,
    pub(crate) outbox: Vec<Action>,
}

impl Desk {
    pub(crate) fn new(keys: Keys, rows: Rows, random: [u8; 32]) -> Self {
        let mut desk = Self {
            now: Millis::default(),
            keys,
            random,
            rows,
            node: None,
            federations: BTreeMap::new(),
            looks: BTreeMap::new(),
            paying: BTreeMap::new(),
            receiving: BTreeMap::new(),
            offers: BTreeMap::new(),
            contracts: BTreeMap::new(),
            invoices: BTreeMap::new(),
            waiting: BTreeMap::new(),
            timers: BTreeMap::new(),
            due: BTreeSet::new(),
            warned: BTreeSet::new(),
            fees_told: BTreeMap::new(),
            outbox: Vec::new(),
        };
        for (OutgoingRow(federation, contract), outgoing) in desk.rows.scan() {
            desk.index_outgoing((federation, contract).into(), &outgoing);
        }
        for (IncomingRow(hash), incoming) in desk.rows.scan() {
            desk.index_incoming(hash, &incoming, 1);
        }
        desk
    }

    pub(crate) fn call(&mut self, call: Call) {
        self.outbox.push(Action::Node(call));
    }

    pub(crate) fn order(&mut self, federation: FederationId, order: Order) {
        self.outbox.push(Action::Federation { federation, order });
    }

    pub(crate) fn warn(&mut self, warning: Warning) {
        self.outbox.push(Action::Warn(warning));
    }

    /// Warns once in this run of the program.
    pub(crate) fn warn_once(&mut self, hash: PaymentHash, of: &'static str, warning: Warning) {
        if self.warned.insert((hash, of)) {
            self.warn(warning);
        }
    }

    pub(crate) fn reply(&mut self, ticket: Ticket, result: Result<Reply, GatewayError>) {
        self.outbox.push(Action::Reply { ticket, result });
    }

    /// Has a ticket wait for something. Whoever asked first makes room: a wallet asks again when its connection has ended, and nobody
    /// says that it has.
    pub(crate) fn wait(&mut self, ticket: Ticket, awaited: Awaited) {
        let waiting = self.waiting.entry(awaited).or_default();
        let oldest = match waiting.len() < limits::MAX_WAITERS {
            true => None,
            false => Some(waiting.remove(0)),
        };
        waiting.push(ticket);
        if let Some(oldest) = oldest {
            self.reply(oldest, Err(GatewayError::Busy("requests for one payment")));
        }
    }

    /// Answers all who wait for something.
    pub(crate) fn answer(&mut self, awaited: Awaited, result: &Result<Reply, GatewayError>) {
        for ticket in self.waiting.remove(&awaited).into_iter().flatten() {
            self.reply(ticket, result.clone());
        }
    }

    /// Comes back to something at this time. Replaces what was set before.
    pub(crate) fn wake(&mut self, concern: Concern, at: Millis) {
        if let Some(before) = self.timers.insert(concern, at) {
            self.due.remove(&(before, concern));
        }
        self.due.insert((at, concern));
    }

    pub(crate) fn retry(&mut self, concern: Concern) {
        self.wake(concern, self.now.after_ms(limits::RETRY_MS));
    }

    pub(crate) fn next_wake(&self) -> Option<Millis> {
        self.due.first().map(|(at, _)| *at)
    }

    /// What is due now.
    pub(crate) fn take_due(&mut self) -> Vec<Concern> {
        let mut due = Vec::new();
        while let Some((at, concern)) = self.due.first().copied() {
            if at > self.now {
                break;
            }
            self.due.remove(&(at, concern));
            self.timers.remove(&concern);
            due.push(concern);
        }
        due
    }

    pub(crate) fn served(&self, federation: FederationId) -> Result<Served, GatewayError> {
        let served = self.rows.get(&ServedRow(federation));
        served.ok_or(GatewayError::Federation(federation))
    }

    pub(crate) fn outgoing(&self, key: ContractKey) -> Option<Outgoing> {
        let stored = || self.rows.get(&OutgoingRow(key.federation, key.contract));
        self.paying.get(&key).cloned().or_else(stored)
    }

    pub(crate) fn put_outgoing(&mut self, key: ContractKey, outgoing: &Outgoing) {
        let row = OutgoingRow(key.federation, key.contract);
        self.rows.put(&row, outgoing);
        self.index_outgoing(key, outgoing);
    }

    fn index_outgoing(&mut self, key: ContractKey, outgoing: &Outgoing) {
        match outgoing.has_ended() {
            true => self.paying.remove(&key),
            false => self.paying.insert(key, outgoing.clone()),
        };
    }

    pub(crate) fn incoming(&self, hash: PaymentHash) -> Option<Incoming> {
        self.rows.get(&IncomingRow(hash))
    }

    pub(crate) fn put_incoming(&mut self, hash: PaymentHash, incoming: &Incoming) {
        let before = self.incoming(hash);
        self.rows.put(&IncomingRow(hash), incoming);
        if let Some(before) = before {
            self.index_incoming(hash, &before, -1);
            if let Some(contract) = before.contract() {
                self.contracts.remove(&(before.federation, contract));
            }
        }
        self.index_incoming(hash, incoming, 1);
    }

    pub(crate) fn remove_incoming(&mut self, hash: PaymentHash, incoming: &Incoming) {
        self.rows.remove(&IncomingRow(hash));
        self.index_incoming(hash, incoming, -1);
        self.receiving.remove(&hash);
        let offer = incoming.offer.offer.id(incoming.federation);
        self.offers.remove(&(incoming.federation, offer));
    }

    fn index_incoming(&mut self, hash: PaymentHash, incoming: &Incoming, step: isize) {
        let federation = incoming.federation;
        if incoming.is_open() {
            let open = self.invoices.entry(federation).or_default();
            *open = open.saturating_add_signed(step);
        }
        if step < 0 {
            return;
        }
        match incoming.is_under_way() {
            true => self.receiving.insert(hash, incoming.clone()),
            false => self.receiving.remove(&hash),
        };
        if let Some(contract) = incoming.contract() {
            self.contracts.insert((federation, contract), hash);
        }
        let offer = incoming.offer.offer.id(federation);
        match incoming.has_ended() {
            true => self.offers.remove(&(federation, offer)),
            false => self.offers.insert((federation, offer), hash),
        };
    }

    pub(crate) fn fetch(&self, request: RequestId) -> Option<Fetch> {
        self.rows.get(&FetchRow(request))
    }

    pub(crate) fn halted(&self) -> bool {
        self.rows
            .get(&TotalsRow(()))
            .is_some_and(|totals| totals.halted)
    }

    /// Whether node and federation have been heard of since the start. Before that, what comes waits: it would only be refused.
    pub(crate) fn is_ready(&self, federation: FederationId) -> bool {
        self.node.is_some() && self.federations.contains_key(&federation)
    }

    pub(crate) fn node_id(&self) -> Option<NodeId> {
        self.node.as_ref().and_then(|node| node.node_id)
    }

    /// All that the gateway has: on Lightning, in federations, and in contracts that it can claim.
    pub(crate) fn worth(&self) -> Amount {
        let node = self.node.as_ref();
        let balances = node.map(|node| node.balances).unwrap_or_default();
        let node = [
            balances.wallet_msat,
            balances.reserved_msat,
            balances.unconfirmed_msat,
            balances.channels_msat,
            balances.closing_msat,
        ];
        let ecash = self.federations.values().map(|state| state.ecash.msat());
        let claimable = self.paying.values().map(Outgoing::claimable_msat);
        let all = node.into_iter().chain(ecash).chain(claimable);
        Amount::from_msat(all.fold(0, u64::saturating_add)).unwrap_or(Amount::MAX)
    }

    /// Whether [`Desk::worth`] is all of it: right after a start nothing was heard yet of some.
    pub(crate) fn knows_its_worth(&self) -> bool {
        let served = self.rows.scan::<ServedRow>().into_iter();
        let mut served = served.filter(|(_, served)| !served.left);
        self.node.is_some()
            && served.all(|(ServedRow(federation), _)| self.federations.contains_key(&federation))
    }

    pub(crate) fn spent_msat(&self, federation: FederationId) -> u64 {
        let spending = self.rows.get(&SpendingRow(federation)).unwrap_or_default();
        match self.now.since_ms(spending.since) < limits::PERIOD_MS {
            true => spending.spent_msat,
            false => 0,
        }
    }

    pub(crate) fn spend(&mut self, federation: FederationId, amount: Amount) {
        let row = SpendingRow(federation);
        let mut spending = self.rows.get(&row).unwrap_or_default();
        if self.now.since_ms(spending.since) >= limits::PERIOD_MS {
            spending = Spending {
                since: self.now,
                spent_msat: 0,
            };
        }
        spending.spent_msat = spending.spent_msat.saturating_add(amount.msat());
        self.rows.put(&row, &spending);
    }

    /// What was counted at that time has come back, or never left. ⚠ Else whoever has payments fail uses up the day for everybody. What was
    /// counted in a period that is over counts no more anyway.
    pub(crate) fn unspend(&mut self, federation: FederationId, amount: Amount, at: Millis) {
        let row = SpendingRow(federation);
        let spending = self.rows.get(&row);
        if let Some(mut spending) = spending.filter(|spending| spending.since <= at) {
            spending.spent_msat = spending.spent_msat.saturating_sub(amount.msat());
            self.rows.put(&row, &spending);
        }
    }

    /// A timer has run out.
    pub(crate) fn ring(&mut self, concern: Concern) {
        match concern {
            Concern::Outgoing(key) => pay::resume(self, key),
            Concern::Incoming(hash) => receive::resume(self, hash),
            Concern::Stray(hash) => receive::return_stray(self, hash),
            Concern::Fetch(request) => fetch::resume(self, request),
            Concern::Announcement(federation) => crate::announce::renew(self, federation),
        }
    }
}
