//! The federation as a client knows it, and how it comes to know it.

use std::collections::BTreeMap;

use bitcoin::Network;
use guildmint_core::{
    api::ConfigAnswer, encoding::hex_bytes, AddressBook, Announcement, FederationId, GenesisConfig,
    InviteCode, Latest, ModuleId, PeerId, Quorum, Revision, Wire,
};
use guildmint_ln::{client::LnClient, LnConfig, LnTerms};
use guildmint_mint::{
    client::{MasterSeed, MintClient},
    MintConditions, MintConfig,
};
use guildmint_wallet::{client::WalletClient, WalletConditions, WalletConfig};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::error::ClientError;

/// What is stored about the federation that a wallet has joined. Nothing in it is secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// The canonical encoding of the genesis config.
    #[serde(with = "hex_bytes")]
    pub genesis: Vec<u8>,
    /// Where guardians could be asked when the wallet joined.
    pub apis: BTreeMap<PeerId, String>,
    /// Where they have said since that they are; verified. Kept in a row of its own, since it changes.
    #[serde(skip)]
    pub announcements: Vec<Announcement>,
}

/// Why a federation cannot be joined.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum JoinError {
    /// Nobody gave a config that is the invited federation's.
    #[error("no guardian of the invite gave the genesis config of federation {0}")]
    NoConfig(FederationId),
    /// Without more addresses nothing could be decided.
    #[error("the addresses of {known} guardians are known; {needed} are needed. Ask for an invite code with more")]
    TooFewAddresses {
        /// How many are known.
        known: usize,
        /// How many are needed.
        needed: usize,
    },
}

impl Membership {
    /// Judges what guardians answered to `GET /v1/config`: the config is accepted from any of them, and only if it hashes to
    /// the federation of the invite (SPEC GEN-7).
    ///
    /// Addresses are not under the hash. What a guardian has signed about itself counts, whoever passes it on (SPEC NET-4), and
    /// then the invite's own. Any other counts if f + 1 guardians of the invite name it, or all of them if they are fewer: a
    /// single liar must not be able to pose as everybody.
    ///
    /// # Errors
    /// If none of the answers has the config, or too few guardians can be found.
    pub fn judge(
        invite: &InviteCode,
        answers: &BTreeMap<PeerId, ConfigAnswer>,
        announcements: &[Announcement],
    ) -> Result<Self, JoinError> {
        let none = || JoinError::NoConfig(invite.federation);
        let mut decoded = answers.values().filter_map(|answer| decode(invite, answer));
        let (genesis, quorum) = decoded.next().ok_or_else(none)?;
        let mut book = AddressBook::new(&genesis);
        for announcement in announcements {
            // What is not its guardian's own word counts for nothing.
            let _ = book.take(announcement);
        }
        let needed = quorum.one_honest().min(invite.apis.len());
        let mut named: BTreeMap<(PeerId, &str), usize> = BTreeMap::new();
        for (peer, url) in answers.values().flat_map(|answer| &answer.apis) {
            *named.entry((*peer, url)).or_default() += 1;
        }
        let enough = |(_, count): &(_, usize)| *count >= needed;
        let mut apis: BTreeMap<PeerId, String> = named
            .into_iter()
            .filter(enough)
            .map(|((peer, url), _)| (peer, url.to_owned()))
            .collect();
        apis.extend(invite.apis.clone());
        apis.retain(|peer, _| quorum.contains(*peer));
        let membership = Self {
            genesis: genesis.encode(),
            apis,
            announcements: book.iter().cloned().collect(),
        };
        let (known, needed) = (membership.addresses().len(), quorum.threshold());
        match known < needed {
            true => Err(JoinError::TooFewAddresses { known, needed }),
            false => Ok(membership),
        }
    }

    /// Where guardians are asked: where each says that it is, else where it was when the wallet joined.
    #[must_use]
    pub fn addresses(&self) -> BTreeMap<PeerId, String> {
        let said = self.announcements.iter();
        let said = said.map(|one| (one.guardian, one.place.api.clone()));
        let mut addresses = self.apis.clone();
        addresses.extend(said);
        addresses
    }
}

/// The genesis config of an answer, if it is that of the invite.
fn decode(invite: &InviteCode, answer: &ConfigAnswer) -> Option<(GenesisConfig, Quorum)> {
    let config = GenesisConfig::decode(&answer.genesis).ok()?;
    let is_right = config.id() == invite.federation && config.validate().is_ok();
    let quorum = config.quorum().ok().filter(|_| is_right)?;
    Some((config, quorum))
}

