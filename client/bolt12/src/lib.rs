#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![warn(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

use std::time::Duration;

use bitcoin::{constants::ChainHash, secp256k1::PublicKey, Network};
use guildmint_client::{FetchAnswer, FetchedInvoice};
use guildmint_core::Amount;
use guildmint_ln::{limits, InvoiceHash};
use lightning::offers::{
    invoice::Bolt12Invoice,
    offer::{Amount as Asked, Offer as Bolt12Offer},
};
use thiserror::Error;

/// An offer that can be paid here.
#[derive(Debug, Clone)]
pub struct Offer {
    offer: Bolt12Offer,
    network: Network,
}

/// Why text is no offer that can be paid here.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum OfferError {
    /// More than [`limits::MAX_OFFER_BYTES`].
    #[error("{0} bytes are no offer; at most {max} are read", max = limits::MAX_OFFER_BYTES)]
    TooLong(usize),
    /// Not an offer.
    #[error("not a BOLT12 offer: {0}")]
    Malformed(String),
    /// The wallet's network has no such name.
    #[error("there is no network {0:?}")]
    UnknownNetwork(String),
    /// Money of another network.
    #[error("the offer is not for {0}, on which this federation is")]
    Network(Network),
    /// Its time is over.
    #[error("the offer has expired; ask for a new one")]
    Expired,
    /// It asks for a sum in another currency than bitcoin.
    #[error(
        "the offer asks for a sum in another currency; ask for one in bitcoin, or for an invoice"
    )]
    Currency,
    /// It is for pieces, of which somebody would have to say how many.
    #[error("the offer is for a number of pieces, which cannot be said here; ask for an invoice")]
    Quantity,
    /// It leaves the amount to the payer, who named none.
    #[error("the offer names no amount; say one with --amount")]
    NoAmount,
    /// Less than it asks for.
    #[error("the offer asks for {asks}, and {given} is less")]
    TooLittle {
        /// What it asks for.
        asks: Amount,
        /// What the payer would give.
        given: Amount,
    },
    /// More than all bitcoin.
    #[error("the offer asks for {0} msat, which is more than all bitcoin")]
    Amount(u64),
}

/// Why a fetched invoice must not be paid.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CheckError {
    /// More than [`limits::MAX_INVOICE_BYTES`].
    #[error("{0} bytes are no invoice; at most {max} are read", max = limits::MAX_INVOICE_BYTES)]
    TooLong(usize),
    /// Not an invoice, or not signed by the key in it.
    #[error("the gateway brings no BOLT12 invoice: {0}")]
    Malformed(String),
    /// The gateway calls it by another name than it has.
    #[error("the gateway names the invoice by another hash than its own")]
    Name,
    /// It is for something else.
    #[error("the gateway brings an invoice for another offer")]
    OtherOffer,
    /// Somebody else made it.
    #[error("the invoice is signed by {0}, which is no key of the offer")]
    Payee(PublicKey),
    /// It is paid on another hash than the gateway says.
    #[error("the invoice is on another payment hash than the gateway says")]
    Hash,
    /// It asks for another sum.
    #[error("the invoice asks for {invoice_msat} msat, and {agreed} was agreed")]
    OtherAmount {
        /// What it asks for.
        invoice_msat: u64,
        /// What was agreed.
        agreed: Amount,
    },
    /// It was made for somebody else, or on another day.
    #[error("the invoice was not made for this request; it may have been paid before")]
    Note,
    /// Money of another network.
    #[error("the invoice is not for {0}, on which this federation is")]
    Network(Network),
    /// Its time is over.
    #[error("the invoice has expired already")]
    Expired,
}

/// The note to send to the payee: what the user wants to tell, and a word drawn at random. ⚠ The payee signs it into the invoice, so an invoice that
/// was made before does not have it.
#[must_use]
pub fn note(words: Option<&str>, random: [u8; 8]) -> String {
    let random = hex::encode(random);
    match words {
        Some(words) => format!("{words} {random}"),
        None => random,
    }
}

impl Offer {
    /// Whether text looks like an offer, and not like an invoice.
    #[must_use]
    pub fn is_one(text: &str) -> bool {
        let text = text.trim().to_ascii_lowercase();
        text.strip_prefix("lightning:")
            .unwrap_or(&text)
            .starts_with("lno1")
    }

