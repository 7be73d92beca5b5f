//! What a node is started with, and how that is checked.

use std::collections::BTreeMap;
use std::fmt;
use std::io;

use guildmint_core::{PeerId, Quorum, QuorumError};
use libp2p::core::transport::TransportError;
use libp2p::identity::{ed25519, Keypair, PublicKey};
use libp2p::Multiaddr;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::transport::Endpoint;

/// libp2p's name of a node: the hash of its public key.
pub(crate) type NetId = libp2p::PeerId;

/// Everything a guardian's network needs to know.
pub struct NetworkConfig {
    /// The secret of this guardian's Ed25519 identity.
    pub identity_seed: Zeroizing<[u8; 32]>,
    /// What the guardians agree on. A node with another one cannot connect (SPEC NET-1, SET-4).
    pub session_id: [u8; 32],
    /// Which of `guardians` this is.
    pub me: PeerId,
    /// A random number, another at each start: by it others notice two processes with the same secrets (SPEC NET-6).
    pub instance: [u8; 16],
    /// All guardians in the order of their indices, this one included.
    pub guardians: Vec<GuardianAddress>,
    /// Where to listen, such as `/ip4/0.0.0.0/tcp/8173`; port 0 means any free one. May be empty: a node that only dials.
    pub listen: Vec<String>,
}

impl fmt::Debug for NetworkConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NetworkConfig")
            .field("me", &self.me)
            .field("guardians", &self.guardians)
            .field("listen", &self.listen)
            .finish_non_exhaustive()
    }
}

/// How to recognise a guardian, and where it may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuardianAddress {
    /// Its Ed25519 public key.
    pub identity: [u8; 32],
    /// Multiaddresses to try, all at once; none if it will dial us.
    pub addresses: Vec<String>,
}

/// An address that cannot be dialled.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{address}` is not an address of a guardian: write /ip4, /ip6, /dns, /dns4 or /dns6, then /tcp, as in /dns4/mint.example/tcp/8173")]
pub struct AddressError {
    /// The address as given.
    pub address: String,
}

