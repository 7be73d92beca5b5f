//! The same things under the names of the node's port and of the federation's module.

use guildmint_core::Bytes;
use guildmint_ln as ln;

use crate::node;

impl From<ln::PaymentHash> for node::PaymentHash {
    fn from(hash: ln::PaymentHash) -> Self {
        Self(hash.0 .0)
    }
}

impl From<node::PaymentHash> for ln::PaymentHash {
    fn from(hash: node::PaymentHash) -> Self {
        Self(Bytes(hash.0))
    }
}

impl From<ln::Preimage> for node::Preimage {
    fn from(preimage: ln::Preimage) -> Self {
        Self(preimage.0 .0)
    }
}

impl From<&node::Preimage> for ln::Preimage {
    fn from(preimage: &node::Preimage) -> Self {
        Self(Bytes(preimage.0))
    }
}
