//! The file that holds all secrets of a guardian, encrypted with a passphrase (SPEC SET-5).
//!
//! The passphrase is stretched by Argon2id to a key of ChaCha20-Poly1305. How much, the file says itself: whoever makes it
//! decides. All of its readable part is authenticated. A checksum tells a damaged file from a wrong passphrase.

use std::{collections::BTreeMap, fmt};

use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::{
    aead::{Aead, Payload},
    ChaCha20Poly1305, KeyInit,
};
use guildmint_core::{
    encoding::{hex_array, hex_bytes},
    FederationId, GenesisConfig, IdentityKey, ModuleId, PeerId, Tagged, Wire,
};
pub use guildmint_daemon::Cost;
use rand_core::{CryptoRng, RngCore};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::{Zeroize, Zeroizing};

/// The layout that this version writes.
const VERSION: u32 = 1;

/// All that a guardian must keep secret. Wiped from memory when dropped; never printed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Wire)]
#[wire(version = 1, max_bytes = 1024 * 1024)]
pub struct Secrets {
    identity: [u8; 32],
    coin: Vec<u8>,
    modules: BTreeMap<ModuleId, Vec<u8>>,
}

impl Secrets {
    /// Puts together a guardian's identity, its share of the threshold coin, and its modules' secrets, in their encodings.
    #[must_use]
    pub fn new(
        identity: &IdentityKey,
        coin: Vec<u8>,
        modules: BTreeMap<ModuleId, Vec<u8>>,
    ) -> Self {
        Self {
            identity: *identity.seed(),
            coin,
            modules,
        }
    }

    /// The key that authenticates the guardian.
    #[must_use]
    pub fn identity(&self) -> IdentityKey {
        IdentityKey::from_seed(&self.identity)
    }

    /// Which guardian they are of, if the federation has it.
    #[must_use]
    pub fn guardian(&self, genesis: &GenesisConfig) -> Option<PeerId> {
        let identity = self.identity().public();
        let mut keys = (0..).map(PeerId).zip(&genesis.guardians);
        let mine = keys.find(|(_, keys)| keys.identity == identity);
        mine.map(|(peer, _)| peer)
    }

    /// Its share of the threshold coin.
    #[must_use]
    pub fn coin(&self) -> &[u8] {
        &self.coin
    }

    /// Its modules' secrets.
    #[must_use]
    pub fn modules(&self) -> &BTreeMap<ModuleId, Vec<u8>> {
        &self.modules
    }
}

impl Drop for Secrets {
    fn drop(&mut self) {
        self.identity.zeroize();
        self.coin.zeroize();
        self.modules.values_mut().for_each(Zeroize::zeroize);
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets(of {})", self.identity().public())
    }
}

/// Why secrets cannot be had from a file. Nothing of what is secret is in it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SecretsError {
    /// Not such a file, or one that was damaged where it shows at once.
    #[error("the secrets cannot be read: {0}. Restore the file from the backup")]
    Malformed(String),
    /// A layout of a later version of this software.
    #[error("the secrets have layout {0}, this version knows {VERSION}. Use the version that wrote them, or a later one")]
    Newer(u32),
    /// Some bytes are not those that were written.
    #[error("the secrets are damaged: the checksum is wrong. Restore the file from the backup")]
    Damaged,
    /// The secrets of a guardian of another federation.
    #[error("the secrets are for federation {found}, the configuration is of {expected}. Use files of one federation")]
    OtherFederation {
        /// Where they belong.
        found: FederationId,
        /// Where they were to be used.
        expected: FederationId,
    },
    /// The cost is out of all bounds.
    #[error("the secrets ask for {memory_kib} KiB of memory, {passes} passes and {lanes} lanes to be opened, which is out of bounds",
        memory_kib = .0.memory_kib, passes = .0.passes, lanes = .0.lanes)]
    Cost(Cost),
    /// No passphrase.
    #[error("the passphrase is empty")]
    EmptyPassphrase,
    /// The passphrase is another.
    #[error("the passphrase is wrong")]
    Passphrase,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed {
    version: u32,
    federation: FederationId,
    argon2id: Cost,
    #[serde(with = "hex_array")]
    salt: [u8; 16],
    #[serde(with = "hex_array")]
    nonce: [u8; 12],
    #[serde(with = "hex_bytes")]
    chacha20poly1305: Vec<u8>,
    #[serde(with = "hex_array")]
    checksum: [u8; 32],
}

