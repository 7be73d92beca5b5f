#![doc = include_str!("../README.md")]

#[cfg(feature = "files")]
pub mod files;
mod rng;

use std::{collections::BTreeMap, fmt};

use bitcoin::Network;
use guildmint_core::{
    ConfigError, GenesisConfig, GuardianKeys, IdentityKey, ModuleConfig, ModuleId, Quorum,
    QuorumError, SessionId, Tagged, Wire,
};
use guildmint_mint::Denomination;
use guildmint_wallet::{Block, WalletConfig};
use rand_core::{CryptoRng, RngCore};
use thiserror::Error;
use zeroize::Zeroizing;

/// What a federation is like, besides its modules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameters {
    /// What it calls itself.
    pub name: String,
    /// The bitcoin network.
    pub network: Network,
    /// What its guardians call themselves.
    pub guardians: Vec<String>,
    /// Least time between the starts of two epochs, in milliseconds.
    pub epoch_floor_ms: u32,
}

impl Parameters {
    /// The numbers that follow from how many guardians there are.
    ///
    /// # Errors
    /// If there are none, or too many.
    pub fn quorum(&self) -> Result<Quorum, QuorumError> {
        Quorum::new(u16::try_from(self.guardians.len()).unwrap_or(u16::MAX))
    }
}

/// A module of the federation to be.
#[derive(Clone)]
pub struct DealtModule {
    /// Which module software reads it.
    pub kind: String,
    /// Its encoded config.
    pub config: Vec<u8>,
    /// The encoded secret of each guardian, in their order.
    pub secrets: Vec<Zeroizing<Vec<u8>>>,
}

impl DealtModule {
    /// Encodes what a module's own dealer made.
    pub fn new(kind: &str, config: &impl Wire, secrets: &[impl Wire]) -> Self {
        let encode = |secret: &_| Zeroizing::new(Wire::encode(secret));
        Self {
            kind: kind.to_owned(),
            config: config.encode(),
            secrets: secrets.iter().map(encode).collect(),
        }
    }
}

impl fmt::Debug for DealtModule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DealtModule({})", self.kind)
    }
}

/// All that one guardian must keep secret.
#[derive(Debug, Clone)]
pub struct GuardianSecrets {
    /// The key that authenticates its connections and signatures.
    pub identity: IdentityKey,
    /// Its share of the threshold coin.
    pub coin: Zeroizing<Vec<u8>>,
    /// Its modules' secrets.
    pub modules: BTreeMap<ModuleId, Zeroizing<Vec<u8>>>,
}

