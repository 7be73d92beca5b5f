//! What a meeting ends with, and how a federation is put together out of it.

use std::collections::BTreeMap;

use guildmint_core::{
    founding::{Founders, FoundingError, KeyShare, PublicKeys},
    GenesisConfig, ModuleConfig, ModuleId, SessionId, Tagged, Wire,
};
use guildmint_engine::coin::ceremony::CoinKeyPair;
use zeroize::Zeroizing;

use crate::{
    key_generation::{KeyGenerationConfig, KeyGenerationSecret, KIND},
    Proposal, Roster, Seed,
};

/// The number of the one module of a federation that only makes keys.
pub const KEY_GENERATION: ModuleId = ModuleId(0);

/// What all guardians have agreed on before consensus begins, and this one's share of the coin.
#[derive(Clone)]
pub struct Agreed {
    /// The session.
    pub session: SessionId,
    /// What the federation shall be.
    pub proposal: Proposal,
    /// The coin of the binary agreement.
    pub coin: CoinKeyPair,
    /// What guardians announced for each module, in the guardians' order.
    pub announcements: BTreeMap<ModuleId, Vec<Vec<u8>>>,
}

/// This guardian's secrets, by module.
pub type ModuleSecrets = BTreeMap<ModuleId, Zeroizing<Vec<u8>>>;

impl Agreed {
    /// The federation that makes the keys: these guardians, and one module (SPEC SET-2). Its session is another than that of the
    /// federation to be, so nothing that is signed in one means anything in the other.
    ///
    /// # Errors
    /// If a module does not know its own terms any more.
    pub fn key_generation(
        &self,
        roster: &Roster,
        seed: &Seed,
        founders: &Founders,
    ) -> Result<(GenesisConfig, ModuleSecrets), FoundingError> {
        let keys: u16 = self.proposal.keys(founders)?.values().sum();
        let encryption = |code: &crate::SetupCode| code.guardian().encryption_key;
        let config = KeyGenerationConfig {
            session: self.session,
            keys,
            guardians: roster.codes().iter().map(encryption).collect(),
        };
        let secret = KeyGenerationSecret {
            seed: *seed.bytes(),
        };
        let module = ModuleConfig {
            kind: KIND.to_owned(),
            config: config.encode(),
        };
        let session = Tagged::new("guildmint/founding").add(self.session).finish();
        let genesis = GenesisConfig {
            session: SessionId(session),
            modules: [(KEY_GENERATION, module)].into(),
            ..self.genesis(roster, BTreeMap::new())
        };
        let secrets = [(KEY_GENERATION, Zeroizing::new(secret.encode()))];
        Ok((genesis, secrets.into()))
    }

    /// The federation's genesis config, with the keys that were made, in their order.
    ///
    /// # Errors
    /// If they do not make one.
    pub fn federation(
        &self,
        roster: &Roster,
        founders: &Founders,
        keys: &[PublicKeys],
    ) -> Result<GenesisConfig, FoundingError> {
        let place = self.proposal.place(roster);
        let mut configs = BTreeMap::new();
        for (id, range) in self.ranges(founders)? {
            let module = &self.proposal.modules[&id];
            let announced = self.announcements.get(&id).map_or(&[][..], Vec::as_slice);
            let keys = keys.get(range).unwrap_or(&[]);
            configs.insert(id, founders.config(place, module, announced, keys)?);
        }
        Ok(self.genesis(roster, configs))
    }

    /// This guardian's secrets, with its shares of the keys that were made.
    ///
    /// # Errors
    /// If they do not make any.
    pub fn secrets(
        &self,
        roster: &Roster,
        seed: &Seed,
        founders: &Founders,
        shares: &[KeyShare],
    ) -> Result<ModuleSecrets, FoundingError> {
        let place = self.proposal.place(roster);
        let mut secrets = BTreeMap::new();
        for (id, range) in self.ranges(founders)? {
            let module = &self.proposal.modules[&id];
            let seed = seed.module(self.session, id);
            let shares = shares.get(range).unwrap_or(&[]);
            secrets.insert(id, founders.secret(place, module, &seed, shares)?);
        }
        Ok(secrets)
    }

    /// Which of all keys are each module's: they are given out in the order of the modules.
    fn ranges(
        &self,
        founders: &Founders,
    ) -> Result<BTreeMap<ModuleId, std::ops::Range<usize>>, FoundingError> {
        let mut start = 0;
        let mut ranges = BTreeMap::new();
        for (id, keys) in self.proposal.keys(founders)? {
            let end = start + usize::from(keys);
            ranges.insert(id, start..end);
            start = end;
        }
        Ok(ranges)
    }

    fn genesis(&self, roster: &Roster, modules: BTreeMap<ModuleId, ModuleConfig>) -> GenesisConfig {
        GenesisConfig {
            name: self.proposal.name.clone(),
            session: self.session,
            network: self.proposal.network,
            guardians: roster.keys(),
            coin: self.coin.public.clone(),
            epoch_floor_ms: self.proposal.epoch_floor_ms,
            modules,
        }
    }
}

impl std::fmt::Debug for Agreed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Agreed")
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}
