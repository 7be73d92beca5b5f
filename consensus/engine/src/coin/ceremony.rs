//! How guardians make the coin's keys without a dealer: hbbft's `SyncKeyGen`, behind the checks that it lacks (SPEC SET-2).
//!
//! Everybody deals once ([`CoinCeremony::part`]), answers each dealing ([`CoinCeremony::take_part`]), and takes in all answers
//! ([`CoinCeremony::take_answers`]). It works on what is the same for all; that it is the same, the guardians must find out before
//! they use the keys.
//!
//! ⚠ hbbft compares the degree of a dealing with nothing. One dealing of a higher degree raises that of the keys: all goes well,
//! no fault is reported, and no share fits the public keys. So the degree is looked at before hbbft sees a dealing, and keys and
//! share when all is done.

use std::{collections::BTreeMap, fmt};

use guildmint_core::{
    encoding::{self, hex_bytes},
    DecodeError, PeerId, Quorum, Tagged,
};
use hbbft::{
    crypto::{
        poly::BivarCommitment, serde_impl::SerdeSecret, Ciphertext, PublicKey, SecretKey, Signature,
    },
    sync_key_gen::{Ack, AckOutcome, Part, PartOutcome, SyncKeyGen},
};
use rand06::{rngs::StdRng, Rng as _, SeedableRng as _};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::Zeroizing;

use super::Coin;

/// The secret of a [`CoinEncryptionKey`]. Never shown.
#[derive(Clone)]
pub struct CoinEncryptionSecret(SecretKey);

/// The key to which a guardian's shares of the coin are encrypted. Any bytes, until its possession is verified.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoinEncryptionKey(#[serde(with = "hex_bytes")] Vec<u8>);

/// A signature by which the owner of a [`CoinEncryptionKey`] shows that it knows the secret. Any bytes, until it is verified.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoinKeyProof(#[serde(with = "hex_bytes")] Vec<u8>);

/// The coin's public keys and a guardian's secret share, in the encodings that [`Coin::new`] reads.
#[derive(Clone)]
pub struct CoinKeyPair {
    /// The same for all.
    pub public: Vec<u8>,
    /// Of this guardian alone.
    pub secret: Zeroizing<Vec<u8>>,
}

/// What a guardian did wrong while the coin's keys were made.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CoinFault {
    /// Not a dealing at all.
    #[error("its dealing of the coin cannot be read: {0}")]
    UnreadablePart(DecodeError),
    /// A dealing that would spoil the keys, unnoticed.
    #[error("its dealing of the coin has degree {degree} and {rows} rows, where {need_degree} and {need_rows} are due")]
    Shape {
        /// Its degree.
        degree: usize,
        /// Its rows.
        rows: usize,
        /// f.
        need_degree: usize,
        /// n.
        need_rows: usize,
    },
    /// A dealing that does not fit its own commitments.
    #[error("its dealing of the coin is wrong: {0}")]
    Part(String),
    /// Not one answer for each dealing.
    #[error("it gave {have} answers to {need} dealings of the coin")]
    AnswerCount {
        /// How many.
        have: usize,
        /// How many are due.
        need: usize,
    },
    /// Not an answer at all.
    #[error("its answer to the dealing of {dealer} cannot be read: {problem}")]
    UnreadableAnswer {
        /// Whose dealing.
        dealer: PeerId,
        /// What is wrong.
        problem: DecodeError,
    },
    /// An answer that does not fit the dealing.
    #[error("its answer to the dealing of {dealer} is wrong: {problem}")]
    Answer {
        /// Whose dealing.
        dealer: PeerId,
        /// What is wrong.
        problem: String,
    },
}

/// Why there are no keys although nobody was found at fault.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CoinCeremonyError {
    /// The encryption keys are not those of the guardians.
    #[error("the coin's ceremony cannot begin: {0}")]
    Begin(String),
    /// Some dealing has not been answered by all.
    #[error("{complete} of {all} dealings of the coin are complete")]
    Incomplete {
        /// How many are.
        complete: usize,
        /// How many there should be.
        all: usize,
    },
    /// What came out does not fit.
    #[error("the coin's keys do not fit each other: {0}")]
    Keys(String),
}

