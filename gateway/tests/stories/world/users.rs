//! What users of federations do, and people outside.

use guildmint_gateway::{
    federation::fake,
    node::{InvoiceOrder, LightningNode, SentState},
    Command, Keys, Reply, Ticket,
};
use guildmint_ln::{
    InvoiceHash, InvoiceRequest, OutgoingContract, PayRequest, PaymentHash, SignedOffer,
};

use super::{msat, preimage, Purchase, World, SEED};

impl World {
    /// An invoice of somebody outside, who has this preimage.
    pub fn invoice(&self, number: u8, amount_msat: u64) -> String {
        self.peer.know(&preimage(number).into());
        self.invoice_on(preimage(number).hash(), amount_msat)
    }

    /// One whose preimage nobody has yet.
    pub fn invoice_on(&self, hash: PaymentHash, amount_msat: u64) -> String {
        let order = InvoiceOrder {
            hash: hash.into(),
            amount_msat,
            description: "a book".into(),
            expiry_s: 3600,
            min_final_cltv_delta: 18,
        };
        self.peer.make_invoice(&order).unwrap()
    }

    pub fn contract(&self, place: usize, hash: PaymentHash, amount: u64) -> OutgoingContract {
        let keys = Keys::new(&SEED);
        let federation = &self.federations[place];
        OutgoingContract {
            hash,
            amount: msat(amount),
            gateway_key: keys.gateway(federation.id()).x_only_public_key().0,
            refund_key: fake::user_key(1),
            timelock: federation.state().height + 1008,
            invoice_hash: InvoiceHash::new(""),
        }
    }

    /// A user funds a contract for an invoice.
    pub fn buy(&self, place: usize, contract: OutgoingContract, invoice: &str) -> Purchase {
        let invoice_hash = InvoiceHash::new(invoice);
        let contract = OutgoingContract {
            invoice_hash,
            ..contract
        };
        Purchase {
            federation: place,
            contract: self.federations[place].fund(contract),
            invoice: invoice.to_owned(),
        }
    }

    pub fn pay(&mut self, purchase: &Purchase) -> Ticket {
        self.ask(Command::Pay(PayRequest {
            federation: self.federations[purchase.federation].id(),
            contract: purchase.contract,
            invoice: purchase.invoice.clone(),
        }))
    }

    /// What a user does with the answer.
    pub fn react(&mut self, purchase: &Purchase, ticket: Ticket) -> Option<bool> {
        match self.replies.get(&ticket)? {
            Ok(Reply::Paid(_)) => Some(true),
            Ok(Reply::GivenUp(forfeit)) => {
                let federation = &self.federations[purchase.federation];
                federation
                    .refund(purchase.contract, Some(*forfeit))
                    .unwrap();
                Some(false)
            }
            other => panic!("{other:?}"),
        }
    }

    /// A user of a federation makes an offer, which hides this.
    pub fn offer(&self, place: usize, number: u8, amount: u64, hides: bool) -> SignedOffer {
        let federation = &self.federations[place];
        let expires_at = federation.state().height + 144;
        let hidden = hides.then(|| preimage(number));
        federation.offer(preimage(number).hash(), msat(amount), expires_at, hidden)
    }

    pub fn request(&self, place: usize, offer: SignedOffer) -> InvoiceRequest {
        InvoiceRequest {
            federation: self.federations[place].id(),
            offer,
            description: "for a user".into(),
            expiry_seconds: 3600,
        }
    }

    /// The gateway's invoice for an offer.
    pub fn receive(&mut self, place: usize, offer: SignedOffer) -> String {
        let request = self.request(place, offer);
        let ticket = self.ask(Command::Invoice(request));
        self.settle();
        match self.replies.get(&ticket) {
            Some(Ok(Reply::Invoice(invoice))) => invoice.clone(),
            other => panic!("{other:?}"),
        }
    }

    /// Somebody outside pays an invoice.
    pub fn pay_from_outside(&self, number: u8, invoice: &str, amount_msat: u64) {
        let order = guildmint_gateway::node::PaymentOrder {
            hash: preimage(number).hash().into(),
            invoice: invoice.to_owned(),
            amount_msat,
            max_fee_msat: 5_000,
            max_total_cltv_delta: 1008,
        };
        self.peer
            .command(guildmint_gateway::node::Command::Pay(order))
            .unwrap();
    }

    /// Whether somebody outside has paid, and what came of it.
    pub fn paid_from_outside(&self, number: u8) -> Option<SentState> {
        let sent = self.peer.sent(preimage(number).hash().into()).unwrap();
        sent.map(|sent| sent.state)
    }
}
