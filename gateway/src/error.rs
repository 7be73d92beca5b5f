//! Why a command is not carried out.

use guildmint_core::FederationId;
use guildmint_ln::{limits as ln_limits, ContractId, PaymentHash};
use thiserror::Error;

use crate::{limits, node::Refusal};

/// Why a command is not carried out. Nothing was begun, and no contract given up.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum GatewayError {
    /// Not one of the federations that are served.
    #[error("this gateway does not serve the federation {0}")]
    Federation(FederationId),
    /// It may have been given up by another gateway, or be under way.
    #[error("there is no contract {0} yet; ask again when it is funded")]
    NoContract(ContractId),
    /// It is somebody else's, or one for a payee.
    #[error("the contract {0} is not for this gateway to claim")]
    NotOurs(ContractId),
    /// It has ended.
    #[error("the contract {0} has been claimed or refunded")]
    Closed(ContractId),
    /// ⚠ Whoever asks may not be whose contract it is, so this does not give it up.
    #[error("the contract {0} is for another invoice")]
    OtherInvoice(ContractId),
    /// The offer is not signed by its claim key, for this federation.
    #[error("the offer is not signed by its claim key; make it again")]
    Offer,
    /// An amount that cannot be received or sent.
    #[error("{0} msat cannot be paid here; ask for a smaller amount, and more than nothing")]
    Amount(u64),
    /// It would expire before anybody could pay.
    #[error("the offer can be funded until height {expires_at}, and the clock is at {height}; make one that holds for longer")]
    OfferExpires {
        /// The offer's last height.
        expires_at: u32,
        /// The clock.
        height: u32,
    },
    /// ⚠ A hash is used once, by all users of all federations.
    #[error("the hash {0} has been used; make an offer with another preimage")]
    HashUsed(PaymentHash),
    /// More than [`MAX_DESCRIPTION_BYTES`](ln_limits::MAX_DESCRIPTION_BYTES).
    #[error("{0} bytes of description; at most {max} fit", max = ln_limits::MAX_DESCRIPTION_BYTES)]
    Description(usize),
    /// More than [`MAX_OFFER_BYTES`](ln_limits::MAX_OFFER_BYTES).
    #[error("{0} bytes of offer and note; at most {max} are taken", max = ln_limits::MAX_OFFER_BYTES)]
    OfferText(usize),
    /// No invoice came.
    #[error("no invoice could be fetched: {0}")]
    Fetch(String),
    /// Nothing new is begun now.
    #[error("this gateway begins nothing new now: {0}; take another, or try again later")]
    NotNow(String),
    /// A limit of [`limits`] is hit.
    #[error("too many {0} at once; try again later")]
    Busy(&'static str),
    /// See [`Refusal`].
    #[error(transparent)]
    Node(#[from] Refusal),
    /// More than [`MAX_FEDERATIONS`](limits::MAX_FEDERATIONS).
    #[error("{max} federations are served; leave one first", max = limits::MAX_FEDERATIONS)]
    Federations,
    /// More than [`MAX_REMEMBERED_FEDERATIONS`](limits::MAX_REMEMBERED_FEDERATIONS), those that were left counted too.
    #[error("{max} federations are or were served, and no more can be; run another gateway", max = limits::MAX_REMEMBERED_FEDERATIONS)]
    RememberedFederations,
}

impl GatewayError {
    /// Whether the same may succeed later.
    #[must_use]
    pub fn retryable(&self) -> bool {
        matches!(
            self,
            Self::NoContract(_) | Self::NotNow(_) | Self::Busy(_) | Self::Fetch(_) | Self::Node(_)
        )
    }
}
