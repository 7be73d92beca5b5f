//! Paying an invoice: a contract is funded, a gateway asked, and what comes of it watched, until the gateway has the money or the user has
//! it back. Whatever stops it, it goes on from its row.

use bitcoin::secp256k1::XOnlyPublicKey;
use guildmint_core::{Amount, OutPoint, Wire};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{Invoice, KeyError, LnClient};
use crate::{
    limits, Announcement, Closing, ContractAnswer, ContractId, GatewayReply, LnInput, LnOutput,
    OutgoingContract, PayRequest, Preimage, Witness,
};

/// What paying an invoice through a gateway costs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quote {
    /// The invoice.
    pub invoice: Invoice,
    /// The gateway's key.
    pub gateway_key: XOnlyPublicKey,
    /// Where it is asked.
    pub api_url: String,
    /// What it keeps.
    pub gateway_fee: Amount,
    /// What goes into the contract: the invoice's amount and that fee.
    pub contract_amount: Amount,
    /// What the federation charges for the contract.
    pub module_fee: Amount,
}

/// Why an invoice cannot be paid so.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PayError {
    /// The sum is more than all bitcoin.
    #[error("{0} and the gateway's fee are more than all bitcoin")]
    TooMuch(Amount),
    /// The invoice is the gateway's own federation's clock away from any height that there will be.
    #[error("the clock is at height {0}, beyond which there is no time limit")]
    Clock(u32),
    /// See [`KeyError`].
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl Quote {
    /// What a gateway that says this of itself asks for paying the invoice.
    ///
    /// # Errors
    /// If it is more than all bitcoin.
    pub fn new(
        client: &LnClient,
        invoice: Invoice,
        gateway: &Announcement,
    ) -> Result<Self, PayError> {
        let too_much = || PayError::TooMuch(invoice.amount);
        let gateway_fee = gateway.send_fees.fee(invoice.amount);
        let gateway_fee = gateway_fee.ok_or_else(too_much)?;
        let contract_amount = invoice.amount.checked_add(gateway_fee);
        Ok(Self {
            gateway_key: gateway.key,
            api_url: gateway.api_url.clone(),
            gateway_fee,
            contract_amount: contract_amount.ok_or_else(too_much)?,
            module_fee: client.config().fees.contract,
            invoice,
        })
    }
}

/// A payment, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Wire)]
#[wire(version = 1, max_bytes = 8 * 1024)]
pub struct Pay {
    /// From which index its key follows.
    pub index: u64,
    /// Where the gateway is asked.
    pub api_url: String,
    /// What it is to pay.
    pub invoice: String,
    /// What it gets for that.
    pub contract: OutgoingContract,
    /// How far this is.
    pub state: PayState,
}

/// How far a payment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(clippy::large_enum_variant)] // one for each payment under way
pub enum PayState {
    /// The contract's transaction is under way.
    Funding,
    /// The gateway has its turn.
    Waiting(ContractId),
    /// The transaction that takes the money back is under way.
    Refunding(ContractId, Witness),
    /// The invoice is paid; this proves it.
    Paid(Preimage),
    /// The user has the money back.
    Refunded(ContractId),
    /// The contract was never funded.
    NotFunded,
}

/// Something that concerns a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::large_enum_variant)] // one at a time
pub enum PayEvent {
    /// The program has started, or something is to be tried again.
    Resume,
    /// The contract is funded, by this output.
    Funded(OutPoint),
    /// It can never be.
    FundingRejected,
    /// The gateway has answered.
    Gateway(GatewayReply),
    /// The contract as f + 1 guardians know it.
    Contract(ContractAnswer),
    /// The agreed clock.
    Height(u32),
    /// The money cannot be taken back like that: the contract is closed, or the time has not come.
    RefundRejected,
}

/// What a payment wants. Each may be done twice.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::large_enum_variant)] // a few at a time
pub enum PayEffect {
    /// Fund this, in a transaction that is saved before it is sent.
    Fund(LnOutput),
    /// Ask the gateway, until it answers.
    Ask {
        /// Where.
        api_url: String,
        /// What.
        request: PayRequest,
    },
    /// Tell when something changes about the contract.
    Watch(ContractId),
    /// Tell when the agreed clock has come to this.
    WakeAt(u32),
    /// Spend this, into the wallet, with a signature of [`LnClient::sign_refund`].
    Refund(LnInput),
}