/// Why a federation cannot be dealt.
#[derive(Debug, Error)]
pub enum DealError {
    /// Too few or too many guardians.
    #[error(transparent)]
    Quorum(#[from] QuorumError),
    /// The randomness made two equal keys.
    #[error("the source of randomness is broken: {0}")]
    Config(#[from] ConfigError),
    /// The randomness made a key share that is zero.
    #[error("the source of randomness is broken: {0}")]
    KeyShare(#[from] guildmint_tbs::dealer::DealError),
    /// A module was dealt for another number of guardians.
    #[error("the {kind} module has secrets for {have} guardians, not {need}")]
    Module {
        /// The module's kind.
        kind: String,
        /// For how many guardians it was dealt.
        have: usize,
        /// How many there are.
        need: usize,
    },
}

/// Deals a mint without fees.
///
/// # Errors
/// If the randomness is broken.
pub fn deal_mint(
    quorum: Quorum,
    denominations: impl IntoIterator<Item = Denomination>,
    rng: &mut (impl RngCore + CryptoRng),
) -> Result<DealtModule, DealError> {
    let (config, secrets) = guildmint_mint::dealer::deal(quorum, denominations, rng)?;
    Ok(DealtModule::new(guildmint_mint::KIND, &config, &secrets))
}

/// Deals a Lightning module with the usual fees.
///
/// # Errors
/// If the randomness is broken.
pub fn deal_ln(
    quorum: Quorum,
    rng: &mut (impl RngCore + CryptoRng),
) -> Result<DealtModule, DealError> {
    let terms = guildmint_ln::LnTerms::default();
    let (config, secrets) = guildmint_ln::dealer::deal(quorum, terms, rng)?;
    Ok(DealtModule::new(guildmint_ln::KIND, &config, &secrets))
}

/// Deals a wallet with the usual parameters, which `adjust` may change.
pub fn deal_wallet(
    quorum: Quorum,
    network: Network,
    start: Block,
    adjust: impl FnOnce(&mut WalletConfig),
    rng: &mut (impl RngCore + CryptoRng),
) -> DealtModule {
    let (mut config, secrets) = guildmint_wallet::dealer::deal(network, start, quorum, rng);
    adjust(&mut config);
    DealtModule::new(guildmint_wallet::KIND, &config, &secrets)
}

/// Deals a federation with these modules, which are numbered in their order, and the secrets of its guardians in the order of
/// their indices. The guardians' names are given out in that order too.
///
/// # Errors
/// If the numbers of guardians are not the same everywhere, or the randomness is broken.
pub fn deal(
    parameters: &Parameters,
    modules: Vec<DealtModule>,
    rng: &mut (impl RngCore + CryptoRng),
) -> Result<(GenesisConfig, Vec<GuardianSecrets>), DealError> {
    let quorum = parameters.quorum()?;
    let coin = guildmint_engine::deal_coin(quorum, &mut rng::Rng06(&mut *rng));
    let mut secrets: Vec<GuardianSecrets> = identities(quorum, rng)
        .into_iter()
        .zip(coin.secrets)
        .map(|(identity, coin)| GuardianSecrets {
            identity,
            coin,
            modules: BTreeMap::new(),
        })
        .collect();
    let mut configs = BTreeMap::new();
    for (module, id) in modules.into_iter().zip((0..).map(ModuleId)) {
        if module.secrets.len() != secrets.len() {
            return Err(DealError::Module {
                kind: module.kind,
                have: module.secrets.len(),
                need: secrets.len(),
            });
        }
        for (guardian, secret) in secrets.iter_mut().zip(module.secrets) {
            guardian.modules.insert(id, secret);
        }
        let (kind, config) = (module.kind, module.config);
        configs.insert(id, ModuleConfig { kind, config });
    }
    let keys = |(name, secrets): (&String, &GuardianSecrets)| GuardianKeys {
        name: name.clone(),
        identity: secrets.identity.public(),
    };
    let mut genesis = GenesisConfig {
        name: parameters.name.clone(),
        session: SessionId::default(),
        network: parameters.network,
        guardians: parameters
            .guardians
            .iter()
            .zip(&secrets)
            .map(keys)
            .collect(),
        coin: coin.public,
        epoch_floor_ms: parameters.epoch_floor_ms,
        modules: configs,
    };
    // All keys and parameters, as the guardians of a ceremony would have confirmed them.
    let session = Tagged::new("guildmint/session").field(genesis.encode());
    genesis.session = SessionId(session.finish());
    genesis.validate()?;
    Ok((genesis, secrets))
}

/// New identities in the order of their public keys (SPEC GEN-2).
fn identities(quorum: Quorum, rng: &mut (impl RngCore + CryptoRng)) -> Vec<IdentityKey> {
    let mut identities: Vec<_> = quorum
        .peers()
        .map(|_| {
            let mut seed = Zeroizing::new([0; 32]);
            rng.fill_bytes(&mut seed[..]);
            IdentityKey::from_seed(&seed)
        })
        .collect();
    identities.sort_by_key(IdentityKey::public);
    identities
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use guildmint_core::module::Registry;
    use guildmint_engine::{Coin, Federation};
    use rand_chacha::{rand_core::SeedableRng, ChaCha20Rng};

    use super::*;

    fn parameters(guardians: usize) -> Parameters {
        Parameters {
            name: "test".into(),
            network: Network::Regtest,
            guardians: (0..guardians).map(|i| format!("guardian-{i}")).collect(),
            epoch_floor_ms: 50,
        }
    }

    fn dealt(guardians: usize, seed: u64) -> (GenesisConfig, Vec<GuardianSecrets>) {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let parameters = parameters(guardians);
        let quorum = parameters.quorum().unwrap();
        let mint = deal_mint(quorum, Denomination::all().take(3), &mut rng).unwrap();
        deal(&parameters, vec![mint], &mut rng).unwrap()
    }

    #[test]
    fn every_guardian_can_start_with_what_it_was_dealt() {
        for guardians in [1, 4, 7] {
            let (genesis, secrets) = dealt(guardians, 1);
            let quorum = genesis.quorum().unwrap();
            for (me, secrets) in quorum.peers().zip(&secrets) {
                assert_eq!(genesis.identity(me), Some(&secrets.identity.public()));
                Coin::new(quorum, me, &genesis.coin, &secrets.coin).unwrap();
                let plain = secrets.modules.iter();
                let plain = plain.map(|(id, secret)| (*id, secret.to_vec())).collect();
                let registry = Registry::default().with::<guildmint_mint::Mint>();
                Federation::new(genesis.clone(), me, &registry, &plain).unwrap();
            }
        }
    }

    #[test]
    fn a_seed_makes_one_federation_and_another_seed_another() {
        assert_eq!(dealt(4, 1).0, dealt(4, 1).0);
        assert_ne!(dealt(4, 1).0.session, dealt(4, 2).0.session);
        assert_eq!(dealt(4, 1).0.guardians[3].name, "guardian-3");
    }

    #[test]
    fn a_module_for_others_is_refused() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let mint = deal_mint(
            Quorum::new(7).unwrap(),
            Denomination::all().take(1),
            &mut rng,
        );
        let error = deal(&parameters(4), vec![mint.unwrap()], &mut rng).unwrap_err();
        assert!(error.to_string().contains("7 guardians, not 4"), "{error}");
    }
}
