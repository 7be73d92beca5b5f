//! Dealing, and checking what was dealt.

use bls12_381::{G1Affine, G2Affine, G2Projective, Scalar};
use zeroize::Zeroizing;

use super::encryption::Pads;
use super::items::{Dealing, Item};
use super::proof::{prove, scalar, verify, Claim, Proof};
use super::transcript::Transcript;
use super::{DealingError, Params};
use crate::curve::{decode_g1, decode_g2};
use crate::kdf;
use crate::msm::multi_scalar_mul;
use crate::polynomial::{evaluate, evaluate_in_exponent};
use crate::wire::Bytes;
use crate::{glv, ShareIndex};

const SEED_TAG: &[u8] = b"guildmint-tbs/dkg/seed/1";
const COEFFICIENT_TAG: &[u8] = b"guildmint-tbs/dkg/coefficient/1";
const CONSTANT_TAG: &[u8] = b"guildmint-tbs/dkg/constant/1";
const EPHEMERAL_TAG: &[u8] = b"guildmint-tbs/dkg/ephemeral/1";
const WEIGHTS_TAG: &[u8] = b"guildmint-tbs/dkg/weights/1";

/// Shares of one guardian, by key.
pub(super) type Shares = Zeroizing<Vec<Scalar>>;

/// What a dealer knows: a polynomial for each key, and the secret e that shares are encrypted with.
pub(super) struct Secrets {
    pub(super) polynomials: Vec<Zeroizing<Vec<Scalar>>>,
    pub(super) ephemeral: Zeroizing<Scalar>,
}

impl Secrets {
    /// Derives them from the seed. Other parameters give other secrets, so a seed that is used again reveals nothing.
    pub(super) fn derive(params: &Params, dealer: ShareIndex, seed: &[u8; 32]) -> Self {
        let root = kdf::extract(SEED_TAG, seed);
        let of = |tag| {
            Transcript::new(tag)
                .with(params.context())
                .with_index(dealer)
        };
        // A coefficient is zero once in 2²⁵⁵; the dealing would then be refused like any other with an identity in it.
        let coefficient = |key: u16, degree: u16| {
            let info = of(COEFFICIENT_TAG)
                .with_number(key.into())
                .with_number(degree.into());
            *kdf::expand_to_scalar(&root, &info.digest())
        };
        let polynomial = |key| {
            let degrees = 0..params.threshold();
            Zeroizing::new(degrees.map(|degree| coefficient(key, degree)).collect())
        };
        Self {
            polynomials: (0..params.keys()).map(polynomial).collect(),
            ephemeral: kdf::expand_to_scalar(&root, &of(EPHEMERAL_TAG).digest()),
        }
    }

    /// The item that says them, to each guardian its own.
    pub(super) fn deal(&self, params: &Params, dealer: ShareIndex) -> Dealing {
        let coefficients = self.polynomials.iter().flat_map(|f| f.iter());
        let commitments: Vec<G2Projective> = coefficients
            .map(|coefficient| G2Affine::generator() * coefficient)
            .collect();
        let mut affine = vec![G2Affine::identity(); commitments.len()];
        G2Projective::batch_normalize(&commitments, &mut affine);
        let ephemeral = G1Affine::from(glv::mul(&G1Affine::generator(), &self.ephemeral));
        Dealing {
            constant_proofs: self.prove_constants(params, dealer, &affine),
            commitments: affine.iter().map(|a| Bytes(a.to_compressed())).collect(),
            ephemeral: Bytes(ephemeral.to_compressed()),
            ephemeral_proof: prove(
                ephemeral_purpose(params, dealer),
                &Claim::InG1(&ephemeral),
                &self.ephemeral,
            ),
            shares: self.encrypt(params, dealer, &ephemeral),
        }
    }