/// A federation with the clients of its modules.
pub(crate) struct Federation {
    pub(crate) id: FederationId,
    pub(crate) name: String,
    pub(crate) network: Network,
    pub(crate) quorum: Quorum,
    pub(crate) apis: BTreeMap<PeerId, String>,
    pub(crate) places: AddressBook,
    pub(crate) genesis: GenesisConfig,
    /// The revision of the config that it goes by.
    pub(crate) latest: Latest,
    pub(crate) guardians: Vec<String>,
    pub(crate) mint: MintClient,
    pub(crate) wallet: WalletClient,
    mint_module: ModuleId,
    pub(crate) wallet_module: ModuleId,
    /// Not every federation has it.
    pub(crate) ln: Option<LnClient>,
}

impl Federation {
    pub(crate) fn open(membership: Membership, seed: &MasterSeed) -> Result<Self, ClientError> {
        let unusable =
            |problem: &dyn std::fmt::Display| ClientError::Federation(problem.to_string());
        let genesis = GenesisConfig::decode(&membership.genesis).map_err(|e| unusable(&e))?;
        let (id, quorum) = (genesis.id(), genesis.quorum().map_err(|e| unusable(&e))?);
        let config = |kind: &str| {
            let absent = format!("it has no {kind} module");
            genesis.module(kind).ok_or_else(|| unusable(&absent))
        };
        let (mint_module, mint) = config(guildmint_mint::KIND)?;
        let mint = MintConfig::decode(&mint.config).map_err(|e| unusable(&e))?;
        let (wallet_module, wallet) = config(guildmint_wallet::KIND)?;
        let wallet = WalletConfig::decode(&wallet.config).map_err(|e| unusable(&e))?;
        let mint = MintClient::new(id, mint_module, quorum, mint, seed);
        let wallet = WalletClient::new(id, wallet_module, quorum, wallet, seed.as_bytes());
        let ln = match genesis.module(guildmint_ln::KIND) {
            Some((module, ln)) => {
                let ln = LnConfig::decode(&ln.config).map_err(|e| unusable(&e))?;
                let ln = LnClient::new(id, module, quorum, ln, seed.as_bytes());
                Some(ln.map_err(|e| unusable(&e))?)
            }
            None => None,
        };
        let mut places = AddressBook::new(&genesis);
        for announcement in &membership.announcements {
            places.take(announcement).map_err(|e| unusable(&e))?;
        }
        Ok(Self {
            id,
            quorum,
            places,
            mint: mint.map_err(|e| unusable(&e))?,
            wallet: wallet.map_err(|e| unusable(&e))?,
            mint_module,
            wallet_module,
            ln,
            network: genesis.network,
            apis: membership.addresses(),
            guardians: genesis
                .guardians
                .iter()
                .map(|one| one.name.clone())
                .collect(),
            name: genesis.name.clone(),
            latest: Latest::founding(&genesis),
            genesis,
        })
    }

