//! What a wallet needs of a BOLT11 invoice, read strictly: it says how much, and it is of our network.

use std::str::FromStr;

use bitcoin::{secp256k1::PublicKey, Network};
use guildmint_core::Amount;
use lightning_invoice::{Bolt11Invoice, Currency};
use thiserror::Error;

use crate::{limits, InvoiceHash, Offer, PaymentHash};

/// What may stand before an invoice.
const SCHEME: &str = "lightning:";

/// An invoice that can be paid, or shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invoice {
    /// As it is written, in lower case.
    pub text: String,
    /// The hash of that.
    pub id: InvoiceHash,
    /// What its payment opens.
    pub hash: PaymentHash,
    /// How much.
    pub amount: Amount,
    /// To which node.
    pub payee: PublicKey,
    /// Until when, in seconds since 1970.
    pub expires_at_s: u64,
    /// Blocks that the payee wants for itself, the last of a payment's time limit.
    pub min_final_cltv_expiry_delta: u64,
}

/// Why text is no invoice that can be paid here.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InvoiceError {
    /// More than [`limits::MAX_INVOICE_BYTES`].
    #[error("{0} bytes are no invoice; at most {max} are read", max = limits::MAX_INVOICE_BYTES)]
    TooLong(usize),
    /// Not an invoice, or its signature or a field is wrong.
    #[error("not a BOLT11 invoice: {0}")]
    Malformed(String),
    /// Money of another network.
    #[error("the invoice is for {invoice}, and this federation is on {ours}")]
    Network {
        /// The invoice's, as it calls it.
        invoice: String,
        /// The federation's.
        ours: Network,
    },
    /// It leaves the amount to the payer.
    #[error("the invoice names no amount; ask for one that does")]
    NoAmount,
    /// More than all bitcoin.
    #[error("the invoice asks for {0} msat, which is more than all bitcoin")]
    Amount(u64),
    /// Its time is over.
    #[error("the invoice expired {0} seconds ago; ask for a new one")]
    Expired(u64),
    /// A gateway made an invoice on another hash than the offer's.
    #[error("the gateway's invoice is on the hash {0}, which nobody here can open")]
    Hash(PaymentHash),
    /// A gateway made an invoice for another sum than was agreed.
    #[error("the gateway's invoice asks for {invoice}, not {agreed}")]
    OtherAmount {
        /// What it asks for.
        invoice: Amount,
        /// What was agreed.
        agreed: Amount,
    },
    /// A gateway made an invoice that is paid to somebody else.
    #[error("the gateway's invoice is paid to the node {0}, which is not the gateway's")]
    Payee(PublicKey),
}

impl Invoice {
    /// Reads an invoice, with or without `lightning:` before it, of a federation's network.
    ///
    /// # Errors
    /// Says what it lacks.
    pub fn read(text: &str, ours: Network) -> Result<Self, InvoiceError> {
        let text = text.trim();
        if text.len() > limits::MAX_INVOICE_BYTES {
            return Err(InvoiceError::TooLong(text.len()));
        }
        let text = match text.get(..SCHEME.len()) {
            Some(scheme) if scheme.eq_ignore_ascii_case(SCHEME) => &text[SCHEME.len()..],
            _ => text,
        };
        // All in capitals is for smaller QR codes; mixed, it is no bech32.
        let text = match text.to_ascii_uppercase() == text {
            true => text.to_ascii_lowercase(),
            false => text.to_owned(),
        };
        let invoice = Bolt11Invoice::from_str(&text)
            .map_err(|error| InvoiceError::Malformed(error.to_string()))?;
        if invoice.currency() != currency(ours) {
            let invoice = invoice.currency().to_string();
            return Err(InvoiceError::Network { invoice, ours });
        }
        let msat = invoice
            .amount_milli_satoshis()
            .filter(|msat| *msat > 0)
            .ok_or(InvoiceError::NoAmount)?;
        let hash: [u8; 32] = *invoice.payment_hash().as_ref();
        let created_s = invoice.duration_since_epoch().as_secs();
        Ok(Self {
            id: InvoiceHash::new(&text),
            hash: hash.into(),
            amount: Amount::from_msat(msat).map_err(|error| InvoiceError::Amount(error.0))?,
            payee: invoice.get_payee_pub_key(),
            expires_at_s: created_s.saturating_add(invoice.expiry_time().as_secs()),
            min_final_cltv_expiry_delta: invoice.min_final_cltv_expiry_delta(),
            text,
        })
    }

    /// Whether it can still be paid, at a time in seconds since 1970.
    ///
    /// # Errors
    /// If its time is over.
    pub fn is_open(&self, now_s: u64) -> Result<(), InvoiceError> {
        match now_s.checked_sub(self.expires_at_s) {
            Some(ago) if ago > 0 => Err(InvoiceError::Expired(ago)),
            _ => Ok(()),
        }
    }

    /// Whether a gateway made it for this offer. ⚠ One on another hash would be paid to the gateway, and nothing come of it.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn is_for(
        &self,
        offer: &Offer,
        agreed: Amount,
        node: &PublicKey,
    ) -> Result<(), InvoiceError> {
        if self.hash != offer.hash {
            return Err(InvoiceError::Hash(self.hash));
        }
        if self.amount != agreed {
            let invoice = self.amount;
            return Err(InvoiceError::OtherAmount { invoice, agreed });
        }
        match self.payee == *node {
            true => Ok(()),
            false => Err(InvoiceError::Payee(self.payee)),
        }
    }
}

fn currency(network: Network) -> Currency {
    match network {
        Network::Bitcoin => Currency::Bitcoin,
        Network::Testnet | Network::Testnet4 => Currency::BitcoinTestnet,
        Network::Signet => Currency::Signet,
        _ => Currency::Regtest,
    }
}
