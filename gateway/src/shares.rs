//! How the guardians' shares of a preimage are gathered: whoever carries out [`Order::Open`](crate::federation::Order::Open) asks guardians, as
//! many as it takes, and this says what with, and what comes of their answers (SPEC LN-4).

use std::collections::{BTreeMap, BTreeSet};

use bitcoin::secp256k1::Keypair;
use guildmint_core::{Bytes, FederationId, PeerId};
use guildmint_ln::{
    client::{open, OpenError, Opened},
    ContractId, LnConfig, Offer, ShareAnswer, ShareRequest,
};

use crate::{limits::SHARE_REQUEST_BLOCKS, Keys};

/// The shares of one contract's preimage, as far as they have come.
pub struct Shares {
    federation: FederationId,
    config: LnConfig,
    contract: ContractId,
    offer: Offer,
    key: Keypair,
    shares: BTreeMap<PeerId, Bytes<96>>,
    culprits: BTreeSet<PeerId>,
}

impl Shares {
    /// None yet, of the contract that funds this offer of a federation with this config.
    #[must_use]
    pub fn new(
        keys: &Keys,
        federation: FederationId,
        config: LnConfig,
        contract: ContractId,
        offer: Offer,
    ) -> Self {
        Self {
            federation,
            config,
            contract,
            offer,
            key: keys.refund(federation, offer.id(federation)),
            shares: BTreeMap::new(),
            culprits: BTreeSet::new(),
        }
    }

    /// What to ask a guardian for, under `/v1/ln/`. ⚠ Signed for this guardian alone, and for a short time: whoever reads it on the way gets
    /// nothing with it from another.
    #[must_use]
    pub fn path(&self, guardian: PeerId, height: u32) -> String {
        let request = ShareRequest {
            contract: self.contract,
            guardian,
            expires_at: height.saturating_add(SHARE_REQUEST_BLOCKS),
        };
        request.path(&request.sign(self.federation, &self.key))
    }

    /// Guardians whose shares were wrong. Asking them again leads nowhere, and their operators should know.
    #[must_use]
    pub fn culprits(&self) -> &BTreeSet<PeerId> {
        &self.culprits
    }

    /// Guardians that need not be asked any more.
    #[must_use]
    pub fn has_answered(&self, guardian: PeerId) -> bool {
        self.shares.contains_key(&guardian) || self.culprits.contains(&guardian)
    }

