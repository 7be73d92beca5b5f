//! All of a wallet's Lightning secrets follow from its seed, with the federation in their path.

use bitcoin::secp256k1::{Keypair, SecretKey};
use guildmint_core::{Bytes, FederationId, ModuleId};
use guildmint_tbs::encryption::EphemeralSecret;
use hkdf::Hkdf;
use secp256k1::SECP256K1;
use sha2::Sha256;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::Preimage;

/// What a secret is for. The place is in the derivation: new ones go to the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Preimage = 1,
    Ephemeral = 2,
    Claim = 3,
    Refund = 4,
}

/// An index without a key. Nobody will ever find one: its chance is 2^-127.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("there is no key with index {0}; take the next one")]
pub struct KeyError(pub u64);

/// What all secrets are derived from.
pub(super) struct Secrets {
    root: Hkdf<Sha256>,
    federation: FederationId,
    module: ModuleId,
}

impl Secrets {
    pub(super) fn new(seed: &[u8; 64], federation: FederationId, module: ModuleId) -> Self {
        Self {
            root: Hkdf::new(Some(b"guildmint/ln"), seed),
            federation,
            module,
        }
    }

    /// ⚠ The federation is in the path: another federation learns nothing from what this one sees.
    fn derive<const N: usize>(&self, purpose: Purpose, index: u64) -> Zeroizing<[u8; N]> {
        const { assert!(N <= 255 * 32) };
        let mut secret = Zeroizing::new([0; N]);
        let path = [
            &self.federation.0[..],
            &self.module.0.to_le_bytes(),
            &[purpose as u8],
            &index.to_le_bytes(),
        ];
        // It fails for longer outputs only.
        let filled = self.root.expand_multi_info(&path, secret.as_mut());
        debug_assert!(filled.is_ok());
        secret
    }

    pub(super) fn preimage(&self, index: u64) -> Preimage {
        Preimage(Bytes(*self.derive(Purpose::Preimage, index)))
    }

    pub(super) fn ephemeral(&self, index: u64) -> Result<EphemeralSecret, KeyError> {
        let bytes = self.derive(Purpose::Ephemeral, index);
        EphemeralSecret::from_uniform_bytes(&bytes).map_err(|_| KeyError(index))
    }

    pub(super) fn key(&self, purpose: Purpose, index: u64) -> Result<Keypair, KeyError> {
        let bytes = self.derive::<32>(purpose, index);
        let mut secret = SecretKey::from_slice(&*bytes).map_err(|_| KeyError(index))?;
        let pair = Keypair::from_secret_key(SECP256K1, &secret);
        secret.non_secure_erase();
        Ok(pair)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_of_the_path_matters() {
        let secrets = |seed, federation, module| {
            let federation = FederationId([federation; 32]);
            Secrets::new(&[seed; 64], federation, ModuleId(module))
        };
        let plain = secrets(1, 1, 1);
        let preimage = plain.preimage(0);
        assert_eq!(preimage, secrets(1, 1, 1).preimage(0));
        assert_ne!(preimage, plain.preimage(1));
        assert_ne!(preimage, secrets(2, 1, 1).preimage(0));
        assert_ne!(preimage, secrets(1, 2, 1).preimage(0));
        assert_ne!(preimage, secrets(1, 1, 2).preimage(0));
        let claim = plain.key(Purpose::Claim, 0).unwrap();
        assert_ne!(claim, plain.key(Purpose::Refund, 0).unwrap());
        assert_ne!(claim.secret_bytes(), preimage.0 .0);
    }
}
