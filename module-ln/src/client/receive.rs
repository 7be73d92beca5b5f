//! Being paid: an offer is made, a gateway's invoice shown, and the contract that funds the offer claimed. Whatever stops it, it goes on
//! from its row.

use bitcoin::{secp256k1::PublicKey, Network};
use guildmint_core::{Amount, Wire};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{Invoice, InvoiceError, KeyError, LnClient};
use crate::{
    Announcement, Closing, ContractId, FundingAnswer, InvoiceRequest, LnInput, OfferId,
    SignedOffer, Terms,
};

/// Why nobody can be paid so.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ReceiveError {
    /// The gateway's invoice is not what was agreed. ⚠ It must not be shown to a payer.
    #[error(transparent)]
    Invoice(#[from] InvoiceError),
    /// The gateway announces no key for invoices.
    #[error("this gateway makes no invoices; take another")]
    NoNode,
    /// The sum is more than all bitcoin.
    #[error("{0} and the gateway's fee are more than all bitcoin")]
    TooMuch(Amount),
    /// See [`KeyError`].
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// A payment that is waited for, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Wire)]
#[wire(version = 1, max_bytes = 8 * 1024)]
pub struct Receive {
    /// From which index its secrets follow.
    pub index: u64,
    /// The offer.
    pub offer: SignedOffer,
    /// Where the gateway is asked.
    pub api_url: String,
    /// Its node, to which the invoice must be paid.
    pub node_key: PublicKey,
    /// It has none: its own users alone can pay the invoice.
    pub swap_only: bool,
    /// What the payer pays: the offer's amount and the gateway's fee.
    pub invoice_amount: Amount,
    /// What it is for.
    pub description: String,
    /// For how long the invoice can be paid.
    pub expiry_seconds: u32,
    /// How far this is.
    pub state: ReceiveState,
}

/// How far it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReceiveState {
    /// The gateway is asked for an invoice.
    Asking,
    /// This invoice can be paid.
    Offered {
        /// As it is shown.
        invoice: String,
    },
    /// A contract funds the offer, and the transaction that claims it is under way.
    Claiming {
        /// The contract.
        contract: ContractId,
        /// What is in it.
        amount: Amount,
    },
    /// The user has the money.
    Claimed {
        /// What it was.
        amount: Amount,
    },
    /// Nobody has paid in time, or what was paid is with the payer again.
    Expired,
}

/// Something that concerns it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::large_enum_variant)] // one at a time
pub enum ReceiveEvent {
    /// The program has started, or something is to be tried again.
    Resume,
    /// The gateway has made an invoice.
    Invoice(String),
    /// What f + 1 guardians know of the offer, all of whom have come to a height of the agreed clock.
    Funding(FundingAnswer, u32),
    /// The agreed clock.
    Height(u32),
    /// The contract cannot be claimed like that: it is closed.
    ClaimRejected,
}

/// What it wants. Each may be done twice.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::large_enum_variant)] // a few at a time
pub enum ReceiveEffect {
    /// Ask the gateway for an invoice, until it answers.
    Ask {
        /// Where.
        api_url: String,
        /// What.
        request: InvoiceRequest,
    },
    /// Tell when something changes about the offer's funding.
    Watch(OfferId),
    /// Tell when the agreed clock has come to this.
    WakeAt(u32),
    /// Spend this, into the wallet, with a signature of [`LnClient::sign_claim`].
    Claim(LnInput),
}

impl Receive {
    /// What nothing has been done for. The user is to get `amount`; the payer pays the gateway's fee.
    ///
    /// # Errors
    /// If the gateway cannot receive, or so much.
    pub fn start(
        client: &LnClient,
        index: u64,
        amount: Amount,
        gateway: &Announcement,
        (expires_at, expiry_seconds): (u32, u32),
        description: &str,
    ) -> Result<(Self, Vec<ReceiveEffect>), ReceiveError> {
        let fee = gateway.receive_fees.fee(amount);
        let invoice_amount = fee.and_then(|fee| amount.checked_add(fee));
        let receive = Self {
            index,
            offer: client.offer(index, amount, expires_at)?,
            api_url: gateway.api_url.clone(),
            node_key: gateway.node_key.ok_or(ReceiveError::NoNode)?,
            swap_only: gateway.swap_only,
            invoice_amount: invoice_amount.ok_or(ReceiveError::TooMuch(amount))?,
            description: description.to_owned(),
            expiry_seconds,
            state: ReceiveState::Asking,
        };
        Ok(receive.stay(client)?)
    }

