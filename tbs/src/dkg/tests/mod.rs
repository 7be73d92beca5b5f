//! Cheaters, which need to get at what the wire form hides. Honest ceremonies are in `tests/dkg.rs`.

mod complaints;
mod dealings;
mod log;
mod sums;

use bls12_381::{G1Affine, Scalar};

use super::dealing::Secrets;
use super::*;
use crate::wire::Bytes;
use crate::{glv, sign_share, verify, BlindingKey, Message, PreparedKeySet, ShareIndex};

/// Guardians who see the same log, through its wire form, and must say the same about it.
struct World {
    params: Params,
    ceremonies: Vec<Ceremony>,
    last: Vec<Event>,
}

fn index(number: u16) -> ShareIndex {
    ShareIndex::try_from(number).unwrap()
}

fn seed(guardian: ShareIndex) -> [u8; 32] {
    [guardian.get(); 32]
}

fn encryption_secret(guardian: u16) -> EncryptionSecret {
    let mut bytes = [9; 64];
    bytes[..2].copy_from_slice(&guardian.to_be_bytes());
    EncryptionSecret::from_uniform_bytes(&bytes).unwrap()
}

impl World {
    /// `guardians`, of whom n − f can sign, and two keys.
    fn new(guardians: u16) -> Self {
        let threshold = guardians - (guardians - 1) / 3;
        let secrets: Vec<_> = (1..=guardians).map(encryption_secret).collect();
        let keys = secrets.iter().map(EncryptionSecret::public_key).collect();
        let params = Params::new([7; 32], threshold, keys, 2).unwrap();
        let ceremony =
            |(i, secret)| Ceremony::new(params.clone(), secret, &seed(index(i))).unwrap();
        Self {
            ceremonies: (1..).zip(secrets).map(ceremony).collect(),
            params,
            last: Vec::new(),
        }
    }

    fn secrets(&self, dealer: u16) -> Secrets {
        Secrets::derive(&self.params, index(dealer), &seed(index(dealer)))
    }

    fn dealing(&self, dealer: u16) -> Dealing {
        self.secrets(dealer).deal(&self.params, index(dealer))
    }

    /// The dealing of a guardian, encrypted to a recipient so that it comes out wrong by one.
    fn wrong_for(&self, dealer: u16, recipients: &[u16]) -> Dealing {
        let mut dealing = self.dealing(dealer);
        for recipient in recipients {
            let position = usize::from(recipient - 1) * 2 + 1;
            dealing.shares[position].0[31] ^= 1;
        }
        dealing
    }

    /// Puts an item into the log.
    fn post(&mut self, from: u16, item: Item) -> &[Event] {
        let bytes = bincode::serialize(&item).unwrap();
        let mut said = self.ceremonies.iter_mut().map(|ceremony| {
            let item = bincode::deserialize(&bytes).unwrap();
            ceremony.handle(index(from), item)
        });
        self.last = said.next().unwrap();
        assert!(said.all(|events| events == self.last));
        &self.last
    }

    /// Puts what is due into the log, but from those who have something else to say.
    fn post_due(&mut self, but: &[u16]) {
        for position in 0..self.ceremonies.len() {
            let from = position as u16 + 1;
            if but.contains(&from) {
                continue;
            }
            if let Some(item) = self.ceremonies[position].due() {
                self.post(from, item);
            }
        }
    }

    fn confirm(&mut self) {
        for from in 1..=self.ceremonies.len() as u16 {
            self.post(from, Item::Confirm([5; 32]));
        }
    }

    /// All guardians' faults, which are the same.
    fn faults(&self) -> Vec<(u16, FaultReason)> {
        let faults = |ceremony: &Ceremony| -> Vec<_> {
            let faults = ceremony.faults().iter().cloned();
            faults
                .map(|fault| (fault.guardian.into(), fault.reason))
                .collect()
        };
        faults(&self.ceremonies[0])
    }

