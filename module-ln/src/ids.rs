//! Hashes, and what they are hashes of. A type for each, lest one is taken for another.

use std::{fmt, str::FromStr};

use guildmint_core::{Bytes, OutPoint, ParseBytesError, Tagged};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

macro_rules! bytes32 {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Bytes<32>);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = ParseBytesError;

            fn from_str(text: &str) -> Result<Self, ParseBytesError> {
                text.parse().map(Self)
            }
        }

        impl From<[u8; 32]> for $name {
            fn from(bytes: [u8; 32]) -> Self {
                Self(Bytes(bytes))
            }
        }

        impl AsRef<[u8]> for $name {
            fn as_ref(&self) -> &[u8] {
                &self.0 .0
            }
        }
    };
}

/// Shows the beginning, which is enough to tell one from another in a log.
macro_rules! short_debug {
    ($name:ident) => {
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({:.12})", stringify!($name), self.0.to_string())
            }
        }
    };
}

bytes32! {
    /// The SHA-256 of a preimage, by which Lightning knows a payment.
    PaymentHash
}
short_debug!(PaymentHash);

bytes32! {
    /// What proves a payment, and lets whoever knows it take the money: secret until then, so `Debug` does not show it.
    Preimage
}

bytes32! {
    /// Names a contract: a hash of the output that funded it (SPEC LN-1), so that no two are the same.
    ContractId
}
short_debug!(ContractId);

bytes32! {
    /// Names an offer: the hash that its signature signs.
    OfferId
}
short_debug!(OfferId);

bytes32! {
    /// The SHA-256 of an invoice as it is written, in lower case: what an outgoing contract is for.
    InvoiceHash
}
short_debug!(InvoiceHash);

impl Preimage {
    /// Its hash.
    #[must_use]
    pub fn hash(&self) -> PaymentHash {
        let hash: [u8; 32] = Sha256::digest(self.0 .0).into();
        hash.into()
    }
}

impl fmt::Debug for Preimage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Preimage(of {:?})", self.hash())
    }
}

impl ContractId {
    /// The contract that this output funds. ⚠ A transaction happens once, so this is funded once (SPEC LN-1).
    #[must_use]
    pub fn new(funding: OutPoint) -> Self {
        Tagged::new("guildmint/ln/contract")
            .add(funding.txid)
            .add(funding.index.to_be_bytes())
            .finish()
            .into()
    }
}

impl InvoiceHash {
    /// The hash of an invoice. Bech32 may be written in capitals, for smaller QR codes; it is the same invoice.
    #[must_use]
    pub fn new(invoice: &str) -> Self {
        let hash: [u8; 32] = Sha256::digest(invoice.to_ascii_lowercase()).into();
        hash.into()
    }
}

#[cfg(test)]
mod tests {
    use guildmint_core::TxId;

    use super::*;

    #[test]
    fn a_payment_hash_is_a_plain_sha_256() {
        let hash = Preimage::from([0; 32]).hash();
        assert_eq!(
            hash.to_string(),
            "66687aadf862bd776c8fc18b8e9f8e20089714856ee233b3902a591d0d5f2925"
        );
        assert_eq!(hash.to_string().parse(), Ok(hash));
    }

    #[test]
    fn a_preimage_is_not_shown() {
        let preimage = Preimage::from([0xab; 32]);
        assert!(!format!("{preimage:?}").contains("abab"));
    }

    #[test]
    fn each_output_funds_a_contract_of_its_own() {
        let output = |txid, index| {
            let txid = TxId([txid; 32]);
            ContractId::new(OutPoint { txid, index })
        };
        assert_ne!(output(1, 0), output(1, 1));
        assert_ne!(output(1, 0), output(2, 0));
    }

    #[test]
    fn capitals_make_no_other_invoice() {
        assert_eq!(InvoiceHash::new("LNBC1"), InvoiceHash::new("lnbc1"));
        assert_ne!(InvoiceHash::new("lnbc1"), InvoiceHash::new("lnbc2"));
    }
}
