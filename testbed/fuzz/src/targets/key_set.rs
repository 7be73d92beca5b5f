//! Threshold keys.

use guildmint_tbs::PublicKeySet;

use crate::canonical::{bare, json};

/// In binary and in JSON.
pub fn target(bytes: &[u8]) {
    bare::<PublicKeySet>(bytes);
    json::<PublicKeySet>(bytes);
}
