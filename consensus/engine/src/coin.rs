//! Keys of the threshold coin that decides binary agreements when votes are split.

pub mod ceremony;

use std::{collections::BTreeMap, fmt, sync::Arc};

use guildmint_core::{encoding, DecodeError, PeerId, Quorum};
use hbbft::{
    crypto::{serde_impl::SerdeSecret, PublicKeySet, SecretKey, SecretKeyShare},
    NetworkInfo,
};
use thiserror::Error;
use zeroize::Zeroizing;

/// A guardian's share of the coin, with the public keys of all.
#[derive(Clone)]
pub struct Coin {
    info: Arc<NetworkInfo<PeerId>>,
    quorum: Quorum,
}

/// Coin keys that do not fit the federation or each other.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CoinError {
    /// The public keys do not decode.
    #[error("the coin's public keys cannot be read: {0}")]
    Public(DecodeError),
    /// The secret share does not decode. It is not shown.
    #[error("the coin's secret share cannot be read")]
    Secret,
    /// The keys are for another threshold: any `have` guardians would be needed to toss the coin.
    #[error("the coin has {have} coefficients where the federation needs {need}")]
    Threshold {
        /// Coefficients of the key polynomial.
        have: u64,
        /// f + 1.
        need: u64,
    },
    /// The secret share belongs to another guardian or another federation.
    #[error("the coin's secret share is not that of {0}")]
    OtherShare(PeerId),
}

impl Coin {
    /// Puts together the coin of guardian `me`.
    ///
    /// # Errors
    /// If the keys do not decode, or do not fit the federation or each other: hbbft itself would not notice.
    pub fn new(
        quorum: Quorum,
        me: PeerId,
        public: &[u8],
        secret: &[u8],
    ) -> Result<Self, CoinError> {
        // A key set without coefficients decodes and panics when used, so the number is looked at first.
        let have = public
            .get(..8)
            .and_then(|bytes| bytes.try_into().ok())
            .map_or(0, u64::from_le_bytes);
        let need = quorum.one_honest() as u64;
        if have != need {
            return Err(CoinError::Threshold { have, need });
        }
        let public: PublicKeySet = encoding::read(public).map_err(CoinError::Public)?;
        let secret: SerdeSecret<SecretKeyShare> =
            encoding::read(secret).map_err(|_| CoinError::Secret)?;
        let secret = secret.into_inner();
        if secret.public_key_share() != public.public_key_share(usize::from(me.0)) {
            return Err(CoinError::OtherShare(me));
        }
        // Plain binary agreement never uses the guardians' own keys, but hbbft counts guardians by them.
        let unused = SecretKey::default();
        let guardians: BTreeMap<_, _> = quorum
            .peers()
            .map(|peer| (peer, unused.public_key()))
            .collect();
        let info = NetworkInfo::new(me, secret, public, unused, guardians);
        Ok(Self {
            info: Arc::new(info),
            quorum,
        })
    }

    /// The federation's numbers.
    #[must_use]
    pub fn quorum(&self) -> Quorum {
        self.quorum
    }

    /// Whose share it is.
    #[must_use]
    pub fn me(&self) -> PeerId {
        *self.info.our_id()
    }

    pub(crate) fn info(&self) -> Arc<NetworkInfo<PeerId>> {
        Arc::clone(&self.info)
    }
}

impl fmt::Debug for Coin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Coin(of {})", self.me())
    }
}

/// Coin keys for a federation, in the encodings that [`Coin::new`] reads.
pub struct CoinKeys {
    /// The same for all, in the genesis config.
    pub public: Vec<u8>,
    /// One for each guardian, in their order.
    pub secrets: Vec<Zeroizing<Vec<u8>>>,
}

/// Makes the coin's keys as one party that knows them all: for tests only.
#[cfg(feature = "dealer")]
pub fn deal(quorum: Quorum, rng: &mut impl rand06::Rng) -> CoinKeys {
    let set = hbbft::crypto::SecretKeySet::random(quorum.max_faulty(), rng);
    let mut public = Vec::new();
    encoding::write(&mut public, &set.public_keys());
    let secret = |peer: PeerId| {
        let mut bytes = Zeroizing::new(Vec::new());
        encoding::write(
            &mut bytes,
            &SerdeSecret(&set.secret_key_share(usize::from(peer.0))),
        );
        bytes
    };
    CoinKeys {
        public,
        secrets: quorum.peers().map(secret).collect(),
    }
}

#[cfg(all(test, feature = "dealer"))]
mod tests {
    use rand06::SeedableRng;

    use super::*;

    #[test]
    fn keys_must_fit_guardian_and_federation() {
        let mut rng = rand06::rngs::StdRng::seed_from_u64(1);
        let quorum = Quorum::new(4).unwrap();
        let keys = deal(quorum, &mut rng);
        assert!(Coin::new(quorum, PeerId(2), &keys.public, &keys.secrets[2]).is_ok());
        assert_eq!(
            Coin::new(quorum, PeerId(1), &keys.public, &keys.secrets[2]).unwrap_err(),
            CoinError::OtherShare(PeerId(1))
        );
        assert_eq!(
            Coin::new(quorum, PeerId(2), &keys.public, &[1, 2]).unwrap_err(),
            CoinError::Secret
        );
        let seven = deal(Quorum::new(7).unwrap(), &mut rng);
        assert_eq!(
            Coin::new(quorum, PeerId(2), &seven.public, &seven.secrets[2]).unwrap_err(),
            CoinError::Threshold { have: 3, need: 2 }
        );
        assert_eq!(
            Coin::new(quorum, PeerId(2), &[0; 8], &keys.secrets[2]).unwrap_err(),
            CoinError::Threshold { have: 0, need: 2 }
        );
    }
}
