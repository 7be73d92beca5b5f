//! REST: translation only.

mod admin;
mod body;
mod problem;
mod public;

pub(crate) use admin::server as admin;
pub(crate) use public::server as public;

/// Bytes of a request's body: an offer or an invoice and what comes with it. A larger one is answered 413.
pub(crate) const MAX_BODY_BYTES: usize = 64 * 1024;
