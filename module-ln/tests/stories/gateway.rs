//! A gateway for stories: rows and a worker that goes over them, as a real one has. Whatever it hears only changes a row; whatever it
//! does follows from the rows and may be done twice.

use std::collections::BTreeMap;

use bitcoin::secp256k1::{schnorr::Signature, Keypair, Message};
use guildmint_core::{module::Query, Bytes, FederationId, Item, PeerId, Transaction, TxId};
use guildmint_kit::{lightning::LightningEvent, rand::Rng, ChaCha20Rng};
use guildmint_ln::{
    client::{open, Invoice, Opened, PayEvent, ReceiveEvent},
    ContractId, Forfeit, GatewayReply, IncomingContract, InvoiceRequest, LnConfig, LnInput,
    LnOutput, OfferRef, PayRequest, PaymentHash, Preimage, ShareAnswer, ShareRequest, SignedOffer,
    Terms, Witness,
};
use secp256k1::SECP256K1;

use crate::world::{invoice, key, sat, World, LN, NETWORK};

/// Blocks before a Lightning payment's deadline after which guardians must refuse the contract for it.
const MARGIN: u32 = 12;

/// How a gateway behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manners {
    Honest,
    /// It takes contracts and does nothing.
    Vanishes,
}

/// What users ask of it.
#[allow(clippy::large_enum_variant)] // a few at a time
pub enum Ask {
    Pay(usize, PayRequest),
    Invoice(usize, InvoiceRequest),
}

/// What it answers.
#[derive(Debug, Clone)]
pub enum Reply {
    Payer(GatewayReply),
    Invoice(String),
}

impl Reply {
    pub fn for_payer(self) -> Option<PayEvent> {
        match self {
            Self::Payer(reply) => Some(PayEvent::Gateway(reply)),
            Self::Invoice(_) => None,
        }
    }

    pub fn for_payee(self) -> Option<ReceiveEvent> {
        match self {
            Self::Invoice(text) => Some(ReceiveEvent::Invoice(text)),
            Self::Payer(_) => None,
        }
    }
}

/// A payment that it is to receive for a user.
#[derive(Debug, Clone)]
struct Incoming {
    user: usize,
    offer: SignedOffer,
    invoice: String,
    /// The deadline of the Lightning payment that is held for it; `u32::MAX` for a swap.
    held_until: Option<u32>,
    fund: Option<Transaction>,
    opened: Option<Opened>,
    refund: Option<Transaction>,
    failed: bool,
}

/// A payment that it is to make for a user.
#[derive(Debug, Clone)]
struct Outgoing {
    user: usize,
    invoice: Invoice,
    dispatched: bool,
    preimage: Option<Preimage>,
    forfeit: Option<Forfeit>,
    claim: Option<Transaction>,
}

#[derive(Debug, Clone, Default)]
struct Rows {
    incoming: BTreeMap<PaymentHash, Incoming>,
    outgoing: BTreeMap<ContractId, Outgoing>,
}

pub struct Gateway {
    federation: FederationId,
    config: LnConfig,
    manners: Manners,
    rows: Rows,
    asks: Vec<Ask>,
}

fn sign(txid: TxId) -> Signature {
    SECP256K1.sign_schnorr_no_aux_rand(&Message::from_digest(txid.0), &key(77))
}

impl Gateway {
    pub fn new(federation: FederationId, config: LnConfig, manners: Manners) -> Self {
        Self {
            federation,
            config,
            manners,
            rows: Rows::default(),
            asks: Vec::new(),
        }
    }

    pub fn key(&self) -> Keypair {
        key(77)
    }

    /// What is in memory and not in rows is gone.
    pub fn restart(&mut self) {
        self.asks.clear();
    }

    pub fn asked(&mut self, ask: Ask) {
        self.asks.push(ask);
    }

    /// An event of the node: a row changes, and nothing else happens.
    pub fn heard(&mut self, event: LightningEvent) {
        match event {
            LightningEvent::Claimable { hash, deadline, .. } => {
                if let Some(row) = self.rows.incoming.get_mut(&hash.into()) {
                    row.held_until.get_or_insert(deadline);
                }
            }
            LightningEvent::Sent { hash, preimage } => {
                for row in self.paying(hash.into()) {
                    row.preimage.get_or_insert(preimage.into());
                }
            }
            LightningEvent::Failed { hash } => {
                let federation = self.federation;
                for (id, row) in &mut self.rows.outgoing {
                    if row.invoice.hash == hash.into() && row.dispatched && row.preimage.is_none() {
                        row.forfeit
                            .get_or_insert_with(|| Forfeit::sign(federation, *id, &key(77)));
                    }
                }
            }
        }
    }

    fn paying(&mut self, hash: PaymentHash) -> impl Iterator<Item = &mut Outgoing> {
        let rows = self.rows.outgoing.values_mut();
        rows.filter(move |row| row.invoice.hash == hash && row.dispatched)
    }

