//! The one secret from which a guardian derives all that it needs to found a federation.

use guildmint_core::{IdentityKey, ModuleId, SessionId, Tagged};
use guildmint_engine::coin::ceremony::CoinEncryptionSecret;
use guildmint_tbs::dkg::EncryptionSecret;
use zeroize::Zeroizing;

/// 32 uniform bytes, drawn once. Whoever knows them, and what was said in public, knows all secrets of the guardian.
#[derive(Clone)]
pub struct Seed(Zeroizing<[u8; 32]>);

impl Seed {
    /// Wraps uniform bytes.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes, to be kept encrypted.
    #[must_use]
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    fn derive(&self, purpose: &str, context: &[u8]) -> Zeroizing<[u8; 32]> {
        let hash = Tagged::new("guildmint/founding/seed")
            .add(&self.0[..])
            .field(purpose)
            .field(context);
        Zeroizing::new(hash.finish())
    }

    /// The key that authenticates the guardian from its setup code on.
    #[must_use]
    pub fn identity(&self) -> IdentityKey {
        IdentityKey::from_seed(&self.derive("identity", &[]))
    }

    /// To this key shares of the coin are encrypted.
    #[must_use]
    pub fn coin_encryption(&self) -> CoinEncryptionSecret {
        CoinEncryptionSecret::from_seed(&self.derive("coin encryption", &[]))
    }

    /// To this key shares of the modules' keys are encrypted.
    #[must_use]
    pub fn key_encryption(&self) -> EncryptionSecret {
        let mut number = 0_u64;
        loop {
            let half = |half: u8| {
                let context = [&number.to_le_bytes()[..], &[half]].concat();
                self.derive("key encryption", &context)
            };
            let mut bytes = Zeroizing::new([0; 64]);
            bytes[..32].copy_from_slice(&half(0)[..]);
            bytes[32..].copy_from_slice(&half(1)[..]);
            // All but one in 2^255 are secrets.
            if let Ok(secret) = EncryptionSecret::from_uniform_bytes(&bytes) {
                return secret;
            }
            number += 1;
        }
    }

    /// Randomness of this guardian's dealing of the coin, for one session alone.
    pub(crate) fn coin_dealing(&self, session: SessionId) -> Zeroizing<[u8; 32]> {
        self.derive("coin dealing", session.as_ref())
    }

    /// Randomness of this guardian's dealing of the modules' keys, for one session alone.
    pub(crate) fn key_dealing(&self, session: SessionId) -> Zeroizing<[u8; 32]> {
        self.derive("key dealing", session.as_ref())
    }

    /// A module's own seed, for one session alone.
    pub(crate) fn module(&self, session: SessionId, module: ModuleId) -> Zeroizing<[u8; 32]> {
        let context = [session.as_ref(), &module.0.to_le_bytes()].concat();
        self.derive("module", &context)
    }

    /// What makes two setup codes of one guardian differ.
    pub(crate) fn nonce(&self) -> [u8; 16] {
        let hash = self.derive("setup code", &[]);
        let mut nonce = [0; 16];
        nonce.copy_from_slice(&hash[..16]);
        nonce
    }
}

impl std::fmt::Debug for Seed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seed(..)")
    }
}
