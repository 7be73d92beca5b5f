//! Setup codes: what guardians who want to found a federation give each other beforehand, out of band (SPEC SET-1).

use std::{fmt, str::FromStr};

use guildmint_core::{
    encoding::hex_array,
    text_code::{self, TextCodeError},
    DecodeError, IdentityPublicKey, IdentitySignature, Tagged, Wire,
};
use guildmint_engine::coin::ceremony::{CoinEncryptionKey, CoinKeyProof};
use guildmint_tbs::dkg::{EncryptionKey, ProofOfPossession};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::Seed;

const PREFIX: &str = "guildsetup";

/// Bytes of a guardian's name. A code with a longer one is refused.
pub const MAX_NAME_BYTES: usize = 64;

/// Addresses at which other guardians may look for one. A code with more is refused.
pub const MAX_ADDRESSES: usize = 8;

/// Bytes of an address or URL. A code with a longer one is refused.
pub const MAX_ADDRESS_BYTES: usize = 256;

const MAX_CODE_BYTES: usize = 4 * 1024;

const MAX_CODE_CHARS: usize = 2 * MAX_CODE_BYTES;

/// A guardian's keys and addresses, signed by its identity key: `guildsetup1…`. Public, but take care whose it is: whoever can
/// replace it takes the guardian's place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Wire)]
#[wire(version = 1, max_bytes = MAX_CODE_BYTES)]
pub struct SetupCode {
    /// All but the signature.
    guardian: GuardianCode,
    signature: IdentitySignature,
}

/// What is in a setup code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuardianCode {
    /// What the guardian calls itself. Hostile text.
    pub name: String,
    /// The key that authenticates its connections and signatures.
    pub identity: IdentityPublicKey,
    /// To this key shares of the coin are encrypted.
    pub coin_key: CoinEncryptionKey,
    coin_proof: CoinKeyProof,
    /// To this key shares of the modules' keys are encrypted.
    pub encryption_key: EncryptionKey,
    encryption_proof: ProofOfPossession,
    /// Where other guardians reach it, as multiaddresses.
    pub p2p: Vec<String>,
    /// Where clients will reach it.
    pub api: String,
    #[serde(with = "hex_array")]
    nonce: [u8; 16],
}

/// Why text is not a setup code, or not one that can be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SetupCodeError {
    /// A typing error or a code that was cut off.
    #[error("the setup code is damaged ({0}); copy it again, from `guildsetup1` to its end")]
    Damaged(String),
    /// Some other code.
    #[error("this is a `{0}…` string; a setup code starts with `guildsetup1`")]
    OtherKind(String),
    /// An intact code of other contents.
    #[error("the setup code cannot be read: {0}; perhaps it was made by another version")]
    Contents(#[from] DecodeError),
    /// Whoever made it does not know the secrets of the keys in it.
    #[error("the setup code is forged: {0} does not hold; ask its guardian for a new one")]
    Forged(&'static str),
    /// A name or an address that no code may have.
    #[error("{what} has {bytes} bytes, between {min} and {max} are allowed")]
    Length {
        /// Which.
        what: &'static str,
        /// Its length.
        bytes: usize,
        /// The least that is allowed.
        min: usize,
        /// The most that is allowed.
        max: usize,
    },
    /// Too many addresses, or none.
    #[error("{0} addresses for other guardians, between 1 and {MAX_ADDRESSES} are allowed")]
    Addresses(usize),
}

impl SetupCode {
    /// This guardian's code. The same arguments make the same code.
    ///
    /// # Errors
    /// If name or addresses are too long, or there is no address.
    pub fn new(
        seed: &Seed,
        name: String,
        p2p: Vec<String>,
        api: String,
    ) -> Result<Self, SetupCodeError> {
        let (identity, nonce) = (seed.identity(), seed.nonce());
        let context = possession(identity.public(), nonce);
        let (coin, encryption) = (seed.coin_encryption(), seed.key_encryption());
        let guardian = GuardianCode {
            name,
            identity: identity.public(),
            coin_key: coin.public_key(),
            coin_proof: coin.prove(&context),
            encryption_key: encryption.public_key(),
            encryption_proof: encryption.prove_possession(&context),
            p2p,
            api,
            nonce,
        };
        guardian.check_lengths()?;
        let signature = identity.sign(&guardian.hash());
        Ok(Self {
            guardian,
            signature,
        })
    }

    /// What is in it. A code that was read from text has been checked.
    #[must_use]
    pub fn guardian(&self) -> &GuardianCode {
        &self.guardian
    }

    /// A hash of all of it.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        Tagged::new("guildmint/setup-code")
            .field(self.encode())
            .finish()
    }

    fn check(&self) -> Result<(), SetupCodeError> {
        let guardian = &self.guardian;
        guardian.check_lengths()?;
        let signed = guardian.identity.verify(&guardian.hash(), &self.signature);
        signed.map_err(|_| SetupCodeError::Forged("its signature"))?;
        let context = possession(guardian.identity, guardian.nonce);
        if !guardian.coin_key.verify(&guardian.coin_proof, &context) {
            return Err(SetupCodeError::Forged("the proof of its key for the coin"));
        }
        let key = &guardian.encryption_key;
        if !guardian.encryption_proof.verify(key, &context) {
            return Err(SetupCodeError::Forged("the proof of its encryption key"));
        }
        Ok(())
    }
}