impl CoinEncryptionSecret {
    /// The secret that a uniform seed makes.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(StdRng::from_seed(*seed).gen())
    }

    /// The public key.
    #[must_use]
    pub fn public_key(&self) -> CoinEncryptionKey {
        CoinEncryptionKey(self.0.public_key().to_bytes().to_vec())
    }

    /// Proves that the secret is known, to whoever reads the public key in this context.
    #[must_use]
    pub fn prove(&self, context: &[u8]) -> CoinKeyProof {
        let message = possession(&self.public_key(), context);
        CoinKeyProof(self.0.sign(message).to_bytes().to_vec())
    }
}

impl fmt::Debug for CoinEncryptionSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CoinEncryptionSecret(..)")
    }
}

impl CoinEncryptionKey {
    /// Whether it is a key, and whoever made the proof for this context knew its secret.
    #[must_use]
    pub fn verify(&self, proof: &CoinKeyProof, context: &[u8]) -> bool {
        let key = self.decode();
        let signature = <[u8; 96]>::try_from(&proof.0[..]).ok();
        let signature = signature.and_then(|bytes| Signature::from_bytes(bytes).ok());
        let message = possession(self, context);
        matches!((key, signature), (Some(key), Some(signature)) if key.verify(&signature, message))
    }

    fn decode(&self) -> Option<PublicKey> {
        let bytes = <[u8; 48]>::try_from(&self.0[..]).ok()?;
        PublicKey::from_bytes(bytes).ok()
    }
}

impl fmt::Debug for CoinEncryptionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hex: String = self.0.iter().map(|byte| format!("{byte:02x}")).collect();
        write!(f, "CoinEncryptionKey({hex})")
    }
}

impl fmt::Debug for CoinKeyProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CoinKeyProof(..)")
    }
}

fn possession(key: &CoinEncryptionKey, context: &[u8]) -> [u8; 32] {
    Tagged::new("guildmint/coin/possession")
        .field(&key.0)
        .field(context)
        .finish()
}

/// One guardian's part in making the coin's keys.
pub struct CoinCeremony {
    me: PeerId,
    quorum: Quorum,
    key_gen: SyncKeyGen<PeerId>,
    part: Vec<u8>,
    seed: Zeroizing<[u8; 32]>,
}

impl CoinCeremony {
    /// Takes part as guardian `me`, with everybody's encryption keys in the guardians' order. The seed is uniform, secret, and of
    /// this ceremony alone: the same seed says the same again.
    ///
    /// # Errors
    /// If the keys are not as many as the guardians, not keys, or not different.
    pub fn new(
        quorum: Quorum,
        me: PeerId,
        secret: &CoinEncryptionSecret,
        keys: &[CoinEncryptionKey],
        seed: &[u8; 32],
    ) -> Result<Self, CoinCeremonyError> {
        let begin = |problem: String| CoinCeremonyError::Begin(problem);
        let mut public = BTreeMap::new();
        for (peer, key) in quorum.peers().zip(keys) {
            let key = key
                .decode()
                .ok_or_else(|| begin(format!("the key of {peer} is none")))?;
            if public.values().any(|other| *other == key) {
                return Err(begin(format!("the key of {peer} is also another's")));
            }
            public.insert(peer, key);
        }
        if keys.len() != quorum.guardians() {
            return Err(begin(format!("{} keys", keys.len())));
        }
        if public.get(&me) != Some(&secret.0.public_key()) {
            return Err(begin(format!("the secret is not that of {me}")));
        }
        let mut rng = StdRng::from_seed(*seed);
        let (faulty, secret) = (quorum.max_faulty(), secret.0.clone());
        let (key_gen, part) = SyncKeyGen::new(me, secret, public, faulty, &mut rng)
            .map_err(|error| begin(error.to_string()))?;
        let part = part.ok_or_else(|| begin(format!("{me} is no guardian")))?;
        let mut bytes = Vec::new();
        encoding::write(&mut bytes, &part);
        Ok(Self {
            me,
            quorum,
            key_gen,
            part: bytes,
            seed: Zeroizing::new(*seed),
        })
    }

    /// This guardian's dealing, for all.
    #[must_use]
    pub fn part(&self) -> &[u8] {
        &self.part
    }

