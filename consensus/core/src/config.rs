//! What a federation is: its genesis config, hashed into its name, and the invite code that carries the name.

use std::{collections::BTreeMap, fmt, str::FromStr};

use bitcoin::Network;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    encoding::{hex_bytes, DecodeError, Wire},
    hash::{FederationId, SessionId, Tagged},
    identity::IdentityPublicKey,
    limits,
    text_code::{self, TextCodeError},
    ModuleId, PeerId, Quorum, QuorumError,
};

/// All keys and parameters that the guardians agreed on when they founded the federation. Immutable: its hash is the
/// [`FederationId`] (SPEC GEN-6). It binds keys, not addresses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Wire)]
#[wire(version = 1, max_bytes = limits::MAX_CONFIG_BYTES)]
pub struct GenesisConfig {
    /// What the federation calls itself. Hostile text: clean it before printing.
    pub name: String,
    /// The meeting at which it was founded.
    pub session: SessionId,
    /// The bitcoin network.
    pub network: Network,
    /// The guardians, in the order of their identity keys (SPEC GEN-2).
    pub guardians: Vec<GuardianKeys>,
    /// Public keys of the threshold coin, in the agreement's own encoding.
    #[serde(with = "hex_bytes")]
    pub coin: Vec<u8>,
    /// Least time from the end of an epoch to a guardian's next contribution, in milliseconds (SPEC EPO-7).
    pub epoch_floor_ms: u32,
    /// The modules, each with its own config.
    pub modules: BTreeMap<ModuleId, ModuleConfig>,
}

/// What never changes about a guardian.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuardianKeys {
    /// What the guardian calls itself. Hostile text.
    pub name: String,
    /// The key that authenticates its connections and signatures.
    pub identity: IdentityPublicKey,
}

/// A module as the genesis config names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModuleConfig {
    /// Which module software reads it, such as `mint`.
    pub kind: String,
    /// The module's own encoding of its parameters and public keys.
    #[serde(with = "hex_bytes")]
    pub config: Vec<u8>,
}

/// A genesis config that no federation can have.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// Too few or too many guardians.
    #[error(transparent)]
    Quorum(#[from] QuorumError),
    /// Identity keys that are not strictly ascending: the same key twice, or an order in which indices would differ.
    #[error("the identity keys of guardians are not in strictly ascending order")]
    GuardianOrder,
}

impl GenesisConfig {
    /// The federation's name.
    #[must_use]
    pub fn id(&self) -> FederationId {
        FederationId(
            Tagged::new("guildmint/genesis")
                .field(self.encode())
                .finish(),
        )
    }

    /// The numbers of this federation.
    ///
    /// # Errors
    /// If there are too few or too many guardians.
    pub fn quorum(&self) -> Result<Quorum, QuorumError> {
        Quorum::new(u16::try_from(self.guardians.len()).unwrap_or(u16::MAX))
    }

    /// Checks what decoding cannot.
    ///
    /// # Errors
    /// If no federation can have this config.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.quorum()?;
        let ascending = |pair: &[GuardianKeys]| pair[0].identity < pair[1].identity;
        if !self.guardians.windows(2).all(ascending) {
            return Err(ConfigError::GuardianOrder);
        }
        Ok(())
    }

    /// The identity key of a guardian.
    #[must_use]
    pub fn identity(&self, peer: PeerId) -> Option<&IdentityPublicKey> {
        Some(&self.guardians.get(usize::from(peer.0))?.identity)
    }

    /// The first module of a kind, with its number.
    #[must_use]
    pub fn module(&self, kind: &str) -> Option<(ModuleId, &ModuleConfig)> {
        self.modules
            .iter()
            .find(|(_, module)| module.kind == kind)
            .map(|(id, module)| (*id, module))
    }
}

/// What a wallet needs to join: the federation's name, and where to ask for the genesis config that hashes to it
/// (SPEC GEN-7). Written in bech32m, `guild1…`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Wire)]
#[wire(version = 1, max_bytes = limits::MAX_INVITE_CHARS)]
pub struct InviteCode {
    /// The federation.
    pub federation: FederationId,
    /// API URLs of some guardians, by default f + 1.
    pub apis: BTreeMap<PeerId, String>,
}