    fn dealers(&self) -> Vec<u8> {
        let dealers = self.ceremonies[0].progress().dealers;
        dealers.into_iter().map(ShareIndex::get).collect()
    }

    fn phase(&self) -> Phase {
        self.ceremonies[0].progress().phase
    }

    /// Everybody has keys that work, though not everybody was honest.
    fn assert_keys_work(&self) {
        let outcomes: Vec<&[KeyPair]> = self
            .ceremonies
            .iter()
            .map(|ceremony| ceremony.outcome().unwrap().unwrap())
            .collect();
        for key in 0..usize::from(self.params.keys()) {
            let keys = &outcomes[0][key].0;
            assert!(outcomes.iter().all(|pairs| pairs[key].0 == *keys));
            let keys = PreparedKeySet::from(keys.clone());
            let message = Message::note(&[key as u8; 32]);
            let blinding = BlindingKey::from_uniform_bytes(&[3; 64]).unwrap();
            let blinded = crate::blind(&message, &blinding);
            let shares: Vec<_> = outcomes
                .iter()
                .map(|pairs| (pairs[key].1.index(), sign_share(&pairs[key].1, &blinded)))
                .collect();
            let threshold = usize::from(self.params.threshold());
            for chosen in shares.windows(threshold) {
                let signature = keys.finalize(&message, &blinding, chosen).unwrap();
                assert!(verify(keys.aggregate(), &message, &signature));
            }
        }
    }

    fn failure(&self) -> Failure {
        let failure = |ceremony: &Ceremony| ceremony.outcome().unwrap().unwrap_err();
        let first = failure(&self.ceremonies[0]);
        assert!(self.ceremonies.iter().all(|c| failure(c) == first));
        assert!(self.ceremonies.iter().all(|c| c.public_keys().is_none()));
        first
    }
}

#[test]
fn an_honest_ceremony() {
    let mut world = World::new(4);
    world.post_due(&[]);
    assert_eq!(world.phase(), Phase::Verdicts);
    world.post_due(&[]);
    assert_eq!(world.phase(), Phase::Confirming);
    assert!(world.ceremonies.iter().all(|c| c.outcome().is_none()));
    world.confirm();
    assert_eq!(world.last.last(), Some(&Event::Phase(Phase::Done)));
    assert_eq!(
        (world.faults(), world.dealers()),
        (vec![], vec![1, 2, 3, 4])
    );
    world.assert_keys_work();
}

#[test]
fn parameters_are_checked() {
    let keys: Vec<_> = (1..=33)
        .map(|i| encryption_secret(i).public_key())
        .collect();
    let new = |threshold, guardians: &[EncryptionKey], count| {
        Params::new([7; 32], threshold, guardians.to_vec(), count).err()
    };
    let error = |threshold, guardians| ParamsError::Threshold {
        threshold,
        guardians,
    };
    assert_eq!(new(1, &[], 1), Some(ParamsError::Guardians(0)));
    assert_eq!(new(1, &keys, 1), Some(ParamsError::Guardians(33)));
    assert_eq!(new(32, &keys[..32], 64), None);
    assert_eq!(new(0, &keys[..4], 1), Some(error(0, 4)));
    assert_eq!(new(5, &keys[..4], 1), Some(error(5, 4)));
    assert_eq!(new(3, &keys[..4], 0), Some(ParamsError::Keys(0)));
    assert_eq!(new(3, &keys[..4], 65), Some(ParamsError::Keys(65)));
    let twice = [keys[0], keys[1], keys[0]];
    assert_eq!(new(2, &twice, 1), Some(ParamsError::DuplicateKey(keys[0])));

    let params = Params::new([7; 32], 3, keys[..4].to_vec(), 1).unwrap();
    let stranger = Ceremony::new(params, encryption_secret(5), &[1; 32]).err();
    assert_eq!(stranger, Some(ParamsError::NotAGuardian(keys[4])));
}
