//! Who may see and do what is the operator's (SPEC API-3).

mod access;
mod attempts;
mod gate;
mod sessions;

pub use access::{Access, Password, Token, TokenError};
pub(crate) use gate::{Caller, Gate};
