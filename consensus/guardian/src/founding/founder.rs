//! Makes the federation's config out of its keys, and writes the guardian's files: what the key generation asks of the outside.

use std::{path::PathBuf, sync::Arc};

use async_std::channel::Sender;
use guildmint_core::{founding::Founders, FederationId, GenesisConfig, IdentityKey, Wire as _};
use guildmint_founding::{
    key_generation::{EncodedKey, KeyGenerationJob, KeyGenerationNews},
    Agreed, Roster, Seed,
};
use zeroize::Zeroizing;

use super::{organizer::Inbox, system_rng, FoundError};
use crate::{
    files::{replace, to_toml, ConsensusFile, CONSENSUS_FILE, SECRETS_FILE},
    secrets::{seal, Cost, Secrets},
    world::{Look, Observer},
};

/// Everything of which a federation's files are made but its keys.
pub(super) struct Founder {
    pub(super) data_dir: PathBuf,
    pub(super) passphrase: Zeroizing<String>,
    pub(super) cost: Cost,
    pub(super) founders: Arc<Founders>,
    pub(super) roster: Roster,
    pub(super) seed: Seed,
    pub(super) agreed: Agreed,
    pub(super) inbox: Sender<Inbox>,
    pub(super) news: Vec<Vec<u8>>,
}

impl Founder {
    fn genesis(&self, keys: &[EncodedKey]) -> Result<GenesisConfig, FoundError> {
        let keys: Vec<_> = keys.iter().map(|key| key.0.clone()).collect();
        Ok(self
            .agreed
            .federation(&self.roster, &self.founders, &keys)?)
    }

    fn identity(&self) -> IdentityKey {
        self.seed.identity()
    }

    /// Writes the secrets, and then the public file, by which all is done.
    fn write(&self, keys: &[EncodedKey], shares: &[[u8; 32]]) -> Result<FederationId, FoundError> {
        let genesis = self.genesis(keys)?;
        let id = genesis.id();
        let public = self.data_dir.join(CONSENSUS_FILE);
        if public.exists() {
            return Ok(id);
        }
        let shares: Vec<_> = shares.iter().copied().map(Zeroizing::new).collect();
        let modules = self
            .agreed
            .secrets(&self.roster, &self.seed, &self.founders, &shares)?;
        let modules = modules
            .into_iter()
            .map(|(id, secret)| (id, secret.to_vec()));
        let coin = self.agreed.coin.secret.to_vec();
        let secrets = Secrets::new(&self.identity(), coin, modules.collect());
        let sealed = seal(
            &secrets,
            id,
            &self.passphrase,
            self.cost,
            &mut system_rng()?,
        )?;
        replace(&self.data_dir.join(SECRETS_FILE), sealed.as_bytes(), 0o600)?;
        let places = self.roster.codes().iter().map(|code| {
            let guardian = code.guardian();
            (guardian.p2p.clone(), guardian.api.clone())
        });
        let file = ConsensusFile::new(&genesis, places.collect());
        replace(&public, to_toml(&public, &file)?.as_bytes(), 0o644)?;
        Ok(id)
    }

    fn do_job(&mut self, job: &KeyGenerationJob) -> Result<(), FoundError> {
        match job {
            KeyGenerationJob::MakeConfig { keys } => {
                let id = self.genesis(keys)?.id();
                self.news.push(KeyGenerationNews::Confirm(id.0).encode());
            }
            KeyGenerationJob::Finish { keys, shares } => {
                let id = self.write(keys, shares)?;
                self.tell(Ok(id));
            }
            KeyGenerationJob::GiveUp { failure } => self.tell(Err(failure.clone())),
        }
        Ok(())
    }

    fn tell(&self, finished: Result<FederationId, String>) {
        // Nobody hears it any more when the guardian is stopping; it is asked again.
        let _ = self.inbox.send_blocking(Inbox::Finished(finished));
    }
}

impl Observer for Founder {
    fn take(&mut self, job: &[u8]) {
        let Ok(job) = KeyGenerationJob::decode(job) else {
            return;
        };
        if let Err(error) = self.do_job(&job) {
            tracing::error!(%error, "the federation's files cannot be made");
            self.tell(Err(error.to_string()));
        }
    }

    fn look(&mut self) -> Look {
        Look {
            news: std::mem::take(&mut self.news),
            seen: Ok(String::new()),
            alarm: None,
        }
    }
}
