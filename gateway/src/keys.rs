//! The gateway's keys in federations follow from one seed.

use bitcoin::secp256k1::{Keypair, SecretKey};
use guildmint_core::FederationId;
use guildmint_ln::OfferId;
use hkdf::Hkdf;
use secp256k1::SECP256K1;
use sha2::Sha256;
use zeroize::Zeroizing;

/// Derives keys. Shows none.
///
/// ⚠ The federation is in each path: one federation's guardians learn nothing from what another's see.
#[derive(Clone)]
pub struct Keys(Hkdf<Sha256>);

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys(..)")
    }
}

impl Keys {
    /// Keys from a seed: 64 bytes that are used for nothing else.
    #[must_use]
    pub fn new(seed: &[u8; 64]) -> Self {
        Self(Hkdf::new(Some(b"guildmint/gateway"), seed))
    }

    /// The gateway's key in a federation: it announces, claims outgoing contracts, and gives them up.
    #[must_use]
    pub fn gateway(&self, federation: FederationId) -> Keypair {
        self.derive(&[b"gateway", &federation.0])
    }

    /// The refund key of the contract that funds an offer: a key for each, so that nobody can tell which are the same gateway's.
    #[must_use]
    pub fn refund(&self, federation: FederationId, offer: OfferId) -> Keypair {
        self.derive(&[b"refund", &federation.0, offer.as_ref()])
    }

    /// The key that signs invoices where there is no node: one for all federations, so that a payer in any finds whose invoice it is.
    #[must_use]
    pub fn invoices(&self) -> Keypair {
        self.derive(&[b"invoices"])
    }

    fn derive(&self, path: &[&[u8]]) -> Keypair {
        let mut number = 0_u8;
        loop {
            let mut bytes = Zeroizing::new([0; 32]);
            let last = [number];
            let info = [path, &[&last]].concat();
            // It fails for longer outputs only.
            let filled = self.0.expand_multi_info(&info, bytes.as_mut());
            debug_assert!(filled.is_ok());
            if let Ok(mut secret) = SecretKey::from_slice(&*bytes) {
                let pair = Keypair::from_secret_key(SECP256K1, &secret);
                secret.non_secure_erase();
                return pair;
            }
            // One hash in 2^127 is no key; then the next one is.
            number = number.wrapping_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_of_the_path_matters() {
        let keys = Keys::new(&[1; 64]);
        let (one, other) = (FederationId([1; 32]), FederationId([2; 32]));
        let offer = OfferId::from([3; 32]);
        let all = [
            keys.gateway(one),
            keys.gateway(other),
            keys.refund(one, offer),
            keys.refund(other, offer),
            keys.refund(one, OfferId::from([4; 32])),
            Keys::new(&[2; 64]).gateway(one),
            keys.invoices(),
            Keys::new(&[2; 64]).invoices(),
        ];
        for (place, key) in all.iter().enumerate() {
            assert!(!all[..place].contains(key));
        }
        assert_eq!(keys.gateway(one), Keys::new(&[1; 64]).gateway(one));
        assert_eq!(format!("{keys:?}"), "Keys(..)");
    }
}