    /// Goes by a revision of the config that is verified. All or nothing of it.
    pub(crate) fn revise(&mut self, revision: &Revision) -> Result<(), ClientError> {
        let unusable = |problem: String| {
            let number = revision.number;
            ClientError::Federation(format!(
                "its revision {number} needs newer software: {problem}"
            ))
        };
        let values = &revision.values;
        let of = |module: ModuleId| {
            let conditions = values.conditions.get(&module);
            conditions.ok_or_else(|| unusable(format!("{module} has no conditions")))
        };
        let mint = MintConditions::decode(&of(self.mint_module)?.0);
        let mint = mint.map_err(|error| unusable(error.to_string()))?;
        let wallet = WalletConditions::decode(&of(self.wallet_module)?.0);
        let wallet = wallet.map_err(|error| unusable(error.to_string()))?;
        let terms = match &self.ln {
            Some(ln) => {
                let terms = LnTerms::decode(&of(ln.module())?.0);
                Some(terms.map_err(|error| unusable(error.to_string()))?)
            }
            None => None,
        };
        if let (Some(ln), Some(terms)) = (&mut self.ln, terms) {
            ln.revise(terms);
        }
        self.mint.revise(mint);
        self.wallet.revise(wallet);
        self.name.clone_from(&values.name);
        self.guardians.clone_from(&values.guardians);
        self.latest = Latest::of(revision);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use guildmint_core::{GuardianKeys, IdentityKey, Place, SessionId};

    use super::*;

    fn key(number: u8) -> IdentityKey {
        IdentityKey::from_seed(&[number; 32])
    }

    fn said(genesis: &GenesisConfig, peer: u16, url: &str) -> Announcement {
        let (p2p, api) = (Vec::new(), url.to_owned());
        let keys = (1..=7).map(key);
        let identity = genesis.guardians[usize::from(peer)].identity;
        let key = keys.into_iter().find(|key| key.public() == identity);
        let place = Place { p2p, api };
        Announcement::sign(place, PeerId(peer), 1, None, genesis.session, &key.unwrap())
    }

    fn genesis(guardians: u8) -> GenesisConfig {
        let keys = |number| GuardianKeys {
            name: String::new(),
            identity: key(number).public(),
        };
        GenesisConfig {
            name: "test".into(),
            session: SessionId([1; 32]),
            network: Network::Regtest,
            guardians: sorted((1..=guardians).map(keys).collect()),
            coin: Vec::new(),
            epoch_floor_ms: 50,
            modules: BTreeMap::new(),
        }
    }

    fn sorted(mut guardians: Vec<GuardianKeys>) -> Vec<GuardianKeys> {
        guardians.sort_by_key(|keys| keys.identity);
        guardians
    }

    fn apis(peers: &[u16], host: &str) -> BTreeMap<PeerId, String> {
        peers
            .iter()
            .map(|peer| (PeerId(*peer), format!("http://{host}/{peer}")))
            .collect()
    }

    fn answer(genesis: &GenesisConfig, apis: BTreeMap<PeerId, String>) -> ConfigAnswer {
        ConfigAnswer {
            federation: genesis.id(),
            genesis: genesis.encode(),
            apis,
        }
    }

    #[test]
    fn a_config_is_taken_from_anyone_if_it_hashes_to_the_name() {
        let (right, wrong) = (genesis(4), genesis(7));
        let invite = InviteCode {
            federation: right.id(),
            apis: apis(&[0, 1, 2], "a"),
        };
        let mut answers = BTreeMap::from([(PeerId(0), answer(&wrong, BTreeMap::new()))]);
        let none = Err(JoinError::NoConfig(right.id()));
        assert_eq!(Membership::judge(&invite, &answers, &[]), none);
        answers.insert(PeerId(1), answer(&right, BTreeMap::new()));
        let membership = Membership::judge(&invite, &answers, &[]).unwrap();
        assert_eq!(membership.genesis, right.encode());
        assert_eq!(membership.apis, invite.apis);
    }

    #[test]
    fn one_guardian_cannot_pose_as_the_others() {
        let config = genesis(4);
        let invite = InviteCode {
            federation: config.id(),
            apis: apis(&[0, 1], "a"),
        };
        let (honest, evil) = (apis(&[0, 1, 2, 3], "a"), apis(&[0, 1, 2, 3, 9], "evil"));
        let mut answers = BTreeMap::from([(PeerId(0), answer(&config, evil))]);
        let judged = Membership::judge(&invite, &answers, &[]);
        let (known, needed) = (2, 3);
        assert_eq!(judged, Err(JoinError::TooFewAddresses { known, needed }));
        answers.insert(PeerId(1), answer(&config, honest.clone()));
        assert!(Membership::judge(&invite, &answers, &[]).is_err());
        answers.insert(PeerId(0), answer(&config, honest.clone()));
        assert_eq!(
            Membership::judge(&invite, &answers, &[]).unwrap().apis,
            honest
        );
    }
    #[test]
    fn one_guardian_of_the_invite_is_enough_to_find_the_others() {
        let config = genesis(4);
        let invite = InviteCode {
            federation: config.id(),
            apis: apis(&[0, 1], "a"),
        };
        let answers = BTreeMap::from([(PeerId(1), answer(&config, BTreeMap::new()))]);
        let mut told = vec![
            said(&config, 2, "http://two"),
            said(&config, 0, "http://moved"),
        ];
        let membership = Membership::judge(&invite, &answers, &told).unwrap();
        let found = membership.addresses();
        assert_eq!(found[&PeerId(2)], "http://two");
        assert_eq!(
            found[&PeerId(0)],
            "http://moved",
            "its own word is newer than the invite"
        );
        assert_eq!(found[&PeerId(1)], invite.apis[&PeerId(1)]);
        // What another has signed is nobody's word.
        told[0].place.api = "http://evil".into();
        let (known, needed) = (2, 3);
        let refused = Err(JoinError::TooFewAddresses { known, needed });
        assert_eq!(Membership::judge(&invite, &answers, &told), refused);
    }
}
