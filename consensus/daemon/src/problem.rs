//! Errors as clients see them: `application/problem+json`, RFC 9457.

use guildmint_core::api::Problem;
use tide::{
    http::{headers::RETRY_AFTER, Response},
    Body, StatusCode,
};

/// Seconds after which a client that is told to come back should.
pub const RETRY_AFTER_SECONDS: u32 = 5;

/// The answer that tells a client of a problem.
#[must_use]
pub fn response(problem: &Problem) -> Response {
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

/// What came cannot be read.
#[must_use]
pub fn malformed(detail: impl ToString) -> Problem {
    Problem::new(400, "malformed", detail, false)
}

/// It is for the operator alone.
#[must_use]
pub fn unauthorized() -> Problem {
    let detail = "this is for the operator: send `Authorization: Bearer …` with the contents of admin.cookie in the data directory, or log in at /login";
    Problem::new(401, "unauthorized", detail, false)
}

/// Somebody tried another password.
#[must_use]
pub fn wrong_password() -> Problem {
    Problem::new(403, "wrong_password", "This is not the password.", false)
}

/// A page of somebody else made a browser send it.
#[must_use]
pub fn foreign_origin() -> Problem {
    let detail = "a page of another site made your browser send this; nothing was done. Programs send a token";
    Problem::new(403, "foreign_origin", detail, false)
}

/// There is no such path.
#[must_use]
pub fn not_found() -> Problem {
    Problem::new(404, "not_found", "there is nothing under this path", false)
}

/// The path takes other methods.
#[must_use]
pub fn method_not_allowed() -> Problem {
    let detail = "this path does not take this method; the header Allow names those it takes";
    Problem::new(405, "method_not_allowed", detail, false)
}

/// A part of the request did not come in time.
#[must_use]
pub fn too_slow(what: &str) -> Problem {
    let detail = format!("the request's {what} did not come in time");
    Problem::new(408, "too_slow", detail, true)
}

/// A body without a length.
#[must_use]
pub fn length_required() -> Problem {
    let detail = "a body needs a Content-Length; chunked bodies are not taken";
    Problem::new(411, "length_required", detail, false)
}

/// A body that is too large.
#[must_use]
pub fn too_large(limit: usize) -> Problem {
    let detail = format!("the body may have {limit} bytes at most");
    Problem::new(413, "too_large", detail, false)
}

/// A body of another type than is taken.
#[must_use]
pub fn unsupported_type(types: &str) -> Problem {
    let detail = format!("send {types}");
    Problem::new(415, "unsupported_type", detail, false)
}

/// A form of another type than browsers send.
#[must_use]
pub fn unsupported_form() -> Problem {
    let detail = "send application/x-www-form-urlencoded";
    Problem::new(415, "unsupported_type", detail, false)
}

/// The operator's listener under a name that is not its own.
#[must_use]
pub fn wrong_host() -> Problem {
    let detail = "the operator's listener answers to IP addresses, localhost, and the names in `admin_hosts`";
    Problem::new(421, "wrong_host", detail, false)
}

/// A limit per address is hit.
#[must_use]
pub fn too_many(what: &str) -> Problem {
    let detail = format!("too many {what} from this address; slow down");
    Problem::new(429, "too_many_requests", detail, true)
}

/// Too many headers.
#[must_use]
pub fn head_too_large(limit: usize) -> Problem {
    let detail = format!("request line and headers may have {limit} bytes at most");
    Problem::new(431, "head_too_large", detail, false)
}

/// A bug of ours.
#[must_use]
pub fn internal() -> Problem {
    let detail = "the server made a mistake; its operator finds it in the log";
    Problem::new(500, "internal", detail, true)
}

/// A limit for all together is hit.
#[must_use]
pub fn busy() -> Problem {
    let detail = "too many clients are connected; ask another server, or later";
    Problem::new(503, "busy", detail, true)
}

/// No answer in time.
#[must_use]
pub fn timed_out() -> Problem {
    let detail = "the server did not answer in time; ask again";
    Problem::new(503, "timed_out", detail, true)
}

#[cfg(test)]
mod tests {
    use super::*;

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
