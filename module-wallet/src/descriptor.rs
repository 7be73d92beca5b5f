//! The federation's addresses: `wsh(sortedmulti(t, …))` over tweaked keys, perhaps with a second way to spend (SPEC WAL-1).

use std::collections::BTreeSet;

use bitcoin::{Address, Network, PublicKey, ScriptBuf, Weight};
use guildmint_core::Quorum;
use miniscript::{descriptor::Wsh, Miniscript, Segwitv0};
use thiserror::Error;

use crate::{
    config::RecoveryBranch,
    tweak::{tweak_public, Tweak, TweakError},
};

/// Weight of an input before anything satisfies it: outpoint, empty script, sequence, and its empty witness's count.
pub const INPUT_BASE_WEIGHT: u64 = 4 * (36 + 1 + 4) + 1;

/// The guardians' keys and how many of them must sign: a descriptor with a place for a tweak.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FederationDescriptor {
    keys: Vec<bitcoin::secp256k1::PublicKey>,
    threshold: usize,
    recovery: Option<RecoveryBranch>,
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
        recovery: Option<&RecoveryBranch>,
    ) -> Result<Self, DescriptorError> {
        let mut descriptor = Self {
            keys: keys.to_vec(),
            threshold: quorum.threshold(),
            recovery: recovery.cloned(),
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
        let Some(recovery) = &self.recovery else {
            return Wsh::new_sortedmulti(self.threshold, keys).map_err(|error| self.unfit(error));
        };
        // `sortedmulti` exists only alone.
        let sorted: BTreeSet<String> = keys.iter().map(ToString::to_string).collect();
        let list = |keys: Vec<String>| keys.join(",");
        let script = format!(
            "or_d(multi({},{}),and_v(v:older({}),multi({},{})))",
            self.threshold,
            list(sorted.into_iter().collect()),
            recovery.after_blocks,
            recovery.threshold,
            list(recovery.keys.iter().map(ToString::to_string).collect()),
        );
        let script: Miniscript<PublicKey, Segwitv0> =
            script.parse().map_err(|error| self.unfit(error))?;
        Wsh::new(script).map_err(|error| self.unfit(error))
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
            let descriptor =
                FederationDescriptor::new(&keys(n), Quorum::new(n.into()).unwrap(), None);
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
            let descriptor = FederationDescriptor::new(keys, quorum, None).unwrap();
            descriptor.script_pubkey(&Tweak([3; 32])).unwrap()
        };
        let (forward, mut backward) = (keys(4), keys(4));
        backward.reverse();
        assert_eq!(script(&forward), script(&backward));
    }

    #[test]
    fn refuses_a_number_of_keys_that_is_not_that_of_guardians() {
        let error = FederationDescriptor::new(&keys(3), Quorum::new(4).unwrap(), None).unwrap_err();
        assert!(matches!(error, DescriptorError::Keys { keys: 3, .. }));
    }

    #[test]
    fn a_recovery_branch_is_part_of_every_address_and_costs_little() {
        let quorum = Quorum::new(4).unwrap();
        let mut branch = RecoveryBranch {
            after_blocks: 52_560,
            threshold: 2,
            keys: keys(7)[4..].to_vec(),
        };
        let plain = FederationDescriptor::new(&keys(4), quorum, None).unwrap();
        let with = FederationDescriptor::new(&keys(4), quorum, Some(&branch)).unwrap();
        let tweak = Tweak([3; 32]);
        let text = with.tweaked(&tweak).unwrap().to_string();
        assert!(text.contains("older(52560)"), "{text}");
        assert_ne!(plain.script_pubkey(&tweak), with.script_pubkey(&tweak));
        let more = with.input_weight().to_wu() - plain.input_weight().to_wu();
        assert!(more < 150, "{more}");
        branch.after_blocks = 0;
        assert!(FederationDescriptor::new(&keys(4), quorum, Some(&branch)).is_err());
    }
}