impl Sealed {
    /// All that is readable: authenticated, not encrypted.
    fn header(&self) -> [u8; 32] {
        Tagged::new("guildmint/secrets")
            .add(self.version.to_le_bytes())
            .add(self.federation)
            .add(self.argon2id.memory_kib.to_le_bytes())
            .add(self.argon2id.passes.to_le_bytes())
            .add(self.argon2id.lanes.to_le_bytes())
            .add(self.salt)
            .add(self.nonce)
            .finish()
    }

    fn expected_checksum(&self) -> [u8; 32] {
        Tagged::new("guildmint/secrets/checksum")
            .add(self.header())
            .add(&self.chacha20poly1305)
            .finish()
    }

    fn cipher(&self, passphrase: &str) -> Result<ChaCha20Poly1305, SecretsError> {
        let cost = self.argon2id;
        if passphrase.is_empty() {
            return Err(SecretsError::EmptyPassphrase);
        }
        if !cost.is_sane() {
            return Err(SecretsError::Cost(cost));
        }
        let mut key = Zeroizing::new([0; 32]);
        Params::new(cost.memory_kib, cost.passes, cost.lanes, Some(key.len()))
            .and_then(|params| {
                Argon2::new(Algorithm::Argon2id, Version::V0x13, params).hash_password_into(
                    passphrase.as_bytes(),
                    &self.salt,
                    &mut key[..],
                )
            })
            .map_err(|_| SecretsError::Cost(cost))?;
        Ok(ChaCha20Poly1305::new((&*key).into()))
    }
}

/// Encrypts secrets: the contents of a file.
///
/// # Errors
/// If the passphrase is empty or the cost out of bounds.
pub fn seal(
    secrets: &Secrets,
    federation: FederationId,
    passphrase: &str,
    cost: Cost,
    rng: &mut (impl RngCore + CryptoRng),
) -> Result<String, SecretsError> {
    let plain = Zeroizing::new(secrets.encode());
    seal_bytes(&plain, federation, passphrase, cost, rng)
}

/// Encrypts other bytes in the same way.
///
/// # Errors
/// If the passphrase is empty or the cost out of bounds.
pub fn seal_bytes(
    plain: &[u8],
    federation: FederationId,
    passphrase: &str,
    cost: Cost,
    rng: &mut (impl RngCore + CryptoRng),
) -> Result<String, SecretsError> {
    let mut sealed = Sealed {
        version: VERSION,
        federation,
        argon2id: cost,
        salt: [0; 16],
        nonce: [0; 12],
        chacha20poly1305: Vec::new(),
        checksum: [0; 32],
    };
    rng.fill_bytes(&mut sealed.salt);
    rng.fill_bytes(&mut sealed.nonce);
    let payload = Payload {
        msg: plain,
        aad: &sealed.header(),
    };
    let cipher = sealed.cipher(passphrase)?;
    sealed.chacha20poly1305 = cipher
        .encrypt((&sealed.nonce).into(), payload)
        .map_err(|_| SecretsError::Malformed("too long".into()))?;
    sealed.checksum = sealed.expected_checksum();
    let text = serde_json::to_string_pretty(&sealed)
        .map_err(|error| SecretsError::Malformed(error.to_string()))?;
    Ok(text + "\n")
}

/// Decrypts secrets of a guardian of `federation` from the contents of a file.
///
/// # Errors
/// Says whether the file, the passphrase or the federation is wrong.
pub fn open(
    text: &str,
    federation: FederationId,
    passphrase: &str,
) -> Result<Secrets, SecretsError> {
    let plain = open_bytes(text, federation, passphrase)?;
    Secrets::decode(&plain).map_err(|error| SecretsError::Malformed(error.to_string()))
}