    fn prove_constants(
        &self,
        params: &Params,
        dealer: ShareIndex,
        commitments: &[G2Affine],
    ) -> Vec<Proof> {
        let constants = commitments.chunks(params.threshold().into());
        (0..)
            .zip(self.polynomials.iter().zip(constants))
            .filter_map(|(key, (polynomial, commitments))| {
                let claim = Claim::InG2(commitments.first()?);
                let purpose = constant_purpose(params, dealer, key);
                Some(prove(purpose, &claim, polynomial.first()?))
            })
            .collect()
    }

    fn encrypt(&self, params: &Params, dealer: ShareIndex, ephemeral: &G1Affine) -> Vec<Bytes<32>> {
        let mut shares = Vec::new();
        for recipient in params.guardians() {
            let Some(key) = params.encryption_key(recipient) else {
                continue; // never: all guardians have one
            };
            let shared = glv::mul(&key.0, &self.ephemeral).into();
            let pads = Pads::new(params, (dealer, ephemeral), recipient, &shared);
            shares.extend(self.polynomials.iter().enumerate().map(|(key, f)| {
                let share = Zeroizing::new(evaluate(f, recipient.get()));
                Bytes(*pads.apply(key, &encode(&share)))
            }));
        }
        shares
    }
}

/// A dealing with everything right that everybody can see.
pub(super) struct CheckedDealing {
    dealer: ShareIndex,
    /// By key, then by degree.
    commitments: Vec<Vec<G2Affine>>,
    pub(super) ephemeral: G1Affine,
    /// By recipient, then by key.
    shares: Vec<Bytes<32>>,
    /// Of the item.
    pub(super) digest: [u8; 32],
}

impl CheckedDealing {
    /// Decodes a dealing and checks sizes and proofs.
    pub(super) fn new(
        params: &Params,
        dealer: ShareIndex,
        dealing: Dealing,
    ) -> Result<Self, DealingError> {
        check_sizes(params, &dealing)?;
        let ephemeral = decode_g1(&dealing.ephemeral.0).map_err(DealingError::Ephemeral)?;
        let purpose = ephemeral_purpose(params, dealer);
        if !verify(purpose, &Claim::InG1(&ephemeral), &dealing.ephemeral_proof) {
            return Err(DealingError::EphemeralProof);
        }
        let polynomials = dealing.commitments.chunks(params.threshold().into());
        let mut commitments = Vec::new();
        for ((key, polynomial), proof) in (0..).zip(polynomials).zip(&dealing.constant_proofs) {
            let points = decode_polynomial(key, polynomial)?;
            let purpose = constant_purpose(params, dealer, key);
            let proved = points
                .first()
                .is_some_and(|constant| verify(purpose, &Claim::InG2(constant), proof));
            if !proved {
                return Err(DealingError::ConstantProof(key));
            }
            commitments.push(points);
        }
        let item = Item::Dealing(dealing);
        let digest = item.digest();
        let shares = match item {
            Item::Dealing(dealing) => dealing.shares,
            _ => Vec::new(),
        };
        Ok(Self {
            dealer,
            commitments,
            ephemeral,
            shares,
            digest,
        })
    }

    /// The commitments to one key's polynomial.
    pub(super) fn commitments(&self) -> &[Vec<G2Affine>] {
        &self.commitments
    }

    /// Decrypts the shares of `recipient` with the point that it shares with the dealer, and checks them.
    ///
    /// # Errors
    /// The first key of which the share is wrong.
    pub(super) fn open(
        &self,
        params: &Params,
        recipient: ShareIndex,
        shared: &G1Affine,
    ) -> Result<Shares, u16> {
        let pads = Pads::new(params, (self.dealer, &self.ephemeral), recipient, shared);
        let first = usize::from(recipient.get() - 1) * self.commitments.len();
        let ciphertexts = self.shares.iter().skip(first).take(self.commitments.len());
        let mut shares = Zeroizing::new(Vec::with_capacity(self.commitments.len()));
        for (key, ciphertext) in ciphertexts.enumerate() {
            let share = decode(&pads.apply(key, &ciphertext.0)).ok_or(key as u16)?;
            shares.push(share);
        }
        if !self.all_right(params, recipient, &shares) {
            let wrong = |(share, commitments): (&Scalar, &Vec<G2Affine>)| {
                G2Affine::generator() * share != evaluate_in_exponent(commitments, recipient.get())
            };
            let mut pairs = shares.iter().zip(&self.commitments);
            if let Some(key) = pairs.position(wrong) {
                return Err(key as u16);
            }
        }
        Ok(shares)
    }

