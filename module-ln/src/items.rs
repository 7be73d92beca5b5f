//! What transactions carry, and what guardians tell each other.

use std::collections::BTreeSet;

use bitcoin::secp256k1::XOnlyPublicKey;
use guildmint_core::{Bytes, Wire};
use serde::{Deserialize, Serialize};

use crate::{
    limits, ContractId, Forfeit, IncomingContract, Offer, OfferId, OutgoingContract, Preimage,
    SignedAnnouncement, SignedOffer,
};

/// Spends a contract, whole (SPEC LN-1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Wire)]
#[wire(version = 1, max_bytes = limits::MAX_INPUT_BYTES)]
pub struct LnInput {
    /// The contract.
    pub contract: ContractId,
    /// Who spends it, and signs the transaction. It is in here because signatures are checked before contracts are looked up; it
    /// must be the contract's claim key, or its refund key, as the witness says.
    pub key: XOnlyPublicKey,
    /// Why that may be.
    pub witness: Witness,
}

/// Why a contract may be spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(clippy::large_enum_variant)] // one for each input, and short-lived
pub enum Witness {
    /// By its claim key: this is the preimage.
    Preimage(Preimage),
    /// By the refund key of an incoming contract: its offer hides no preimage. Any t decryption shares make the proof; it is the offer's
    /// ephemeral key times the federation's secret one, a point of G2.
    Undecryptable {
        /// The contract's offer.
        offer: Offer,
        /// What decrypts it, and shows that it is no preimage of the offer's hash.
        decryption_key: Bytes<96>,
    },
    /// By the refund key of an outgoing contract: its time is over.
    TimedOut,
    /// By the refund key of an outgoing contract: its gateway gives it up.
    Forfeit(Forfeit),
}

/// Puts money into a contract, or tells guardians something that they keep for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Wire)]
#[wire(version = 1, max_bytes = limits::MAX_OUTPUT_BYTES)]
#[allow(clippy::large_enum_variant)] // few at a time, and short-lived
pub enum LnOutput {
    /// Stores an offer, so that a gateway needs only its name. Takes no money but the fee.
    Offer(SignedOffer),
    /// Funds an offer.
    Incoming(IncomingContract),
    /// Funds the payment of an invoice.
    Outgoing(OutgoingContract),
    /// Announces a gateway. Takes no money but the fee.
    Announcement(SignedAnnouncement),
}

/// What the owner of an accepted output is told, by anybody the same. ⚠ Never a decryption share (SPEC LN-4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LnOutcome {
    /// The offer is stored under this name.
    Offer(OfferId),
    /// The contract has this name.
    Contract(ContractId),
    /// The gateway is listed.
    Announced,
}

/// Which gateways a guardian's operator vouches for (SPEC LN-6): all of them, in place of those before. At most
/// [`limits::MAX_VOUCHED`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, Wire)]
#[wire(version = 1, max_bytes = 1 + 8 + 32 * limits::MAX_VOUCHED)]
pub struct Vouching {
    /// Their keys.
    pub gateways: BTreeSet<XOnlyPublicKey>,
}

/// What the module asks of the outside world: nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Wire)]
#[wire(version = 1, max_bytes = 1)]
pub enum Never {}