/// What proofs of possession are bound to: a key cannot be put into another guardian's code.
fn possession(identity: IdentityPublicKey, nonce: [u8; 16]) -> [u8; 32] {
    Tagged::new("guildmint/setup-code/possession")
        .add(identity.0)
        .add(nonce)
        .finish()
}

impl GuardianCode {
    fn hash(&self) -> [u8; 32] {
        let mut bytes = Vec::new();
        guildmint_core::encoding::write(&mut bytes, self);
        Tagged::new("guildmint/setup-code/contents")
            .field(bytes)
            .finish()
    }

    fn check_lengths(&self) -> Result<(), SetupCodeError> {
        let length = |what, text: &str, min, max| match text.len() {
            bytes if (min..=max).contains(&bytes) => Ok(()),
            bytes => Err(SetupCodeError::Length {
                what,
                bytes,
                min,
                max,
            }),
        };
        length("the guardian's name", &self.name, 1, MAX_NAME_BYTES)?;
        length("the URL for clients", &self.api, 0, MAX_ADDRESS_BYTES)?;
        if !(1..=MAX_ADDRESSES).contains(&self.p2p.len()) {
            return Err(SetupCodeError::Addresses(self.p2p.len()));
        }
        for address in &self.p2p {
            let what = "an address for other guardians";
            length(what, address, 1, MAX_ADDRESS_BYTES)?;
        }
        Ok(())
    }
}

impl fmt::Display for SetupCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        text_code::write(f, PREFIX, &self.encode())
    }
}

impl FromStr for SetupCode {
    type Err = SetupCodeError;

    fn from_str(text: &str) -> Result<Self, SetupCodeError> {
        let bytes = text_code::read(PREFIX, text, MAX_CODE_CHARS).map_err(|error| match error {
            TextCodeError::Damaged(problem) => SetupCodeError::Damaged(problem),
            TextCodeError::OtherKind(prefix) => SetupCodeError::OtherKind(prefix),
        })?;
        let code = Self::decode(&bytes)?;
        code.check()?;
        Ok(code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code() -> SetupCode {
        let p2p = vec!["/dns4/mint.example/tcp/8173".to_owned()];
        let api = "https://mint.example".to_owned();
        SetupCode::new(&Seed::new([1; 32]), "alice".into(), p2p, api).unwrap()
    }

    #[test]
    fn what_is_written_is_read() {
        let text = code().to_string();
        assert!(text.starts_with("guildsetup1"));
        assert_eq!(text.parse(), Ok(code()));
        assert_eq!(format!("  {}\n", text.to_uppercase()).parse(), Ok(code()));
    }

    #[test]
    fn a_code_with_somebody_elses_key_is_refused() {
        let other = Seed::new([2; 32]);
        let resigned = |change: fn(&mut GuardianCode, &GuardianCode)| {
            let mut mine = code();
            let theirs = SetupCode::new(&other, "mallory".into(), vec!["/x".into()], "".into());
            change(&mut mine.guardian, &theirs.unwrap().guardian);
            mine.signature = Seed::new([1; 32]).identity().sign(&mine.guardian.hash());
            mine.to_string().parse::<SetupCode>()
        };
        let coin = resigned(|mine, theirs| {
            mine.coin_key = theirs.coin_key.clone();
            mine.coin_proof = theirs.coin_proof.clone();
        });
        let expected = SetupCodeError::Forged("the proof of its key for the coin");
        assert_eq!(coin, Err(expected));
        let encryption = resigned(|mine, theirs| {
            mine.encryption_key = theirs.encryption_key;
            mine.encryption_proof = theirs.encryption_proof;
        });
        let expected = SetupCodeError::Forged("the proof of its encryption key");
        assert_eq!(encryption, Err(expected));
    }

    #[test]
    fn a_code_that_is_longer_than_any_is_refused_also_if_its_guardian_signed_it() {
        let mut long = code();
        long.guardian.name = "x".repeat(MAX_NAME_BYTES + 1);
        long.signature = Seed::new([1; 32]).identity().sign(&long.guardian.hash());
        let refused = long.to_string().parse::<SetupCode>();
        assert!(matches!(
            refused,
            Err(SetupCodeError::Length { bytes: 65, .. })
        ));
    }

    #[test]
    fn every_mistake_is_named() {
        let text = code().to_string();
        let cut = text[..text.len() - 3].parse::<SetupCode>();
        assert!(matches!(cut, Err(SetupCodeError::Damaged(_))));
        let mut invite = String::new();
        text_code::write(&mut invite, "guild", &[1, 2]).unwrap();
        let other = invite.parse::<SetupCode>();
        assert_eq!(other, Err(SetupCodeError::OtherKind("guild".into())));
        let mut changed = code();
        changed.guardian.name = "malice".into();
        let forged = changed.to_string().parse::<SetupCode>();
        assert_eq!(forged, Err(SetupCodeError::Forged("its signature")));
        let seed = Seed::new([1; 32]);
        let nowhere = SetupCode::new(&seed, "alice".into(), vec![], String::new());
        assert_eq!(nowhere, Err(SetupCodeError::Addresses(0)));
        let nameless = SetupCode::new(&seed, String::new(), vec!["/x".into()], String::new());
        assert!(matches!(nameless, Err(SetupCodeError::Length { .. })));
    }
}
