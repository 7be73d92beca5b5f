//! The federation's coins without the federation: descriptors that other wallets import (SPEC WAL-9).

use std::collections::{BTreeMap, BTreeSet};

use bitcoin::{secp256k1::PublicKey, PrivateKey};
use guildmint_core::Quorum;
use miniscript::{Descriptor, DescriptorPublicKey};
use secp256k1::SECP256K1;
use thiserror::Error;

use crate::{
    config::{WalletConfig, WalletSecret},
    descriptor::DescriptorError,
    tweak::{tweak_secret, Tweak, TweakError},
};

/// A descriptor of one address of the federation, with the private keys of the guardians whose secrets were given. As secret
/// as these: it is neither shown nor printed, only [told](Self::reveal).
#[derive(Clone, PartialEq, Eq)]
pub struct SpendableDescriptor(String);

impl SpendableDescriptor {
    /// The descriptor as text, with its checksum.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

/// Shows nothing.
impl std::fmt::Debug for SpendableDescriptor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SpendableDescriptor")
    }
}

/// Why there are no descriptors.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RecoveryError {
    /// A secret of another federation.
    #[error(
        "the key {0} is that of no guardian of this federation; give secrets of one federation"
    )]
    NotAGuardian(PublicKey),
    /// See [`DescriptorError`].
    #[error(transparent)]
    Descriptor(#[from] DescriptorError),
    /// See [`TweakError`].
    #[error(transparent)]
    Tweak(#[from] TweakError),
    /// A descriptor that other wallets would not read, or would read as another. Never happens.
    #[error("the descriptor of tweak {tweak:?} cannot be written: {problem}")]
    Unwritable {
        /// The tweak.
        tweak: Tweak,
        /// What is wrong.
        problem: String,
    },
}

/// Descriptors of all addresses with these tweaks, each once. With secrets of t guardians they can be spent from; with fewer
/// they sign in part, with none they watch.
///
/// # Errors
/// If a secret is of no guardian.
pub fn recover(
    config: &WalletConfig,
    quorum: Quorum,
    secrets: &[WalletSecret],
    tweaks: impl IntoIterator<Item = Tweak>,
) -> Result<Vec<SpendableDescriptor>, RecoveryError> {
    for secret in secrets {
        if !config.guardians.contains(&secret.public()) {
            return Err(RecoveryError::NotAGuardian(secret.public()));
        }
    }
    let tweaks: BTreeSet<Tweak> = tweaks.into_iter().collect();
    let each = tweaks.into_iter();
    each.map(|tweak| recover_one(config, quorum, secrets, tweak))
        .collect()
}

fn recover_one(
    config: &WalletConfig,
    quorum: Quorum,
    secrets: &[WalletSecret],
    tweak: Tweak,
) -> Result<SpendableDescriptor, RecoveryError> {
    let public = config.descriptor(quorum)?.tweaked(&tweak)?;
    let script_pubkey = public.script_pubkey();
    let mut private: BTreeMap<String, String> = BTreeMap::new();
    for secret in secrets {
        let mut key = tweak_secret(secret.key(), &tweak)?;
        let public = key.public_key(SECP256K1).to_string();
        private.insert(public, PrivateKey::new(key, config.network).to_wif());
        key.non_secure_erase();
    }
    let mut text = Descriptor::Wsh(public).to_string();
    // Of another descriptor than the one it becomes.
    if let Some(checksum) = text.find('#') {
        text.truncate(checksum);
    }
    for (public, private) in &private {
        text = text.replace(public, private);
    }
    let unwritable = |problem: String| RecoveryError::Unwritable { tweak, problem };
    let (read, keys) = Descriptor::<DescriptorPublicKey>::parse_descriptor(SECP256K1, &text)
        .map_err(|error| unwritable(error.to_string()))?;
    // What is imported must find the coin.
    let found = read
        .at_derivation_index(0)
        .map_err(|error| unwritable(error.to_string()))?
        .script_pubkey();
    if found != script_pubkey || keys.len() != private.len() {
        return Err(unwritable(format!("it pays to {found}")));
    }
    Ok(SpendableDescriptor(read.to_string_with_secret(&keys)))
}
