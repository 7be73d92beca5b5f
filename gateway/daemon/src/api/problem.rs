//! Why not, as clients are told.

use guildmint_core::api::Problem;
use guildmint_daemon::problem;
use guildmint_gateway::{node::Refusal, GatewayError};

use crate::{
    federations::{EcashError, FederationsError},
    handle::NoAnswer,
};

pub(super) fn no_answer(no: NoAnswer) -> Problem {
    match no {
        NoAnswer::Stopping => {
            let detail = "the gateway stops; ask again when it is back, nothing is lost";
            Problem::new(503, "stopping", detail, true)
        }
        NoAnswer::Busy => problem::busy(),
        NoAnswer::Refused(error) => gateway(&error),
    }
}

/// Why the gateway does not do something.
pub(super) fn gateway(error: &GatewayError) -> Problem {
    let (status, code) = match error {
        GatewayError::Federation(_) => (404, "unknown_federation"),
        GatewayError::NoContract(_) => (404, "no_contract"),
        GatewayError::NotOurs(_) => (422, "not_ours"),
        GatewayError::Closed(_) => (409, "already_closed"),
        GatewayError::OtherInvoice(_) => (422, "other_invoice"),
        GatewayError::Offer => (422, "wrong_offer"),
        GatewayError::Amount(_) => (422, "wrong_amount"),
        GatewayError::OfferExpires { .. } => (422, "offer_expires"),
        GatewayError::HashUsed(_) => (409, "already_used"),
        GatewayError::Description(_) | GatewayError::OfferText(_) => (422, "too_long"),
        GatewayError::Fetch(_) => (503, "not_fetched"),
        GatewayError::NotNow(_) => (503, "not_now"),
        GatewayError::Busy(_) => (503, "busy"),
        GatewayError::Node(refusal) => return node(refusal),
        GatewayError::Federations | GatewayError::RememberedFederations => {
            (409, "too_many_federations")
        }
    };
    Problem::new(status, code, error, error.retryable())
}

/// Why the node does not do something.
pub(super) fn node(refusal: &Refusal) -> Problem {
    let (status, code, retryable) = match refusal {
        Refusal::NoNode => (409, "no_node", false),
        Refusal::Stopped => (503, "stopping", true),
        Refusal::NotSynced(_) => (503, "not_synced", true),
        Refusal::Malformed { .. } => (422, "malformed", false),
        Refusal::Funds { .. } => (409, "too_little_money", false),
        Refusal::Unreachable { .. } => (503, "unreachable", true),
        Refusal::HashUsed(_) | Refusal::Settled(..) => (409, "already_used", false),
        _ => (422, "refused", false),
    };
    Problem::new(status, code, refusal, retryable)
}

/// Why a federation's client does not do something.
pub(super) fn ecash(error: &EcashError) -> Problem {
    let status = match (error.code.as_str(), error.retryable) {
        ("operation_not_found", _) => 404,
        ("stopping", _) | (_, true) => 503,
        (_, false) => 422,
    };
    Problem::new(status, &error.code, error, error.retryable)
}

/// Why a federation is not joined.
pub(super) fn federations(error: &FederationsError) -> Problem {
    let (status, code, retryable) = match error {
        FederationsError::Invite(_) => (422, "wrong_invite", false),
        FederationsError::Join(_) => (503, "not_joined", true),
        FederationsError::Store(_) => (503, "stopping", true),
        FederationsError::Start(..) => (500, "damaged", false),
    };
    Problem::new(status, code, error, retryable)
}

/// The loop does not answer.
pub(super) fn no_loop() -> Problem {
    problem::timed_out()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_of_ecash_say_whether_to_try_again() {
        for (code, retryable, status) in [
            ("operation_not_found", false, 404),
            ("too_few_guardians", true, 503),
            ("stopping", false, 503),
            ("note_spent", false, 422),
        ] {
            let error = EcashError {
                code: code.to_owned(),
                message: "why".to_owned(),
                retryable,
            };
            let problem = ecash(&error);
            assert_eq!((problem.status, problem.retryable), (status, retryable));
        }
    }
}