    /// Reads an offer, with or without `lightning:` before it, at a time in seconds since 1970.
    ///
    /// # Errors
    /// Says why it cannot be paid here.
    pub fn read(text: &str, network: &str, now_s: u64) -> Result<Self, OfferError> {
        let network: Network = network
            .parse()
            .map_err(|_| OfferError::UnknownNetwork(network.to_owned()))?;
        let text = text.trim();
        if text.len() > limits::MAX_OFFER_BYTES {
            return Err(OfferError::TooLong(text.len()));
        }
        // All in capitals is for smaller QR codes; mixed, it is no bech32.
        let text = match text.to_ascii_uppercase() == text {
            true => text.to_ascii_lowercase(),
            false => text.to_owned(),
        };
        let bare = text.strip_prefix("lightning:").unwrap_or(&text);
        let offer: Bolt12Offer = bare
            .parse()
            .map_err(|error| OfferError::Malformed(format!("{error:?}")))?;
        if !offer.supports_chain(ChainHash::using_genesis_block(network)) {
            return Err(OfferError::Network(network));
        }
        if offer.is_expired_no_std(Duration::from_secs(now_s)) {
            return Err(OfferError::Expired);
        }
        if offer.expects_quantity() {
            return Err(OfferError::Quantity);
        }
        Ok(Self { offer, network })
    }

    /// As it is written, in lower case.
    #[must_use]
    pub fn text(&self) -> String {
        self.offer.to_string()
    }

    /// What it is for. Hostile text.
    #[must_use]
    pub fn description(&self) -> Option<String> {
        self.offer.description().map(|text| text.to_string())
    }

    /// What to pay: what the user gives, or what the offer asks for.
    ///
    /// # Errors
    /// If neither names an amount, or the user less than the offer.
    pub fn amount(&self, given: Option<Amount>) -> Result<Amount, OfferError> {
        let asks = match self.offer.amount() {
            None => None,
            Some(Asked::Bitcoin { amount_msats }) => {
                let asks = Amount::from_msat(amount_msats);
                Some(asks.map_err(|error| OfferError::Amount(error.0))?)
            }
            Some(Asked::Currency { .. }) => return Err(OfferError::Currency),
        };
        match (given, asks) {
            (Some(given), Some(asks)) if given < asks => Err(OfferError::TooLittle { asks, given }),
            (Some(amount), _) | (None, Some(amount)) if amount > Amount::ZERO => Ok(amount),
            _ => Err(OfferError::NoAmount),
        }
    }

    /// Checks an invoice that a gateway has fetched, for an amount and with a [`note`], at a time in seconds since 1970.
    ///
    /// # Errors
    /// Says why it must not be paid.
    pub fn check(
        &self,
        answer: FetchAnswer,
        agreed: Amount,
        note: &str,
        now_s: u64,
    ) -> Result<FetchedInvoice, CheckError> {
        let bytes = answer.invoice.len() / 2;
        if bytes > limits::MAX_INVOICE_BYTES {
            return Err(CheckError::TooLong(bytes));
        }
        if InvoiceHash::new(&answer.invoice) != answer.invoice_hash {
            return Err(CheckError::Name);
        }
        let malformed = |problem: String| CheckError::Malformed(problem);
        let bytes = hex::decode(&answer.invoice).map_err(|error| malformed(error.to_string()))?;
        let invoice =
            Bolt12Invoice::try_from(bytes).map_err(|error| malformed(format!("{error:?}")))?;
        self.is_ours(&invoice, note)?;
        if invoice.payment_hash().0 != answer.hash.0 .0 {
            return Err(CheckError::Hash);
        }
        let invoice_msat = invoice.amount_msats();
        if invoice_msat != agreed.msat() || answer.amount_msat != agreed {
            return Err(CheckError::OtherAmount {
                invoice_msat,
                agreed,
            });
        }
        if invoice.is_expired_no_std(Duration::from_secs(now_s)) {
            return Err(CheckError::Expired);
        }
        let expires_at = invoice.created_at().checked_add(invoice.relative_expiry());
        Ok(FetchedInvoice {
            answer,
            payee: invoice.signing_pubkey(),
            expires_at_s: expires_at.map_or(u64::MAX, |at| at.as_secs()),
        })
    }

    /// ⚠ The payee made it, for this offer and this request.
    fn is_ours(&self, invoice: &Bolt12Invoice, note: &str) -> Result<(), CheckError> {
        if invoice.offer_id() != Some(self.offer.id()) {
            return Err(CheckError::OtherOffer);
        }
        let payee = invoice.signing_pubkey();
        let is_payee = match self.offer.issuer_signing_pubkey() {
            Some(issuer) => issuer == payee,
            None => self.offer.paths().iter().any(|path| {
                let last = path.blinded_hops().last();
                last.is_some_and(|hop| hop.blinded_node_id == payee)
            }),
        };
        // A second check: LDK reads no invoice that another key than the offer's has signed.
        if !is_payee {
            return Err(CheckError::Payee(payee));
        }
        if invoice.chain() != ChainHash::using_genesis_block(self.network) {
            return Err(CheckError::Network(self.network));
        }
        let told = invoice.payer_note().map(|told| told.0.to_owned());
        match told.as_deref() == Some(note) {
            true => Ok(()),
            false => Err(CheckError::Note),
        }
    }
}