    /// Takes a guardian's dealing, this one's included, and says what to answer all.
    ///
    /// # Errors
    /// If the dealing is not right, as `from` knows.
    pub fn take_part(&mut self, from: PeerId, bytes: &[u8]) -> Result<Vec<u8>, CoinFault> {
        // hbbft shows neither degree nor rows of a part, but encodes it as these two.
        let (commitment, rows): (BivarCommitment, Vec<Ciphertext>) =
            encoding::read(bytes).map_err(CoinFault::UnreadablePart)?;
        let (degree, rows) = (commitment.degree(), rows.len());
        let (need_degree, need_rows) = (self.quorum.max_faulty(), self.quorum.guardians());
        if (degree, rows) != (need_degree, need_rows) {
            return Err(CoinFault::Shape {
                degree,
                rows,
                need_degree,
                need_rows,
            });
        }
        let part: Part = encoding::read(bytes).map_err(CoinFault::UnreadablePart)?;
        let mut rng = StdRng::from_seed(self.answer_seed(from, bytes));
        match self.key_gen.handle_part(&from, part, &mut rng) {
            Ok(PartOutcome::Valid(Some(answer))) => {
                let mut bytes = Vec::new();
                encoding::write(&mut bytes, &answer);
                Ok(bytes)
            }
            Ok(PartOutcome::Valid(None)) => Err(CoinFault::Part("it came twice".into())),
            Ok(PartOutcome::Invalid(fault)) => Err(CoinFault::Part(fault.to_string())),
            Err(error) => Err(CoinFault::Part(error.to_string())),
        }
    }

    /// Randomness for one answer that depends on what is answered: other dealings never share it.
    fn answer_seed(&self, from: PeerId, part: &[u8]) -> [u8; 32] {
        Tagged::new("guildmint/coin/answer")
            .add(&self.seed[..])
            .add(from.0.to_le_bytes())
            .field(part)
            .finish()
    }

    /// Takes a guardian's answers, this one's included: one to each dealing, in the dealers' order.
    ///
    /// # Errors
    /// If an answer is not right, as `from` knows.
    pub fn take_answers(&mut self, from: PeerId, answers: &[Vec<u8>]) -> Result<(), CoinFault> {
        let (have, need) = (answers.len(), self.quorum.guardians());
        if have != need {
            return Err(CoinFault::AnswerCount { have, need });
        }
        for (dealer, bytes) in self.quorum.peers().zip(answers) {
            let wrong = |problem: String| CoinFault::Answer { dealer, problem };
            let answer: Ack = encoding::read(bytes)
                .map_err(|problem| CoinFault::UnreadableAnswer { dealer, problem })?;
            // The dealer's index is an answer's first field, and not accessible.
            let index = bytes.first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
            if index != Some(dealer.0.into()) {
                return Err(wrong("it answers another dealing".into()));
            }
            match self.key_gen.handle_ack(&from, answer) {
                Ok(AckOutcome::Valid) => {}
                Ok(AckOutcome::Invalid(fault)) => return Err(wrong(fault.to_string())),
                Err(error) => return Err(wrong(error.to_string())),
            }
        }
        Ok(())
    }

    /// The keys, once all dealings and all answers are in.
    ///
    /// # Errors
    /// If some are missing, or what comes out does not fit.
    pub fn finish(&self) -> Result<CoinKeyPair, CoinCeremonyError> {
        let (complete, all) = (self.key_gen.count_complete(), self.quorum.guardians());
        if complete != all {
            return Err(CoinCeremonyError::Incomplete { complete, all });
        }
        let keys = |problem: String| CoinCeremonyError::Keys(problem);
        let (set, share) = self
            .key_gen
            .generate()
            .map_err(|error| keys(error.to_string()))?;
        let share = share.ok_or_else(|| keys("this guardian has no share".into()))?;
        let mut public = Vec::new();
        encoding::write(&mut public, &set);
        let mut secret = Zeroizing::new(Vec::new());
        encoding::write(&mut secret, &SerdeSecret(&share));
        // The check that matters: threshold, and that the share belongs to the keys.
        Coin::new(self.quorum, self.me, &public, &secret)
            .map_err(|error| keys(error.to_string()))?;
        Ok(CoinKeyPair { public, secret })
    }
}

impl fmt::Debug for CoinCeremony {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CoinCeremony(of {})", self.me)
    }
}

#[cfg(test)]
mod tests;
