//! The federation's addresses: `wsh(sortedmulti(t, …))` over tweaked keys (SPEC WAL-1).

use bitcoin::{Address, Network, PublicKey, ScriptBuf, Weight};
use guildmint_core::Quorum;
use miniscript::descriptor::Wsh;
use thiserror::Error;

use crate::tweak::{tweak_public, Tweak, TweakError};

/// Weight of an input before anything satisfies it: outpoint, empty script, sequence, and its empty witness's count.
pub const INPUT_BASE_WEIGHT: u64 = 4 * (36 + 1 + 4) + 1;

/// The guardians' keys and how many of them must sign: a descriptor with a place for a tweak.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FederationDescriptor {
    keys: Vec<bitcoin::secp256k1::PublicKey>,
    threshold: usize,
    input_weight: u64,
}

/// Keys that make no descriptor.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DescriptorError {
    /// See [`TweakError`].
    #[error(transparent)]
    Tweak(#[from] TweakError),
    /// Too many keys, or not as many as there are guardians.
    #[error("{keys} keys make no descriptor of {threshold} signatures: {problem}")]
    Keys {
        /// How many keys there are.
        keys: usize,
        /// How many must sign.
        threshold: usize,
        /// What miniscript says.
        problem: String,
    },
}

impl FederationDescriptor {
    /// The descriptor of these guardians, in their order.
    ///
    /// # Errors
    /// If there are too many or too few keys.
    pub fn new(
        keys: &[bitcoin::secp256k1::PublicKey],
        quorum: Quorum,
    ) -> Result<Self, DescriptorError> {
        let mut descriptor = Self {
            keys: keys.to_vec(),
            threshold: quorum.threshold(),
            input_weight: 0,
        };
        if keys.len() != quorum.guardians() {
            return Err(descriptor.unfit(format!("there are {} guardians", quorum.guardians())));
        }
        let untweaked = descriptor.wsh(keys.iter().copied().map(PublicKey::new).collect())?;
        let witness = untweaked
            .max_weight_to_satisfy()
            .map_err(|error| descriptor.unfit(error))?;
        descriptor.input_weight = INPUT_BASE_WEIGHT + witness.to_wu();
        Ok(descriptor)
    }

    fn unfit(&self, problem: impl ToString) -> DescriptorError {
        DescriptorError::Keys {
            keys: self.keys.len(),
            threshold: self.threshold,
            problem: problem.to_string(),
        }
    }

    fn wsh(&self, keys: Vec<PublicKey>) -> Result<Wsh<PublicKey>, DescriptorError> {
        Wsh::new_sortedmulti(self.threshold, keys).map_err(|error| self.unfit(error))
    }

    /// The guardians' keys for one tweak, in the guardians' order.
    ///
    /// # Errors
    /// If the tweak gives no key, which does not happen.
    pub fn keys(&self, tweak: &Tweak) -> Result<Vec<PublicKey>, TweakError> {
        let tweaked = |key| tweak_public(key, tweak).map(PublicKey::new);
        self.keys.iter().map(tweaked).collect()
    }

    /// The descriptor for one tweak.
    ///
    /// # Errors
    /// If the tweak gives no key, which does not happen.
    pub fn tweaked(&self, tweak: &Tweak) -> Result<Wsh<PublicKey>, DescriptorError> {
        self.wsh(self.keys(tweak)?)
    }

    /// The output script for one tweak.
    ///
    /// # Errors
    /// If the tweak gives no key, which does not happen.
    pub fn script_pubkey(&self, tweak: &Tweak) -> Result<ScriptBuf, DescriptorError> {
        Ok(self.tweaked(tweak)?.script_pubkey())
    }

    /// The address for one tweak.
    ///
    /// # Errors
    /// If the tweak gives no key, which does not happen.
    pub fn address(&self, tweak: &Tweak, network: Network) -> Result<Address, DescriptorError> {
        Ok(self.tweaked(tweak)?.address(network))
    }

    /// How many guardians must sign.
    #[must_use]
    pub fn threshold(&self) -> usize {
        self.threshold
    }

    /// The most that a signed input can weigh: the same for every tweak.
    #[must_use]
    pub fn input_weight(&self) -> Weight {
        Weight::from_wu(self.input_weight)
    }
}

#[cfg(test)]
mod tests {
    use bitcoin::secp256k1::SecretKey;
    use secp256k1::SECP256K1;

    use super::*;

    fn keys(n: u8) -> Vec<bitcoin::secp256k1::PublicKey> {
        let key = |byte| SecretKey::from_slice(&[byte; 32]).unwrap();
        (1..=n)
            .map(|byte| key(byte).public_key(SECP256K1))
            .collect()
    }

    #[test]
    fn every_size_of_federation_has_an_address() {
        for n in 1..=20 {
            let descriptor = FederationDescriptor::new(&keys(n), Quorum::new(n.into()).unwrap());
            let descriptor = descriptor.unwrap();
            let address = descriptor
                .address(&Tweak([3; 32]), Network::Regtest)
                .unwrap();
            assert!(address.to_string().starts_with("bcrt1q"));
            assert!(descriptor.input_weight().to_wu() < 2_000);
        }
    }

    #[test]
    fn the_order_of_guardians_does_not_change_the_address() {
        let quorum = Quorum::new(4).unwrap();
        let script = |keys: &[_]| {
            let descriptor = FederationDescriptor::new(keys, quorum).unwrap();
            descriptor.script_pubkey(&Tweak([3; 32])).unwrap()
        };
        let (forward, mut backward) = (keys(4), keys(4));
        backward.reverse();
        assert_eq!(script(&forward), script(&backward));
    }

    #[test]
    fn refuses_a_number_of_keys_that_is_not_that_of_guardians() {
        let error = FederationDescriptor::new(&keys(3), Quorum::new(4).unwrap()).unwrap_err();
        assert!(matches!(error, DescriptorError::Keys { keys: 3, .. }));
    }
}