    /// A guardian gave its share. Gives what the offer hides once there are enough right ones.
    ///
    /// # Errors
    /// If the offer cannot have been funded: no guardian gives a share of it.
    pub fn answered(
        &mut self,
        guardian: PeerId,
        answer: ShareAnswer,
    ) -> Result<Option<Opened>, OpenError> {
        if self.culprits.contains(&guardian) {
            return Ok(None);
        }
        self.shares.insert(guardian, answer.share);
        // Wrong ones are looked for only when there could be enough: telling takes pairings.
        if self.shares.len() < usize::from(self.config.key.threshold()) {
            return Ok(None);
        }
        match open(self.federation, &self.config, &self.offer, &self.shares) {
            Ok((opened, culprits)) => {
                self.exclude(culprits);
                Ok(Some(opened))
            }
            Err(OpenError::NotEnough { culprits, .. }) => {
                self.exclude(culprits);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn exclude(&mut self, culprits: impl IntoIterator<Item = PeerId>) {
        for culprit in culprits {
            self.shares.remove(&culprit);
            self.culprits.insert(culprit);
        }
    }
}

#[cfg(test)]
mod tests {
    use guildmint_core::{Amount, ModuleId, OutPoint, Quorum, TxId};
    use guildmint_ln::{client::LnClient, dealer::deal, LnSecret, LnTerms, Preimage, Witness};
    use guildmint_tbs::encryption::{decryption_share, encrypt, EphemeralSecret};
    use rand_chacha::{rand_core::SeedableRng, ChaCha20Rng};

    use super::*;

    const FEDERATION: FederationId = FederationId([1; 32]);

    struct Town {
        secrets: Vec<LnSecret>,
        shares: Shares,
        preimage: Preimage,
    }

    /// Four guardians, of whom three read a preimage; and a contract for an offer, which hides what it should, or something else.
    fn town(hides: bool) -> Town {
        let quorum = Quorum::new(4).unwrap();
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let (config, secrets) = deal(quorum, LnTerms::default(), &mut rng).unwrap();
        let user = LnClient::new(FEDERATION, ModuleId(2), quorum, config.clone(), &[5; 64]);
        let user = user.unwrap();
        let amount = Amount::from_msat(1_000).unwrap();
        let mut offer = user.offer(0, amount, 300).unwrap().offer;
        if !hides {
            let data = offer.associated_data(FEDERATION);
            let secret = EphemeralSecret::from_uniform_bytes(&[6; 64]).unwrap();
            let ciphertext = encrypt(config.key.aggregate(), &[3; 32], &data, &secret);
            offer.preimage = (&ciphertext).into();
        }
        let txid = TxId([9; 32]);
        let contract = ContractId::new(OutPoint { txid, index: 0 });
        let keys = Keys::new(&[7; 64]);
        Town {
            secrets,
            shares: Shares::new(&keys, FEDERATION, config, contract, offer),
            preimage: user.preimage(0),
        }
    }

    impl Town {
        fn share(&self, guardian: u16) -> ShareAnswer {
            let offer = &self.shares.offer;
            let ciphertext = offer.preimage.ciphertext().unwrap();
            let ciphertext = ciphertext.verify(&offer.associated_data(FEDERATION));
            let share = &self.secrets[usize::from(guardian)].share;
            ShareAnswer {
                share: Bytes(decryption_share(share, &ciphertext.unwrap()).to_bytes()),
            }
        }

        fn answer(&mut self, guardian: u16, share: ShareAnswer) -> Option<Opened> {
            self.shares.answered(PeerId(guardian), share).unwrap()
        }
    }

    #[test]
    fn three_of_four_shares_open_an_offer_and_a_wrong_one_is_told() {
        let mut town = town(true);
        let wrong = town.share(3);
        for (guardian, share) in [(0, wrong), (1, town.share(1))] {
            assert_eq!(town.answer(guardian, share), None);
        }
        let share = town.share(2);
        assert_eq!(town.answer(2, share), None);
        assert_eq!(town.shares.culprits(), &BTreeSet::from([PeerId(0)]));
        // What a culprit says later counts no more than before.
        let share = town.share(0);
        assert_eq!(town.answer(0, share), None);
        assert!(town.shares.has_answered(PeerId(0)) && !town.shares.has_answered(PeerId(3)));
        let share = town.share(3);
        let opened = Opened::Preimage(town.preimage);
        assert_eq!(town.answer(3, share), Some(opened));
    }

    #[test]
    fn an_offer_that_hides_no_preimage_opens_to_what_takes_the_money_back() {
        let mut town = town(false);
        let opened = (0..3).find_map(|guardian| {
            let share = town.share(guardian);
            town.answer(guardian, share)
        });
        let is_undecryptable = matches!(
            opened,
            Some(Opened::Undecryptable(Witness::Undecryptable { offer, .. })) if offer == town.shares.offer
        );
        assert!(is_undecryptable, "{opened:?}");
        // Of what guardians would not have taken, nothing comes.
        let share = town.share(0);
        town.shares.offer.amount = Amount::ZERO;
        let refused = town.shares.answered(PeerId(0), share);
        assert_eq!(refused, Err(OpenError::Ciphertext));
    }

    #[test]
    fn each_guardian_is_asked_with_a_signature_of_its_own() {
        let town = town(true);
        let paths = [0, 1].map(|guardian| town.shares.path(PeerId(guardian), 200));
        assert_ne!(paths[0], paths[1]);
        let contract = town.shares.contract;
        let start = format!("contracts/{contract}/share?expires_at=206&signature=");
        assert!(paths.iter().all(|path| path.starts_with(&start)));
        assert_ne!(town.shares.path(PeerId(0), 201), paths[0]);
    }
}
