//! What a gateway needs of a BOLT11 invoice.

use std::str::FromStr;

use bitcoin::{secp256k1::PublicKey, Network};
use guildmint_core::Amount;
use guildmint_ln::{limits, InvoiceHash, PaymentHash};
use lightning_invoice::{Bolt11Invoice, Currency};
use thiserror::Error;

/// An invoice that names an amount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Invoice {
    pub(crate) text: String,
    pub(crate) hash: PaymentHash,
    pub(crate) amount: Amount,
    pub(crate) payee: PublicKey,
    pub(crate) expires_at_s: u64,
    pub(crate) final_cltv_delta: u32,
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
    #[error("the invoice is for {0}, and the federation is on {1}")]
    Network(String, Network),
    /// It leaves the amount to the payer, or asks for more than there is.
    #[error("the invoice names no amount that can be paid; ask for one that does")]
    Amount,
}

impl Invoice {
    pub(crate) fn read(text: &str, network: Network) -> Result<Self, InvoiceError> {
        if text.len() > limits::MAX_INVOICE_BYTES {
            return Err(InvoiceError::TooLong(text.len()));
        }
        let text = text.to_ascii_lowercase();
        let invoice = Bolt11Invoice::from_str(&text)
            .map_err(|error| InvoiceError::Malformed(error.to_string()))?;
        if invoice.currency() != currency(network) {
            let currency = invoice.currency().to_string();
            return Err(InvoiceError::Network(currency, network));
        }
        let amount = invoice
            .amount_milli_satoshis()
            .filter(|msat| *msat > 0)
            .and_then(|msat| Amount::from_msat(msat).ok())
            .ok_or(InvoiceError::Amount)?;
        let hash: [u8; 32] = *invoice.payment_hash().as_ref();
        let created_s = invoice.duration_since_epoch().as_secs();
        let delta = invoice.min_final_cltv_expiry_delta();
        Ok(Self {
            hash: hash.into(),
            amount,
            payee: invoice.get_payee_pub_key(),
            expires_at_s: created_s.saturating_add(invoice.expiry_time().as_secs()),
            final_cltv_delta: u32::try_from(delta).unwrap_or(u32::MAX),
            text,
        })
    }

    pub(crate) fn id(&self) -> InvoiceHash {
        InvoiceHash::new(&self.text)
    }
}

fn currency(network: Network) -> Currency {
    match network {
        Network::Bitcoin => Currency::Bitcoin,
        Network::Testnet | Network::Testnet4 => Currency::BitcoinTestnet,
        Network::Signet => Currency::Signet,
        Network::Regtest => Currency::Regtest,
    }
}