impl Pay {
    /// A payment that nothing has been done for.
    ///
    /// # Errors
    /// If there is no such key, or no time limit that far away.
    pub fn start(
        client: &LnClient,
        index: u64,
        quote: &Quote,
        height: u32,
    ) -> Result<(Self, Vec<PayEffect>), PayError> {
        let timelock = height.checked_add(limits::OUTGOING_BLOCKS);
        let contract = client.outgoing(
            index,
            &quote.invoice,
            quote.gateway_key,
            quote.contract_amount,
            timelock.ok_or(PayError::Clock(height))?,
        )?;
        let pay = Self {
            index,
            api_url: quote.api_url.clone(),
            invoice: quote.invoice.text.clone(),
            contract,
            state: PayState::Funding,
        };
        Ok(pay.stay(client)?)
    }

    /// Takes something that has happened, and says what is to be done next. Save what is returned before doing it.
    ///
    /// # Errors
    /// If there is no such key, which does not happen.
    pub fn step(
        mut self,
        client: &LnClient,
        event: PayEvent,
    ) -> Result<(Self, Vec<PayEffect>), KeyError> {
        let next = match (self.state, event) {
            (_, PayEvent::Resume) => return self.stay(client),
            (PayState::Refunding(contract, _), PayEvent::RefundRejected) => {
                return Ok((self, vec![PayEffect::Watch(contract)]))
            }
            (PayState::Funding, PayEvent::Funded(output)) => {
                PayState::Waiting(ContractId::new(output))
            }
            (PayState::Funding, PayEvent::FundingRejected) => PayState::NotFunded,
            (PayState::Waiting(contract), PayEvent::Gateway(reply)) => {
                self.heard(client, contract, reply)
            }
            (PayState::Waiting(contract), PayEvent::Height(height))
                if height >= self.contract.timelock =>
            {
                PayState::Refunding(contract, Witness::TimedOut)
            }
            (
                PayState::Waiting(contract) | PayState::Refunding(contract, _),
                PayEvent::Contract(answer),
            ) => self.seen(contract, answer.closing),
            _ => self.state,
        };
        if next == self.state {
            return Ok((self, Vec::new()));
        }
        self.state = next;
        self.stay(client)
    }

    /// ⚠ Only a preimage of the hash is a payment, and only a forfeit by this gateway of this contract gives it up.
    fn heard(&self, client: &LnClient, contract: ContractId, reply: GatewayReply) -> PayState {
        match reply {
            GatewayReply::Paid(preimage) if preimage.hash() == self.contract.hash => {
                PayState::Paid(preimage)
            }
            GatewayReply::Forfeit(forfeit)
                if forfeit.contract == contract
                    && forfeit.gateway_key == self.contract.gateway_key
                    && forfeit.verify(client.federation()).is_ok() =>
            {
                PayState::Refunding(contract, Witness::Forfeit(forfeit))
            }
            _ => self.state,
        }
    }

    fn seen(&self, contract: ContractId, closing: Option<Closing>) -> PayState {
        match closing {
            Some(Closing::Claimed { preimage }) => PayState::Paid(preimage),
            Some(Closing::TimedOut | Closing::Forfeited) => PayState::Refunded(contract),
            Some(Closing::Undecryptable) | None => self.state,
        }
    }

    /// All that is to be done in this state, also if some of it has been.
    fn stay(self, client: &LnClient) -> Result<(Self, Vec<PayEffect>), KeyError> {
        let effects = match self.state {
            PayState::Funding => vec![PayEffect::Fund(LnOutput::Outgoing(self.contract))],
            PayState::Waiting(contract) => vec![
                PayEffect::Ask {
                    api_url: self.api_url.clone(),
                    request: PayRequest {
                        federation: client.federation(),
                        contract,
                        invoice: self.invoice.clone(),
                    },
                },
                PayEffect::Watch(contract),
                PayEffect::WakeAt(self.contract.timelock),
            ],
            PayState::Refunding(contract, witness) => vec![
                PayEffect::Refund(client.refund(self.index, contract, witness)?),
                PayEffect::Watch(contract),
            ],
            PayState::Paid(_) | PayState::Refunded(_) | PayState::NotFunded => Vec::new(),
        };
        Ok((self, effects))
    }

    /// Whether nothing more will happen.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(
            self.state,
            PayState::Paid(_) | PayState::Refunded(_) | PayState::NotFunded
        )
    }
}
