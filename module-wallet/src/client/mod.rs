//! What a client does with the wallet module: deposit keys from its seed, proofs of deposits, and peg-outs.

use bitcoin::{
    block::Header,
    secp256k1::{schnorr::Signature, Keypair, Message, SecretKey},
    Address, ScriptBuf, Transaction,
};
use guildmint_core::{FederationId, ModuleId, Quorum, TxId};
use hkdf::Hkdf;
use secp256k1::SECP256K1;
use sha2::Sha256;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::{
    conditions::WalletConditions,
    config::WalletConfig,
    descriptor::{DescriptorError, FederationDescriptor},
    merkle::MerkleBranch,
    peg_in::{PegInError, PegInProof},
    peg_out::{PegOut, PegOutError},
    tweak::Tweak,
};

#[cfg(test)]
mod tests;

/// A client's view of one federation's wallet. Everything in it follows from the seed, the genesis config and its
/// last revision.
pub struct WalletClient {
    config: WalletConfig,
    descriptor: FederationDescriptor,
    keys: Hkdf<Sha256>,
    federation: FederationId,
    module: ModuleId,
}

/// An index whose key does not exist. Nobody will ever find one: its chance is 2^-128.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DepositKeyError {
    /// The derived bytes are no key.
    #[error("there is no deposit key with index {0}; take the next one")]
    NoKey(u64),
    /// The key gives no address.
    #[error(transparent)]
    Descriptor(#[from] DescriptorError),
}

/// Why a deposit cannot be claimed with what was given.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ClaimError {
    /// See [`DepositKeyError`].
    #[error(transparent)]
    Key(#[from] DepositKeyError),
    /// The proof does not hold.
    #[error(transparent)]
    Proof(#[from] PegInError),
}

impl WalletClient {
    /// The wallet of a federation for the owner of a seed (the 64 bytes of BIP-39).
    ///
    /// # Errors
    /// If the config is not that of a federation of this size.
    pub fn new(
        federation: FederationId,
        module: ModuleId,
        quorum: Quorum,
        config: WalletConfig,
        seed: &[u8; 64],
    ) -> Result<Self, DescriptorError> {
        Ok(Self {
            descriptor: config.descriptor(quorum)?,
            config,
            keys: Hkdf::new(Some(b"guildmint/wallet/deposit"), seed),
            federation,
            module,
        })
    }

    /// Goes by other conditions, which guardians have agreed on.
    pub fn revise(&mut self, conditions: WalletConditions) {
        self.config = self.config.with(conditions);
    }

    /// The module's parameters.
    #[must_use]
    pub fn config(&self) -> &WalletConfig {
        &self.config
    }

    /// The key pair of a deposit address. ⚠ The federation is in its path: another federation learns nothing from it.
    ///
    /// # Errors
    /// If there is no such key, which does not happen.
    pub fn deposit_key(&self, index: u64) -> Result<Keypair, DepositKeyError> {
        let mut secret = Zeroizing::new([0; 32]);
        let path = [
            &self.federation.0[..],
            &self.module.0.to_le_bytes(),
            &index.to_le_bytes(),
        ];
        self.keys
            .expand_multi_info(&path, secret.as_mut())
            .map_err(|_| DepositKeyError::NoKey(index))?;
        let mut secret =
            SecretKey::from_slice(secret.as_ref()).map_err(|_| DepositKeyError::NoKey(index))?;
        let pair = Keypair::from_secret_key(SECP256K1, &secret);
        secret.non_secure_erase();
        Ok(pair)
    }

    fn tweak(&self, index: u64) -> Result<Tweak, DepositKeyError> {
        Ok(self.deposit_key(index)?.x_only_public_key().0.into())
    }

    /// The address to deposit to. No guardian needs to be asked (SPEC WAL-2).
    ///
    /// # Errors
    /// If there is no such key, which does not happen.
    pub fn deposit_address(&self, index: u64) -> Result<Address, DepositKeyError> {
        let tweak = self.tweak(index)?;
        Ok(self.descriptor.address(&tweak, self.config.network)?)
    }

    /// The same as a script, to look for on the chain.
    ///
    /// # Errors
    /// If there is no such key, which does not happen.
    pub fn script_pubkey(&self, index: u64) -> Result<ScriptBuf, DepositKeyError> {
        Ok(self.descriptor.script_pubkey(&self.tweak(index)?)?)
    }

    /// Builds the input that claims a deposit, and checks it as guardians will, but for the block being agreed.
    ///
    /// # Errors
    /// If the proof does not hold, or the deposit is below the federation's minimum.
    pub fn peg_in(
        &self,
        index: u64,
        transaction: &Transaction,
        output_index: u32,
        header: Header,
        merkle: MerkleBranch,
    ) -> Result<PegInProof, ClaimError> {
        let key = self.deposit_key(index)?.x_only_public_key().0;
        let proof = PegInProof::new(transaction, output_index, header, merkle, key);
        proof.check(&self.descriptor, self.config.min_peg_in_sat)?;
        Ok(proof)
    }

    /// Signs a transaction of the federation that claims the deposit.
    ///
    /// # Errors
    /// If there is no such key, which does not happen.
    pub fn sign(&self, index: u64, txid: TxId) -> Result<Signature, DepositKeyError> {
        let message = Message::from_digest(txid.0);
        Ok(SECP256K1.sign_schnorr_no_aux_rand(&message, &self.deposit_key(index)?))
    }

    /// Builds the output that pays to an address, with the fee of a [`crate::PegOutQuote`].
    ///
    /// # Errors
    /// If the federation would refuse it whatever the fee.
    pub fn peg_out(
        &self,
        address: &str,
        amount_sat: u64,
        fee_sat: u64,
    ) -> Result<PegOut, PegOutError> {
        // Wallets print bech32 in capitals for smaller QR codes.
        let lower = address.to_lowercase();
        let capitals = address.to_uppercase() == address;
        let peg_out = PegOut {
            address: if capitals { lower } else { address.to_owned() },
            amount_sat,
            fee_sat,
        };
        peg_out.check(self.config.network)?;
        Ok(peg_out)
    }
}