const INVITE_PREFIX: &str = "guild";

impl fmt::Display for InviteCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        text_code::write(f, INVITE_PREFIX, &self.encode())
    }
}

/// Why text is not an invite code.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ParseInviteError {
    /// A typing error or a code that was cut off.
    #[error("the invite code is damaged ({0}); copy it again, from `guild1` to its end")]
    Checksum(String),
    /// Some other bech32 string.
    #[error("this is a `{0}…` string; an invite code starts with `guild1`")]
    OtherKind(String),
    /// An intact code of other contents.
    #[error("the invite code cannot be read: {0}")]
    Contents(#[from] DecodeError),
    /// A code that names no guardian to ask.
    #[error("the invite code names no guardian; ask for another")]
    NoGuardian,
}

impl FromStr for InviteCode {
    type Err = ParseInviteError;

    fn from_str(text: &str) -> Result<Self, ParseInviteError> {
        let bytes = text_code::read(INVITE_PREFIX, text, limits::MAX_INVITE_CHARS);
        let bytes = bytes.map_err(|error| match error {
            TextCodeError::Damaged(problem) => ParseInviteError::Checksum(problem),
            TextCodeError::OtherKind(prefix) => ParseInviteError::OtherKind(prefix),
        })?;
        let invite = Self::decode(&bytes)?;
        if invite.apis.is_empty() {
            return Err(ParseInviteError::NoGuardian);
        }
        Ok(invite)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invite() -> InviteCode {
        InviteCode {
            federation: FederationId([7; 32]),
            apis: (0..7)
                .map(|peer| {
                    (
                        PeerId(peer),
                        format!("https://guardian-{peer}.example.org/api"),
                    )
                })
                .collect(),
        }
    }

    #[test]
    fn invite_code_round_trip() {
        let text = invite().to_string();
        assert!(text.starts_with("guild1"));
        assert_eq!(text.parse(), Ok(invite()));
        assert_eq!(text.to_uppercase().parse(), Ok(invite()));
    }

    #[test]
    fn invite_code_errors_say_what_is_wrong() {
        let text = invite().to_string();
        let cut = &text[..text.len() - 1];
        assert!(matches!(
            cut.parse::<InviteCode>(),
            Err(ParseInviteError::Checksum(_))
        ));
        let mut other = String::new();
        text_code::write(&mut other, "bc", &[0; 20]).unwrap();
        assert_eq!(
            other.parse::<InviteCode>(),
            Err(ParseInviteError::OtherKind("bc".into()))
        );
        let mut long = invite();
        long.apis.insert(PeerId(9), "x".repeat(7_000));
        assert!(matches!(
            long.to_string().parse::<InviteCode>(),
            Err(ParseInviteError::Checksum(_))
        ));
        let nobody = InviteCode {
            apis: BTreeMap::new(),
            ..invite()
        };
        assert_eq!(
            nobody.to_string().parse::<InviteCode>(),
            Err(ParseInviteError::NoGuardian)
        );
    }

    #[test]
    fn guardians_must_be_in_order() {
        let guardian = |byte| GuardianKeys {
            name: String::new(),
            identity: IdentityPublicKey([byte; 32]),
        };
        let mut config = GenesisConfig {
            name: "test".into(),
            session: SessionId([1; 32]),
            network: Network::Regtest,
            guardians: vec![guardian(1), guardian(2)],
            coin: vec![],
            epoch_floor_ms: 50,
            modules: BTreeMap::new(),
        };
        assert_eq!(config.validate(), Ok(()));
        let id = config.id();
        assert_eq!(GenesisConfig::decode(&config.encode()).unwrap().id(), id);
        config.guardians.swap(0, 1);
        assert_eq!(config.validate(), Err(ConfigError::GuardianOrder));
        config.guardians.clear();
        assert_eq!(config.validate(), Err(ConfigError::Quorum(QuorumError(0))));
    }
}
