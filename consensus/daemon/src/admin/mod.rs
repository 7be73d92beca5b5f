//! Who may see and do what is the operator's (SPEC API-3).

mod access;
mod attempts;
pub mod files;
mod gate;
mod sessions;

pub use access::{Access, Password, Token, TokenError};
pub use gate::{go_to, Caller, Gate};
