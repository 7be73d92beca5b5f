//! What is to be paid, and what that costs.

use bitcoin::{secp256k1::PublicKey, Network};
use guildmint_core::Amount;
use guildmint_ln::{
    client::{Invoice, InvoiceError, Quote},
    fetched_name, Announcement, InvoiceHash, PaymentHash,
};
use guildmint_mint::client::Funding;
use serde::{Deserialize, Serialize};

use super::search::Wants;
use crate::{error::ClientError, event::Payable, operation::Desk, payment::held};

/// What is to be paid.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Bill {
    /// What the gateway is handed: the invoice, or the name of one that it has fetched.
    pub(super) text: String,
    id: InvoiceHash,
    pub(crate) hash: PaymentHash,
    pub(crate) amount: Amount,
    pub(super) payee: PublicKey,
    pub(crate) expires_at_s: u64,
    /// What the gateway asked for when it fetched the invoice.
    at_most: Option<Amount>,
}

impl Bill {
    /// Reads what the user wants to have paid.
    pub(crate) fn read(payable: &Payable, desk: &Desk<'_>) -> Result<Self, ClientError> {
        let bill = match payable {
            Payable::Invoice(text) => Self::of(Invoice::read(text, desk.federation.network)?),
            Payable::Fetched(fetched) => {
                let answer = &fetched.answer;
                if InvoiceHash::new(&answer.invoice) != answer.invoice_hash {
                    let what = "the gateway names the fetched invoice by another hash";
                    return Err(ClientError::Gateway(what.to_owned()));
                }
                Self {
                    text: fetched_name(answer.request),
                    id: answer.invoice_hash,
                    hash: answer.hash,
                    amount: answer.amount_msat,
                    payee: fetched.payee,
                    expires_at_s: fetched.expires_at_s,
                    at_most: Some(answer.contract_amount_msat),
                }
            }
        };
        bill.is_open(desk)?;
        Ok(bill)
    }

    /// What the user wants to have paid, be it too late or not.
    pub(crate) fn hash_of(payable: &Payable, network: Network) -> Result<PaymentHash, ClientError> {
        match payable {
            Payable::Invoice(text) => Ok(Invoice::read(text, network)?.hash),
            Payable::Fetched(fetched) => Ok(fetched.answer.hash),
        }
    }

    /// What a gateway is wanted for.
    pub(crate) fn wants(&self) -> Wants {
        Wants::Send(self.amount, self.payee)
    }

    fn of(invoice: Invoice) -> Self {
        Self {
            text: invoice.text,
            id: invoice.id,
            hash: invoice.hash,
            amount: invoice.amount,
            payee: invoice.payee,
            expires_at_s: invoice.expires_at_s,
            at_most: None,
        }
    }

    fn invoice(&self) -> Invoice {
        Invoice {
            text: self.text.clone(),
            id: self.id,
            hash: self.hash,
            amount: self.amount,
            payee: self.payee,
            expires_at_s: self.expires_at_s,
            min_final_cltv_expiry_delta: 0,
        }
    }

    pub(super) fn is_open(&self, desk: &Desk<'_>) -> Result<(), ClientError> {
        let now_s = desk.now.0 / 1_000;
        match now_s.checked_sub(self.expires_at_s) {
            Some(ago) if ago > 0 => Err(InvoiceError::Expired(ago).into()),
            _ => Ok(()),
        }
    }
}

/// What a payment costs through a gateway, with the notes that are there.
pub(crate) struct Price {
    pub(crate) quote: Quote,
    pub(super) funding: Funding,
    /// What the federation keeps.
    pub(crate) federation_fee: Amount,
}

impl Price {
    /// All that is paid on top.
    pub(crate) fn fee(&self) -> Amount {
        let sum = self.quote.gateway_fee.checked_add(self.federation_fee);
        sum.unwrap_or(Amount::MAX)
    }
}

/// What it costs to have a bill paid by a gateway that says this of itself.
pub(crate) fn price(
    bill: &Bill,
    gateway: &Announcement,
    desk: &Desk<'_>,
) -> Result<Price, ClientError> {
    let too_much = |error: guildmint_ln::client::PayError| ClientError::Gateway(error.to_string());
    let quote = Quote::new(desk.ln()?, bill.invoice(), gateway).map_err(too_much)?;
    if let Some(asked) = bill.at_most.filter(|asked| *asked > quote.contract_amount) {
        let what = format!("the gateway wants {asked}, which is more than it has announced");
        return Err(ClientError::Gateway(what));
    }
    let need = quote.contract_amount.checked_add(quote.module_fee);
    let need = need.ok_or(ClientError::CannotBalance(Amount::MAX))?;
    let funding = desk.federation.mint.tariff().fund(&held(desk.rows), need)?;
    let spent = Amount::sum(funding.spend.iter().map(|value| value.amount()));
    let change = Amount::sum(funding.change.iter().map(|value| value.amount()));
    let federation_fee = spent
        .zip(change)
        .and_then(|(spent, change)| {
            spent
                .checked_sub(change)?
                .checked_sub(quote.contract_amount)
        })
        .unwrap_or(quote.module_fee);
    Ok(Price {
        quote,
        funding,
        federation_fee,
    })
}
