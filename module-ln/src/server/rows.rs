//! What the guardians agree on about contracts, offers and gateways.

use bitcoin::secp256k1::XOnlyPublicKey;
use guildmint_core::{Bytes, PeerId, Row};
use serde::{Deserialize, Serialize};

use crate::{
    Closing, ContractAccount, ContractId, OfferId, PaymentHash, SignedAnnouncement, SignedOffer,
    Vouching,
};

/// The agreed clock when the last epoch ended, for questions, which come between epochs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Row)]
#[row(table = 1, value = u32, resident)]
pub struct Clock(pub ());

/// A contract that was funded, ever. It never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Row)]
#[row(table = 2, value = ContractAccount)]
pub struct Account(pub ContractId);

/// A contract that was spent. It is never removed, so a contract is spent once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Row)]
#[row(table = 3, value = Closing)]
pub struct Closed(pub ContractId);

/// A ciphertext that was stored or funded, ever (SPEC LN-2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Row)]
#[row(table = 4, value = ())]
pub struct Used(pub Bytes<16>);

/// An offer that waits to be funded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Row)]
#[row(table = 5, value = SignedOffer)]
pub struct Stored(pub OfferId);

/// When it is forgotten, in the order in which that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Row)]
#[row(table = 6, value = PaymentHash, resident)]
pub struct StoredUntil(pub u32, pub OfferId);

/// The stored offers with one payment hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Row)]
#[row(table = 7, value = Vec<OfferId>)]
pub struct OffersOf(pub PaymentHash);

/// A gateway that has announced itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Row)]
#[row(table = 8, value = SignedAnnouncement, resident)]
pub struct Gateway(pub XOnlyPublicKey);

/// The gateways that a guardian vouches for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Row)]
#[row(table = 9, value = Vouching, resident)]
pub struct Vouched(pub PeerId);

/// Running totals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Row)]
#[row(table = 10, value = Counts, resident)]
pub struct Totals(pub ());

/// What is in the totals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Money in contracts that are not closed.
    pub open_msat: u64,
    /// Offers that are stored.
    pub offers: u64,
}

/// The contract that funds an offer: its owner knows the offer only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Row)]
#[row(table = 11, value = ContractId)]
pub struct Funding(pub OfferId);

/// Whom this guardian's operator vouches for; local.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Row)]
#[row(table = 1, value = Vouching, resident)]
pub struct OwnVouching(pub ());