    /// Takes something that has happened, and says what is to be done next. Save what is returned before doing it.
    ///
    /// # Errors
    /// If a gateway's invoice is not what was agreed; it stays where it was.
    pub fn step(
        mut self,
        client: &LnClient,
        network: Network,
        event: ReceiveEvent,
    ) -> Result<(Self, Vec<ReceiveEffect>), ReceiveError> {
        let next = match (&self.state, event) {
            (_, ReceiveEvent::Resume) => return Ok(self.stay(client)?),
            (ReceiveState::Asking, ReceiveEvent::Invoice(text)) => {
                let invoice = Invoice::read(&text, network)?;
                let agreed = self.invoice_amount;
                invoice.is_for(&self.offer.offer, agreed, &self.node_key)?;
                let invoice = invoice.text;
                ReceiveState::Offered { invoice }
            }
            (state, ReceiveEvent::Funding(answer, height)) if !self.is_over() => {
                self.funded(state, &answer, height)
            }
            (ReceiveState::Asking | ReceiveState::Offered { .. }, ReceiveEvent::Height(height))
                if height > self.offer.offer.expires_at =>
            {
                let watch = ReceiveEffect::Watch(self.offer_id(client));
                return Ok((self, vec![watch]));
            }
            (ReceiveState::Claiming { .. }, ReceiveEvent::ClaimRejected) => {
                let watch = ReceiveEffect::Watch(self.offer_id(client));
                return Ok((self, vec![watch]));
            }
            _ => return Ok((self, Vec::new())),
        };
        if next == self.state {
            return Ok((self, Vec::new()));
        }
        self.state = next;
        Ok(self.stay(client)?)
    }

    fn offer_id(&self, client: &LnClient) -> OfferId {
        self.offer.offer.id(client.federation())
    }

    /// What is known of the funding decides, also if no invoice ever came: the gateway may have been paid all the same.
    fn funded(&self, state: &ReceiveState, answer: &FundingAnswer, height: u32) -> ReceiveState {
        let offer = self.offer.offer;
        let Some((contract, account)) = answer.contract.zip(answer.account) else {
            // Only guardians that are past the last height know that it will never be funded.
            return match height > offer.expires_at {
                true => ReceiveState::Expired,
                false => state.clone(),
            };
        };
        let amount = account.amount;
        match (answer.closing, account.terms) {
            (Some(Closing::Claimed { .. }), _) => ReceiveState::Claimed { amount },
            (Some(_), _) => ReceiveState::Expired,
            // A second check: it was asked for by the offer's id, which is a hash of all of it.
            (None, Terms::Incoming { offer: funded, .. }) if funded == offer => {
                ReceiveState::Claiming { contract, amount }
            }
            (None, _) => state.clone(),
        }
    }

    /// All that is to be done in this state, also if some of it has been.
    fn stay(self, client: &LnClient) -> Result<(Self, Vec<ReceiveEffect>), KeyError> {
        let watch = ReceiveEffect::Watch(self.offer_id(client));
        let wake = ReceiveEffect::WakeAt(self.offer.offer.expires_at.saturating_add(1));
        let effects = match &self.state {
            ReceiveState::Asking => vec![
                ReceiveEffect::Ask {
                    api_url: self.api_url.clone(),
                    request: InvoiceRequest {
                        federation: client.federation(),
                        offer: self.offer,
                        description: self.description.clone(),
                        expiry_seconds: self.expiry_seconds,
                    },
                },
                watch,
                wake,
            ],
            ReceiveState::Offered { .. } => vec![watch, wake],
            ReceiveState::Claiming { contract, .. } => {
                let claim = client.claim(self.index, *contract)?;
                vec![ReceiveEffect::Claim(claim), watch]
            }
            ReceiveState::Claimed { .. } | ReceiveState::Expired => Vec::new(),
        };
        Ok((self, effects))
    }

    /// Whether nothing more will happen.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(
            self.state,
            ReceiveState::Claimed { .. } | ReceiveState::Expired
        )
    }
}
