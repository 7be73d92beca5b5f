//! Between LDK's words and the port's.

use bitcoin::secp256k1::PublicKey;
use guildmint_gateway::node::{
    ChannelChange, ChannelId, FetchFailure, NodeId, PaymentFailure, PaymentHash, Refusal, RequestId,
};
use lightning::{
    events::{ClosureReason, PaymentFailureReason},
    ln::{
        channelmanager::{PaymentId, RetryableSendFailure},
        types::ChannelId as LdkChannelId,
    },
    types::payment::PaymentHash as LdkPaymentHash,
    util::errors::APIError,
};

pub(crate) fn hash(hash: LdkPaymentHash) -> PaymentHash {
    PaymentHash(hash.0)
}

pub(crate) fn ldk_hash(hash: PaymentHash) -> LdkPaymentHash {
    LdkPaymentHash(hash.0)
}

/// LDK's name for a BOLT11 payment is its hash (SPEC GW-3).
pub(crate) fn payment_id(hash: PaymentHash) -> PaymentId {
    PaymentId(hash.0)
}

/// And for a BOLT12 payment, whose hash is not known at first, the request's.
pub(crate) fn fetched_id(request: RequestId) -> PaymentId {
    PaymentId(request.0)
}

pub(crate) fn node_id(key: &PublicKey) -> NodeId {
    NodeId(key.serialize())
}

pub(crate) fn public_key(id: NodeId) -> Result<PublicKey, Refusal> {
    PublicKey::from_slice(&id.0).map_err(|error| Refusal::Malformed {
        what: format!("the node id {id}"),
        reason: error.to_string(),
    })
}

pub(crate) fn channel_id(id: LdkChannelId) -> ChannelId {
    ChannelId(id.0)
}

pub(crate) fn ldk_channel_id(id: ChannelId) -> LdkChannelId {
    LdkChannelId(id.0)
}

pub(crate) fn failure(reason: Option<PaymentFailureReason>) -> PaymentFailure {
    use PaymentFailureReason as Ldk;
    match reason {
        Some(Ldk::RecipientRejected | Ldk::InvoiceRequestRejected) => PaymentFailure::Refused,
        Some(Ldk::RouteNotFound | Ldk::BlindedPathCreationFailed) => PaymentFailure::NoRoute,
        Some(Ldk::RetriesExhausted) => PaymentFailure::Retried,
        Some(Ldk::PaymentExpired | Ldk::InvoiceRequestExpired) => PaymentFailure::Expired,
        Some(Ldk::UnknownRequiredFeatures) => PaymentFailure::Feature,
        Some(Ldk::UserAbandoned | Ldk::UnexpectedError) | None => PaymentFailure::Other,
    }
}

pub(crate) fn fetch_failure(reason: Option<PaymentFailureReason>) -> FetchFailure {
    match reason {
        Some(PaymentFailureReason::InvoiceRequestRejected) => FetchFailure::Refused,
        Some(PaymentFailureReason::InvoiceRequestExpired) => FetchFailure::Timeout,
        _ => FetchFailure::Unusable,
    }
}

/// Why nothing was sent. `None`: something was, and an event will tell how it ends.
pub(crate) fn send_failure(failure: &RetryableSendFailure) -> Option<PaymentFailure> {
    match failure {
        RetryableSendFailure::PaymentExpired => Some(PaymentFailure::Expired),
        RetryableSendFailure::RouteNotFound => Some(PaymentFailure::NoRoute),
        RetryableSendFailure::OnionPacketSizeExceeded => Some(PaymentFailure::Other),
        RetryableSendFailure::DuplicatePayment => None,
    }
}

pub(crate) fn closed(reason: &ClosureReason) -> ChannelChange {
    let stale = matches!(reason, ClosureReason::OutdatedChannelManager);
    let mut reason = reason.to_string();
    let mut end = reason.len().min(ChannelChange::MAX_REASON_BYTES);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    reason.truncate(end);
    ChannelChange::Closed { reason, stale }
}

pub(crate) fn refusal(error: APIError) -> Refusal {
    Refusal::Node(match error {
        APIError::APIMisuseError { err }
        | APIError::ChannelUnavailable { err }
        | APIError::InvalidRoute { err } => err,
        APIError::FeeRateTooHigh { err, feerate } => format!("{err} (fee rate {feerate})"),
        APIError::MonitorUpdateInProgress => "its database is slow".to_owned(),
        APIError::IncompatibleShutdownScript { .. } => {
            "the peer does not pay to such a script".to_owned()
        }
    })
}

#[cfg(test)]
mod tests {
    use lightning::types::string::UntrustedString;

    use super::*;

    #[test]
    fn a_payment_that_ldk_knows_is_not_one_that_was_not_sent() {
        assert_eq!(send_failure(&RetryableSendFailure::DuplicatePayment), None);
        assert_eq!(
            send_failure(&RetryableSendFailure::RouteNotFound),
            Some(PaymentFailure::NoRoute)
        );
    }

    #[test]
    fn what_a_peer_says_is_cut_between_two_letters() {
        let peer_msg = UntrustedString("ß".repeat(1000));
        let change = closed(&ClosureReason::CounterpartyForceClosed { peer_msg });
        let ChannelChange::Closed { reason, stale } = change else {
            unreachable!("{change:?}");
        };
        assert!(reason.len() <= ChannelChange::MAX_REASON_BYTES && reason.len() > 400);
        assert!(!stale);
        let outdated = closed(&ClosureReason::OutdatedChannelManager);
        assert!(matches!(
            outdated,
            ChannelChange::Closed { stale: true, .. }
        ));
    }

    #[test]
    fn a_node_id_is_a_point() {
        assert!(public_key(NodeId([2; 33])).is_ok());
        assert!(public_key(NodeId([9; 33])).is_err());
    }
}