    /// What a user is told now: all that is known, or nothing, because it was lost.
    pub fn replies(&self, user: usize, rng: &mut ChaCha20Rng) -> Vec<Reply> {
        if rng.gen() {
            return Vec::new();
        }
        let payer = self.rows.outgoing.values().filter(|row| row.user == user);
        let payer = payer.filter_map(|row| {
            let paid = row.preimage.map(GatewayReply::Paid);
            Some(Reply::Payer(
                paid.or(row.forfeit.map(GatewayReply::Forfeit))?,
            ))
        });
        let payee = self.rows.incoming.values().filter(|row| row.user == user);
        let payee = payee.map(|row| Reply::Invoice(row.invoice.clone()));
        payer.chain(payee).collect()
    }

    pub fn transactions(&self) -> impl Iterator<Item = &Transaction> {
        let incoming = self.rows.incoming.values();
        let incoming = incoming.flat_map(|row| row.fund.iter().chain(&row.refund));
        incoming.chain(
            self.rows
                .outgoing
                .values()
                .filter_map(|row| row.claim.as_ref()),
        )
    }

    /// Goes over all rows, and does what is next for each.
    pub fn work(world: &mut World) {
        for ask in std::mem::take(&mut world.gateway.asks) {
            match ask {
                Ask::Invoice(user, request) => world.gateway.make_invoice(user, &request),
                Ask::Pay(user, request) => Self::take_contract(world, user, &request),
            }
        }
        let hashes: Vec<_> = world.gateway.rows.incoming.keys().copied().collect();
        for hash in hashes {
            Self::receive(world, hash);
        }
        let contracts: Vec<_> = world.gateway.rows.outgoing.keys().copied().collect();
        for contract in contracts {
            Self::pay(world, contract);
        }
    }

    fn make_invoice(&mut self, user: usize, request: &InvoiceRequest) {
        let offer = request.offer;
        if request.federation != self.federation || offer.verify(self.federation).is_err() {
            return;
        }
        let amount = offer.offer.amount.checked_add(sat(2)).unwrap();
        let invoice = invoice(&self.key(), offer.offer.hash, amount);
        // ⚠ One row for a hash, ever.
        self.rows
            .incoming
            .entry(offer.offer.hash)
            .or_insert(Incoming {
                user,
                offer,
                invoice,
                held_until: None,
                fund: None,
                opened: None,
                refund: None,
                failed: false,
            });
    }

    /// Believes guardians what a contract says, and nobody else.
    fn take_contract(world: &mut World, user: usize, request: &PayRequest) {
        let account = world.contract(request.contract).account;
        let invoice = Invoice::read(&request.invoice, NETWORK).ok();
        let Some((account, invoice)) = account.zip(invoice) else {
            return;
        };
        let Terms::Outgoing(contract) = account.terms else {
            return;
        };
        let ours = contract.gateway_key == world.gateway.key().x_only_public_key().0;
        let fits = contract.hash == invoice.hash && contract.invoice_hash == invoice.id;
        if !ours || !fits || account.amount < invoice.amount {
            return;
        }
        let taken = |row: &Outgoing| row.invoice.hash == invoice.hash;
        let taken = world.gateway.rows.outgoing.values().any(taken);
        let federation = world.gateway.federation;
        let row = world.gateway.rows.outgoing.entry(request.contract);
        row.or_insert_with(|| Outgoing {
            user,
            invoice,
            dispatched: false,
            preimage: None,
            // ⚠ A second contract on one hash is given up: it is never paid twice.
            forfeit: taken.then(|| Forfeit::sign(federation, request.contract, &key(77))),
            claim: None,
        });
    }

    fn receive(world: &mut World, hash: PaymentHash) {
        let mut row = world.gateway.rows.incoming[&hash].clone();
        let Some(deadline) = row.held_until else {
            return;
        };
        match (&row.fund, row.opened) {
            _ if row.failed => world.lightning.fail(&hash.0 .0),
            (None, _) => Self::fund(world, &mut row, deadline),
            (Some(fund), None) => {
                let fund = fund.clone();
                if world.was_accepted(&fund) {
                    row.opened = Self::collect(world, &fund, &row.offer);
                } else if world.was_refused(&fund) {
                    row.failed = true;
                } else {
                    world.send("gateway funds", &fund);
                }
            }
            (Some(_), Some(Opened::Preimage(preimage))) => {
                world.lightning.claim(&hash.0 .0);
                for paying in world.gateway.paying(hash) {
                    paying.preimage.get_or_insert(preimage);
                }
            }
            (Some(fund), Some(Opened::Undecryptable(witness))) => {
                let contract = ContractId::new(world.out_point(fund));
                Self::take_back(world, &mut row, contract, witness);
                row.failed = row
                    .refund
                    .as_ref()
                    .is_some_and(|one| world.was_accepted(one));
            }
        }
        world.gateway.rows.incoming.insert(hash, row);
    }