/// Decrypts what [`seal_bytes`] encrypted.
///
/// # Errors
/// Says whether the file, the passphrase or the federation is wrong.
pub fn open_bytes(
    text: &str,
    federation: FederationId,
    passphrase: &str,
) -> Result<Zeroizing<Vec<u8>>, SecretsError> {
    let malformed = |error: &dyn fmt::Display| SecretsError::Malformed(error.to_string());
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    let Versioned { version } = serde_json::from_str(text).map_err(|error| malformed(&error))?;
    if version != VERSION {
        return Err(SecretsError::Newer(version));
    }
    let sealed: Sealed = serde_json::from_str(text).map_err(|error| malformed(&error))?;
    if sealed.checksum != sealed.expected_checksum() {
        return Err(SecretsError::Damaged);
    }
    if sealed.federation != federation {
        return Err(SecretsError::OtherFederation {
            found: sealed.federation,
            expected: federation,
        });
    }
    let payload = Payload {
        msg: &sealed.chacha20poly1305,
        aad: &sealed.header(),
    };
    sealed
        .cipher(passphrase)?
        .decrypt((&sealed.nonce).into(), payload)
        .map(Zeroizing::new)
        .map_err(|_| SecretsError::Passphrase)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use rand_chacha::{rand_core::SeedableRng, ChaCha20Rng};

    use super::*;

    const FEDERATION: FederationId = FederationId([3; 32]);

    fn secrets() -> Secrets {
        let identity = IdentityKey::from_seed(&[0xab; 32]);
        let modules = BTreeMap::from([(ModuleId(0), vec![0xcd; 40])]);
        Secrets::new(&identity, vec![0xef; 32], modules)
    }

    fn sealed() -> String {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        seal(
            &secrets(),
            FEDERATION,
            "correct horse",
            Cost::CHEAP,
            &mut rng,
        )
        .unwrap()
    }

    #[test]
    fn the_passphrase_opens_the_secrets() {
        let opened = open(&sealed(), FEDERATION, "correct horse");
        assert_eq!(opened, Ok(secrets()));
    }

    #[test]
    fn what_is_sealed_does_not_show() {
        for shown in [sealed(), format!("{:?}", secrets())] {
            for byte in ["ab", "cd", "ef"] {
                assert!(!shown.contains(&byte.repeat(8)), "{shown}");
            }
        }
    }

    #[test]
    fn every_failure_says_what_is_wrong() {
        let text = sealed();
        let wrong = open(&text, FEDERATION, "battery staple");
        assert_eq!(wrong, Err(SecretsError::Passphrase));
        assert_eq!(
            open(&text, FEDERATION, ""),
            Err(SecretsError::EmptyPassphrase)
        );
        let elsewhere = open(&text, FederationId([4; 32]), "correct horse");
        assert!(matches!(
            elsewhere,
            Err(SecretsError::OtherFederation { .. })
        ));
        let newer = text.replace("\"version\": 1", "\"version\": 2");
        let newer = open(&newer, FEDERATION, "correct horse");
        assert_eq!(newer, Err(SecretsError::Newer(2)));
        let cut = open(&text[..text.len() / 2], FEDERATION, "correct horse");
        assert!(matches!(cut, Err(SecretsError::Malformed(_))));
    }

    #[test]
    fn no_change_of_a_digit_goes_unnoticed() {
        let text = sealed();
        for place in 0..text.len() {
            let digit = text.as_bytes()[place];
            if digit.is_ascii_hexdigit() && !digit.is_ascii_uppercase() {
                let mut changed = text.clone().into_bytes();
                changed[place] = if digit == b'1' { b'2' } else { b'1' };
                let changed = String::from_utf8(changed).unwrap();
                let opened = open(&changed, FEDERATION, "correct horse");
                assert!(opened.is_err(), "place {place}");
            }
        }
    }

    #[test]
    fn a_file_cannot_exhaust_the_machine() {
        let greedy = Cost {
            memory_kib: u32::MAX,
            ..Cost::CHEAP
        };
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let sealed = seal(&secrets(), FEDERATION, "correct horse", greedy, &mut rng);
        assert_eq!(sealed, Err(SecretsError::Cost(greedy)));
    }
}
