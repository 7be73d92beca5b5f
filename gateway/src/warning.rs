//! What the operator is told without asking.

use guildmint_core::{Amount, FederationId};
use guildmint_ln::{ContractId, PaymentHash};
use thiserror::Error;

/// Something that the operator should look into.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Warning {
    /// A payment is still under way, and its contract can soon be refunded.
    #[error("the payment on {hash} has not ended, and its contract {contract} can be refunded in {blocks} blocks; look at the channels")]
    PaymentLate {
        /// The payment.
        hash: PaymentHash,
        /// The contract.
        contract: ContractId,
        /// How long there is.
        blocks: u32,
    },
    /// A contract is funded, and the HTLCs for it can soon not be claimed any more.
    #[error("the payment on {hash} is paid out, and goes back to its payer in {blocks} blocks unless guardians give their shares; call their operators")]
    ReceiptLate {
        /// The payment.
        hash: PaymentHash,
        /// How long there is.
        blocks: u32,
    },
    /// A payment has not ended for [`STALE_MS`](crate::limits::STALE_MS).
    #[error(
        "the payment on {0} has not ended for a day; look at the channels and at the federation"
    )]
    Stale(PaymentHash),
    /// Money was paid and not got back.
    #[error("the payment on {hash} lost {amount}: {reason}")]
    Lost {
        /// The payment.
        hash: PaymentHash,
        /// How much.
        amount: Amount,
        /// How.
        reason: String,
    },
    /// A payment earned less than it cost.
    #[error("the payment on {hash} brought {income} and cost {cost}; look at the fees")]
    Negative {
        /// The payment.
        hash: PaymentHash,
        /// What it brought.
        income: Amount,
        /// What it cost.
        cost: Amount,
    },
    /// HTLCs went back while a contract for them was being funded or opened.
    #[error("what was held on {0} went back before its contract was settled")]
    HtlcsGone(PaymentHash),
    /// A payment that had failed arrived, or guardians gave a preimage that is none.
    #[error(
        "the payment on {0}: {1}; this must not happen, keep the logs and tell the developers"
    )]
    Contradiction(PaymentHash, String),
    /// The gateway has earned less than at its best.
    #[error("the gateway has {lost} less than at its best, of {worth}; look at the last payments")]
    Drawdown {
        /// How much less.
        lost: Amount,
        /// All that it has.
        worth: Amount,
    },
    /// So much less that nothing new is begun.
    #[error("the gateway has {lost} less than at its best, of {worth}, and begins nothing new until it is resumed; look at the last payments")]
    Halted {
        /// How much less.
        lost: Amount,
        /// All that it has.
        worth: Amount,
    },
    /// The node closed a channel since it came back without its last state.
    #[error("a channel was closed since the node came back without its last state: {0}; look at the node's database")]
    StaleChannel(String),
    /// Each payment loses, or may.
    #[error("the federation {federation} takes about {costs} for a payment that {what}, and the gateway keeps {charged} of one of 1,000 sat: it loses. Raise its {option} to {costs} or more", what = charge.what(), option = charge.option())]
    FeesTooLow {
        /// Where.
        federation: FederationId,
        /// Which fee.
        charge: Charge,
        /// What it brings.
        charged: Amount,
        /// What that must cover.
        costs: Amount,
    },
    /// The gateway's announcement was not taken.
    #[error("wallets do not see the gateway in federation {0}, since its announcement was not taken: {1}. If e-cash is lacking, `guildmint-gateway-cli ecash deposit {0}` brings some in")]
    NotAnnounced(FederationId, String),
}

/// A fee that the operator sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Charge {
    /// [`Settings::receive_fees`](crate::Settings::receive_fees).
    Receive,
    /// [`Settings::send_margin`](crate::Settings::send_margin).
    Margin,
}

impl Charge {
    /// What it is charged for.
    fn what(self) -> &'static str {
        match self {
            Self::Receive => "a user receives, over Lightning or from another user",
            Self::Margin => "goes out over Lightning, whose way may take all but the margin",
        }
    }

    /// What the operator's program calls it.
    fn option(self) -> &'static str {
        match self {
            Self::Receive => "receive fee (`federation set-fees --receive-base`)",
            Self::Margin => "margin (`federation set-fees --margin-base`)",
        }
    }
}