    /// Whether fₖ(x)·g₂ = Σₗ xˡ·Aₖ,ₗ for all k, by one random linear combination (see [`batch`](crate::verify_batch)): right
    /// shares always pass, and a wrong one once in 2¹²⁸.
    ///
    /// The weights come from a hash of the dealing and of the shares, so that all guardians judge alike. The sum of points
    /// takes a time that depends on the weights, from which the shares that were hashed cannot be found.
    fn all_right(&self, params: &Params, recipient: ShareIndex, shares: &[Scalar]) -> bool {
        let mut seed = Transcript::new(WEIGHTS_TAG)
            .with(params.context())
            .with(&self.digest)
            .with_index(recipient);
        shares.iter().for_each(|share| seed.add(&*encode(share)));
        let seed = Transcript::new(WEIGHTS_TAG).with(&seed.digest());
        let weights: Vec<u128> = (0..shares.len() as u64)
            .map(|key| seed.clone().with_number(key).half())
            .collect();
        let points = self.commitments.iter();
        let terms: Vec<(G2Projective, u128)> = points
            .map(|commitments| evaluate_in_exponent(commitments, recipient.get()))
            .zip(weights.iter().copied())
            .collect();
        let weighted = weights
            .iter()
            .zip(shares)
            .map(|(w, share)| scalar(*w) * share);
        let sum = Zeroizing::new(weighted.fold(Scalar::zero(), |sum, term| sum + term));
        G2Affine::generator() * *sum == multi_scalar_mul::<G2Projective, _>(&terms)
    }
}

fn check_sizes(params: &Params, dealing: &Dealing) -> Result<(), DealingError> {
    let keys = usize::from(params.keys());
    let (have, need) = (
        dealing.commitments.len(),
        keys * usize::from(params.threshold()),
    );
    if have != need {
        return Err(DealingError::Commitments { have, need });
    }
    let have = dealing.constant_proofs.len();
    if have != keys {
        return Err(DealingError::ConstantProofs { have, need: keys });
    }
    let (have, need) = (dealing.shares.len(), keys * params.guardians().count());
    if have != need {
        return Err(DealingError::Shares { have, need });
    }
    Ok(())
}

fn decode_polynomial(key: u16, encodings: &[Bytes<96>]) -> Result<Vec<G2Affine>, DealingError> {
    let decode = |(degree, encoding): (u16, &Bytes<96>)| {
        decode_g2(&encoding.0).map_err(|error| DealingError::Commitment { key, degree, error })
    };
    (0..).zip(encodings).map(decode).collect()
}

fn constant_purpose(params: &Params, dealer: ShareIndex, key: u16) -> Transcript {
    Transcript::new(CONSTANT_TAG)
        .with(params.context())
        .with_index(dealer)
        .with_number(key.into())
}

fn ephemeral_purpose(params: &Params, dealer: ShareIndex) -> Transcript {
    Transcript::new(EPHEMERAL_TAG)
        .with(params.context())
        .with_index(dealer)
}

/// 32 bytes big-endian.
fn encode(share: &Scalar) -> Zeroizing<[u8; 32]> {
    let mut bytes = Zeroizing::new(share.to_bytes());
    bytes.reverse();
    bytes
}

/// Nothing if the number is not below the group order. Zero is a value like any other, for a part of a share.
fn decode(bytes: &[u8; 32]) -> Option<Scalar> {
    let mut little_endian = Zeroizing::new(*bytes);
    little_endian.reverse();
    Scalar::from_bytes(&little_endian).into()
}
