//! The port to a federation: what the gateway has done by its client there, and what it hears.
//!
//! It is made like the port to the node. An [`Order`] may be repeated, and is after each restart until its end was heard; whoever carries
//! it out does a thing once, however often it is ordered, and tells the end each time. [`News`] may come in any order, twice, and late.

#[cfg(feature = "fake")]
pub mod fake;

use bitcoin::secp256k1::XOnlyPublicKey;
use guildmint_core::Amount;
use guildmint_ln::{
    Closing, ContractAnswer, ContractId, OfferId, Preimage, SignedAnnouncement, SignedOffer,
};

/// Something to be done in a federation. All keys are those of [`Keys`](crate::Keys).
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::large_enum_variant)] // few at a time
pub enum Order {
    /// Look at a contract, as f + 1 guardians know it. Ends in [`News::Looked`].
    Look {
        /// Which.
        contract: ContractId,
    },
    /// Fund the contract of an offer, carried with it. ⚠ Once for an offer, whatever happens: the transaction is durable before it is
    /// sent. Ends in [`News::Funded`] or [`News::NotFunded`].
    Fund(Funding),
    /// Have the guardians' shares of an incoming contract's preimage, asked for with its refund key, and combine them (SPEC LN-4).
    /// Ends in [`News::Opened`]; until it can, it is tried.
    Open {
        /// The contract.
        contract: ContractId,
        /// What it funds.
        offer: SignedOffer,
    },
    /// Take what is in an outgoing contract. Ends in [`News::Claimed`] or [`News::NotClaimed`].
    Claim {
        /// The contract.
        contract: ContractId,
        /// What opens it.
        preimage: Preimage,
    },
    /// Take back what is in an incoming contract, because its offer hides no preimage. Ends in [`News::Refunded`] or
    /// [`News::NotRefunded`].
    Refund {
        /// The contract.
        contract: ContractId,
        /// What it funds.
        offer: SignedOffer,
    },
    /// Publish this. Ends in [`News::Announced`] or [`News::NotAnnounced`].
    Announce(Box<SignedAnnouncement>),
}

/// An incoming contract to fund.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Funding {
    /// The offer, which goes into the transaction.
    pub offer: SignedOffer,
    /// What is locked.
    pub amount: Amount,
    /// Whose it is if there is no preimage: [`Keys::refund`](crate::Keys::refund) of the offer.
    pub refund_key: XOnlyPublicKey,
    /// The last height at which it may be funded.
    pub valid_until: u32,
}

/// What a federation's client tells.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::large_enum_variant)] // few at a time
pub enum News {
    /// How the federation is. Told at the start, and whenever it has changed.
    State(FederationState),
    /// A contract as it is.
    Looked {
        /// Which.
        contract: ContractId,
        /// What f + 1 guardians say.
        answer: ContractAnswer,
    },
    /// An offer's contract is funded.
    Funded {
        /// The offer.
        offer: OfferId,
        /// The contract.
        contract: ContractId,
        /// What that cost on top of what is in it.
        fee: Amount,
    },
    /// ⚠ Final: the offer's contract can never be funded by us, because it was refused for good, or its time was over by the clock of f + 1
    /// guardians before it was accepted.
    NotFunded {
        /// The offer.
        offer: OfferId,
        /// Why, for people.
        reason: String,
    },
    /// What an incoming contract's offer hides.
    Opened {
        /// The contract.
        contract: ContractId,
        /// The preimage, from the shares or because the payee has claimed with it; `None` if what was hidden is none.
        preimage: Option<Preimage>,
    },
    /// We have what was in an outgoing contract.
    Claimed {
        /// The contract.
        contract: ContractId,
        /// What the federation kept.
        fee: Amount,
    },
    /// ⚠ Final: somebody else has it.
    NotClaimed {
        /// The contract.
        contract: ContractId,
        /// How it ended.
        closing: Closing,
    },
    /// We have back what was in an incoming contract.
    Refunded {
        /// The contract.
        contract: ContractId,
        /// What the federation kept.
        fee: Amount,
    },
    /// ⚠ Final: the payee has claimed it, with a preimage that was not in the offer.
    NotRefunded {
        /// The contract.
        contract: ContractId,
        /// The preimage, with which the payment can be claimed.
        preimage: Preimage,
    },
    /// The announcement with this number is published.
    Announced {
        /// The number.
        number: u64,
    },
    /// It was refused.
    NotAnnounced {
        /// The number.
        number: u64,
        /// Why, for people.
        reason: String,
    },
}

/// A federation at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FederationState {
    /// The agreed clock.
    pub height: u32,
    /// Our notes, those included that pay for a contract which is not funded yet.
    pub ecash: Amount,
    /// Why nothing new should be begun there, if so: too few guardians answer, or they have not agreed on anything for too long.
    pub trouble: Option<String>,
    /// What it takes of us.
    pub costs: Costs,
}

/// What a federation takes for one payment: about, since that depends on which notes there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Costs {
    /// For funding a contract.
    pub fund: Amount,
    /// For claiming one.
    pub claim: Amount,
}
