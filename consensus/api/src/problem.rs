//! Errors as clients see them: `application/problem+json`, RFC 9457.

use guildmint_core::{api::Problem, module::Reject};
use tide::{
    http::{headers::RETRY_AFTER, Response},
    Body, StatusCode,
};

/// Seconds after which a client that is told to come back should.
pub(crate) const RETRY_AFTER_SECONDS: u32 = 5;

/// The answer that tells a client of a problem.
pub(crate) fn response(problem: &Problem) -> Response {
    let status = StatusCode::try_from(problem.status).unwrap_or(StatusCode::InternalServerError);
    let mut response = Response::new(status);
    if let Ok(mut body) = Body::from_json(problem) {
        body.set_mime("application/problem+json");
        response.set_body(body);
    }
    if matches!(problem.status, 429 | 503) {
        response.insert_header(RETRY_AFTER, RETRY_AFTER_SECONDS.to_string());
    }
    response
}

/// The answer to a client whose transaction is not taken (SPEC TX-6).
pub(crate) fn rejection(reject: Reject) -> Problem {
    let status = match reject.code.as_str() {
        "pool_full" => 503,
        code if is_conflict(code) => 409,
        _ => 422,
    };
    Problem::new(status, &reject.code, reject.message, reject.retryable)
}

/// Whether the code says that something else came first. By convention such codes are `already_…` or `…_spent`.
fn is_conflict(code: &str) -> bool {
    code.starts_with("already_") || code.ends_with("_spent")
}

pub(crate) fn malformed(detail: impl ToString) -> Problem {
    Problem::new(400, "malformed", detail, false)
}

pub(crate) fn unauthorized() -> Problem {
    let detail = "this is for the operator: send `Authorization: Bearer …` with the contents of admin.cookie in the data directory, or log in at /login";
    Problem::new(401, "unauthorized", detail, false)
}

pub(crate) fn wrong_password() -> Problem {
    Problem::new(403, "wrong_password", "This is not the password.", false)
}

pub(crate) fn foreign_origin() -> Problem {
    let detail = "a page that is not this guardian's made your browser send this; nothing was done. Programs send a token";
    Problem::new(403, "foreign_origin", detail, false)
}

pub(crate) fn not_found() -> Problem {
    Problem::new(404, "not_found", "there is nothing under this path", false)
}

pub(crate) fn method_not_allowed() -> Problem {
    let detail = "this path does not take this method; the header Allow names those it takes";
    Problem::new(405, "method_not_allowed", detail, false)
}

pub(crate) fn too_slow(what: &str) -> Problem {
    let detail = format!("the request's {what} did not come in time");
    Problem::new(408, "too_slow", detail, true)
}

pub(crate) fn length_required() -> Problem {
    let detail = "a body needs a Content-Length; chunked bodies are not taken";
    Problem::new(411, "length_required", detail, false)
}

pub(crate) fn too_large(limit: usize) -> Problem {
    let detail = format!("the body may have {limit} bytes at most");
    Problem::new(413, "too_large", detail, false)
}

pub(crate) fn unsupported_type() -> Problem {
    let detail = "send application/octet-stream (canonical bytes) or application/json";
    Problem::new(415, "unsupported_type", detail, false)
}

pub(crate) fn unsupported_form() -> Problem {
    let detail = "send application/x-www-form-urlencoded";
    Problem::new(415, "unsupported_type", detail, false)
}

pub(crate) fn wrong_host() -> Problem {
    let detail = "the operator's listener answers to IP addresses, localhost, and the names in `admin_hosts`";
    Problem::new(421, "wrong_host", detail, false)
}

pub(crate) fn too_many(what: &str) -> Problem {
    let detail = format!("too many {what} from this address; slow down");
    Problem::new(429, "too_many_requests", detail, true)
}

pub(crate) fn head_too_large(limit: usize) -> Problem {
    let detail = format!("request line and headers may have {limit} bytes at most");
    Problem::new(431, "head_too_large", detail, false)
}

pub(crate) fn internal() -> Problem {
    let detail = "the guardian made a mistake; its operator finds it in the log";
    Problem::new(500, "internal", detail, true)
}

pub(crate) fn busy() -> Problem {
    let detail = "too many clients are connected; ask another guardian, or later";
    Problem::new(503, "busy", detail, true)
}

pub(crate) fn timed_out() -> Problem {
    let detail = "the guardian did not answer in time; ask again";
    Problem::new(503, "timed_out", detail, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejections_have_the_status_of_their_kind() {
        for (reject, status) in [
            (Reject::permanent("note_spent", "…"), 409),
            (Reject::permanent("already_claimed", "…"), 409),
            (Reject::permanent("unbalanced", "…"), 422),
            (Reject::retryable("not_buried", "…"), 422),
            (Reject::retryable("pool_full", "…"), 503),
        ] {
            let problem = rejection(reject.clone());
            assert_eq!(problem.status, status, "{reject:?}");
            assert_eq!(problem.code, reject.code);
            assert_eq!(problem.retryable, reject.retryable);
        }
    }

    #[test]
    fn a_status_that_does_not_exist_is_ours_to_answer_for() {
        let response = response(&Problem::new(299, "odd", "", false));
        assert_eq!(response.status(), 500);
        assert_eq!(
            response.content_type().unwrap().essence(),
            "application/problem+json"
        );
    }
}