/// Why a network could not be started.
#[derive(Debug, Error)]
pub enum StartError {
    /// There cannot be so many guardians.
    #[error(transparent)]
    Guardians(#[from] QuorumError),
    /// `me` is not among the guardians.
    #[error("{me} is not among the {guardians} guardians of the config")]
    NotAGuardian {
        /// The index given.
        me: PeerId,
        /// How many guardians there are.
        guardians: usize,
    },
    /// The secret belongs to another public key than the config has for `me`.
    #[error("the identity secret is not that of {me}: this is another guardian's secret or another federation's config")]
    NotMyIdentity {
        /// The index given.
        me: PeerId,
    },
    /// A guardian's public key is not one.
    #[error("the identity of {peer} is not an Ed25519 public key")]
    InvalidIdentity {
        /// The guardian.
        peer: PeerId,
    },
    /// Two guardians have the same key.
    #[error("{first} and {second} have the same identity; every guardian needs its own")]
    SameIdentity {
        /// The one.
        first: PeerId,
        /// The other.
        second: PeerId,
    },
    /// An address of a guardian or to listen on is of no use.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The system does not let us listen.
    #[error("cannot listen on {address}: {source}; free it, or configure another listen address")]
    Listen {
        /// The address as given.
        address: String,
        /// What the system says.
        source: io::Error,
    },
    /// The network library refused its configuration.
    #[error("the network cannot be set up: {0}")]
    Setup(String),
}

/// The public key that belongs to an identity's secret.
#[must_use]
pub fn public_key(identity_seed: &[u8; 32]) -> [u8; 32] {
    let mut seed = Zeroizing::new(*identity_seed);
    // The only way for this to fail is a seed of another length.
    ed25519::SecretKey::try_from_bytes(&mut seed[..])
        .map(|secret| ed25519::Keypair::from(secret).public().to_bytes())
        .unwrap_or_default()
}

/// A checked config.
pub(crate) struct Roster {
    pub(crate) keypair: Keypair,
    pub(crate) me: PeerId,
    pub(crate) quorum: Quorum,
    /// The others, by libp2p's name.
    pub(crate) others: BTreeMap<NetId, PeerId>,
    pub(crate) addresses: BTreeMap<PeerId, Vec<Multiaddr>>,
    pub(crate) listen: Vec<Multiaddr>,
}

impl Roster {
    pub(crate) fn check(config: &NetworkConfig) -> Result<Self, StartError> {
        let me = config.me;
        let guardians = config.guardians.len();
        let quorum = Quorum::new(u16::try_from(guardians).unwrap_or(u16::MAX))?;
        let mine = config
            .guardians
            .get(usize::from(me.0))
            .ok_or(StartError::NotAGuardian { me, guardians })?;
        if mine.identity != public_key(&config.identity_seed) {
            return Err(StartError::NotMyIdentity { me });
        }
        let mut seed = Zeroizing::new(*config.identity_seed);
        let keypair = Keypair::ed25519_from_bytes(&mut seed[..])
            .map_err(|error| StartError::Setup(error.to_string()))?;

        let mut ids = BTreeMap::new();
        let mut addresses = BTreeMap::new();
        for (peer, guardian) in quorum.peers().zip(&config.guardians) {
            if let Some(first) = ids.insert(net_id(peer, guardian)?, peer) {
                let second = peer;
                return Err(StartError::SameIdentity { first, second });
            }
            addresses.insert(peer, parse_addresses(&guardian.addresses)?);
        }
        ids.retain(|_, peer| *peer != me);
        addresses.remove(&me);
        Ok(Self {
            keypair,
            me,
            quorum,
            others: ids,
            addresses,
            listen: parse_addresses(&config.listen)?,
        })
    }
}

fn net_id(peer: PeerId, guardian: &GuardianAddress) -> Result<NetId, StartError> {
    ed25519::PublicKey::try_from_bytes(&guardian.identity)
        .map(|key| PublicKey::from(key).to_peer_id())
        .map_err(|_| StartError::InvalidIdentity { peer })
}

/// Whether guardians can be looked for at an address.
///
/// # Errors
/// Says how addresses are written.
pub fn check_address(address: &str) -> Result<(), AddressError> {
    parse_addresses(&[address.to_owned()]).map(drop)
}

/// Reads addresses that can be dialled.
pub(crate) fn parse_addresses(texts: &[String]) -> Result<Vec<Multiaddr>, AddressError> {
    let parse = |text: &String| {
        let address = text.parse().ok();
        address
            .filter(|address| Endpoint::parse(address).is_some())
            .ok_or_else(|| AddressError {
                address: text.clone(),
            })
    };
    texts.iter().map(parse).collect()
}

/// Why `address` cannot be listened on.
pub(crate) fn listen_error(address: &Multiaddr, error: TransportError<io::Error>) -> StartError {
    let address = address.to_string();
    match error {
        TransportError::Other(source) => StartError::Listen { address, source },
        TransportError::MultiaddrNotSupported(_) => StartError::Listen {
            address,
            source: io::Error::new(io::ErrorKind::Unsupported, "a name is not an interface"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(n: u8) -> NetworkConfig {
        let guardian = |i| GuardianAddress {
            identity: public_key(&[i; 32]),
            addresses: vec![format!("/dns4/guardian-{i}.example/tcp/8173")],
        };
        NetworkConfig {
            identity_seed: Zeroizing::new([1; 32]),
            session_id: [0; 32],
            me: PeerId(1),
            instance: [0; 16],
            guardians: (0..n).map(guardian).collect(),
            listen: vec!["/ip6/::/tcp/0".into()],
        }
    }

    fn refusal(config: &NetworkConfig) -> String {
        Roster::check(config).err().unwrap().to_string()
    }

    #[test]
    fn a_sound_config_names_the_others() {
        let roster = Roster::check(&config(4)).ok().unwrap();
        let others: Vec<_> = roster.addresses.into_keys().collect();
        assert_eq!(others, [PeerId(0), PeerId(2), PeerId(3)]);
        assert_eq!(roster.others.len(), 3);
    }

    #[test]
    fn every_mistake_is_named() {
        assert!(refusal(&config(1)).contains("guardian 1 is not among the 1"));
        assert!(refusal(&config(21)).contains("21"));

        let mut other_secret = config(4);
        other_secret.identity_seed = Zeroizing::new([2; 32]);
        assert!(refusal(&other_secret).contains("not that of guardian 1"));

        let mut twins = config(4);
        twins.guardians[3] = twins.guardians[0].clone();
        assert!(refusal(&twins).contains("guardian 0 and guardian 3"));

        let mut typo = config(4);
        typo.guardians[2].addresses = vec!["mint.example:8173".into()];
        assert!(refusal(&typo).contains("`mint.example:8173`"));
    }

    #[test]
    fn an_identity_must_be_a_point() {
        let mut config = config(4);
        config.guardians[0].identity = [2; 32];
        assert!(refusal(&config).contains("guardian 0"));
    }

    #[test]
    fn the_secret_is_not_shown() {
        assert!(!format!("{:?}", config(4)).contains("seed"));
    }
}