    fn fund(world: &mut World, row: &mut Incoming, deadline: u32) {
        let valid_until = deadline.saturating_sub(MARGIN);
        if world.height() > valid_until {
            row.failed = true;
            return;
        }
        let contract = IncomingContract {
            offer: OfferRef::Carried(row.offer),
            amount: row.offer.offer.amount,
            refund_key: world.gateway.key().x_only_public_key().0,
            valid_until,
        };
        let output = Item::new(LN, &LnOutput::Incoming(contract));
        let price = contract.amount.msat();
        let made = world.transaction((None, &sign), Some(output), (0, price));
        row.fund = Some(made);
    }

    /// Asks guardians one after the other, some of whom may not answer now.
    fn collect(world: &mut World, fund: &Transaction, offer: &SignedOffer) -> Option<Opened> {
        let contract = ContractId::new(world.out_point(fund));
        let mut shares = BTreeMap::new();
        for guardian in world.sequencer.quorum().peers() {
            if world.rng.gen_range(0..3) == 0 {
                continue;
            }
            shares.extend(Self::share(world, guardian, contract));
        }
        let gateway = &world.gateway;
        let opened = open(gateway.federation, &gateway.config, &offer.offer, &shares);
        opened.ok().map(|(opened, _)| opened)
    }

    fn share(world: &World, guardian: PeerId, contract: ContractId) -> Option<(PeerId, Bytes<96>)> {
        let request = ShareRequest {
            contract,
            guardian,
            expires_at: world.height() + 1,
        };
        let signature = request.sign(world.federation, &world.gateway.key());
        let expires_at = request.expires_at.to_string();
        let parameters = [
            ("expires_at", expires_at),
            ("signature", signature.to_string()),
        ];
        let query = Query {
            path: format!("contracts/{contract}/share"),
            parameters: parameters
                .map(|(name, value)| (name.to_owned(), value))
                .into(),
        };
        let answer = world.sequencer.query(guardian, LN, &query)?.ok()?;
        let answer: ShareAnswer = serde_json::from_value(answer).unwrap();
        Some((guardian, answer.share))
    }

    fn take_back(world: &mut World, row: &mut Incoming, contract: ContractId, witness: Witness) {
        if row.refund.is_none() {
            let input = LnInput {
                contract,
                key: world.gateway.key().x_only_public_key().0,
                witness,
            };
            let amount = row.offer.offer.amount.msat();
            let input = Item::new(LN, &input);
            row.refund = Some(world.transaction((Some(input), &sign), None, (amount, 0)));
        }
        if let Some(refund) = &row.refund {
            world.send("gateway refunds", refund);
        }
    }

    fn pay(world: &mut World, id: ContractId) {
        let mut row = world.gateway.rows.outgoing[&id].clone();
        if world.gateway.manners == Manners::Vanishes || row.forfeit.is_some() {
            return;
        }
        let hash = row.invoice.hash;
        if !row.dispatched {
            // ⚠ The row first.
            row.dispatched = true;
            world.gateway.rows.outgoing.insert(id, row.clone());
            match world.gateway.rows.incoming.get_mut(&hash) {
                // An invoice of its own node: a swap, with no deadline but the contract's.
                Some(incoming) => {
                    incoming.held_until.get_or_insert(u32::MAX);
                }
                None => world.lightning.pay(hash.0 .0, row.invoice.amount.msat()),
            }
            return;
        }
        let swap = world.gateway.rows.incoming.get(&hash);
        if swap.is_some_and(|incoming| incoming.failed) && row.preimage.is_none() {
            let federation = world.gateway.federation;
            row.forfeit = Some(Forfeit::sign(federation, id, &key(77)));
        }
        if let Some(preimage) = row.preimage {
            if row.claim.is_none() {
                let input = LnInput {
                    contract: id,
                    key: world.gateway.key().x_only_public_key().0,
                    witness: Witness::Preimage(preimage),
                };
                let amount = world.contract(id).account.unwrap().amount.msat();
                let input = Item::new(LN, &input);
                row.claim = Some(world.transaction((Some(input), &sign), None, (amount, 0)));
            }
            let claim = row.claim.clone().unwrap();
            if !world.was_accepted(&claim) {
                world.send("gateway claims", &claim);
            }
        }
        world.gateway.rows.outgoing.insert(id, row);
    }

    /// A user who is malicious makes it register an offer that hides no preimage.
    pub fn register(&mut self, user: usize, offer: SignedOffer) {
        let request = InvoiceRequest {
            federation: self.federation,
            offer,
            description: String::new(),
            expiry_seconds: 3_600,
        };
        self.make_invoice(user, &request);
    }
}
