//! Proofs of knowledge of a scalar, made non-interactive by a hash of the statement (Schnorr 1991; Fiat and Shamir 1986).
//!
//! One form serves all: x is known with A = x·g₁, or A = x·g₂, or (Chaum and Pedersen 1992) P = x·g₁ and D = x·E with
//! one and the same x. A proof is the challenge c, of 128 bits, and the response z = k + c·x; who verifies computes the
//! commitment again, z·g − c·A, and asks whether it hashes to c. The statement that is hashed contains *every* point,
//! and who proves what to whom in which session: a proof that left one out could be bent to another statement.

use bls12_381::{G1Affine, G1Projective, G2Affine, G2Projective, Scalar};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::transcript::Transcript;
use crate::glv;
use crate::kdf;
use crate::msm::multi_scalar_mul;
use crate::wire::Bytes;

const NONCE_TAG: &[u8] = b"guildmint-tbs/dkg/nonce/1";

/// Challenge and response, 16 and 32 bytes big-endian. Not checked before [`verify`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Proof(pub(super) Bytes<{ Proof::LEN }>);

impl Proof {
    pub(super) const LEN: usize = 48;

    fn new(challenge: u128, response: &Scalar) -> Self {
        let mut bytes = [0; Self::LEN];
        let (head, tail) = bytes.split_at_mut(16);
        head.copy_from_slice(&challenge.to_be_bytes());
        tail.copy_from_slice(&response.to_bytes());
        tail.reverse();
        Self(Bytes(bytes))
    }

    /// Nothing if the response is not below the group order: there is one encoding of each proof.
    fn parts(&self) -> Option<(u128, Scalar)> {
        let (mut challenge, mut response) = ([0; 16], [0; 32]);
        challenge.copy_from_slice(&self.0 .0[..16]);
        response.copy_from_slice(&self.0 .0[16..]);
        response.reverse();
        let response: Option<Scalar> = Scalar::from_bytes(&response).into();
        Some((u128::from_be_bytes(challenge), response?))
    }
}

/// What a scalar x is claimed to be the logarithm of.
pub(super) enum Claim<'a> {
    /// A = x·g₁.
    InG1(&'a G1Affine),
    /// A = x·g₂.
    InG2(&'a G2Affine),
    /// P = x·g₁ and D = x·E: the base E, then P, then D.
    Equal(&'a G1Affine, &'a G1Affine, &'a G1Affine),
}

impl Claim<'_> {
    fn points(&self) -> Vec<u8> {
        match self {
            Self::InG1(a) => a.to_compressed().to_vec(),
            Self::InG2(a) => a.to_compressed().to_vec(),
            Self::Equal(e, p, d) => [e, p, d].map(|a| a.to_compressed()).concat(),
        }
    }

    /// k·g for each base, in constant time.
    fn commit(&self, k: &Scalar) -> Vec<u8> {
        let g1 = G1Affine::generator();
        match self {
            Self::InG1(_) => encode_g1(&glv::mul(&g1, k)),
            Self::InG2(_) => encode_g2(&(G2Affine::generator() * k)),
            Self::Equal(e, _, _) => [glv::mul(&g1, k), glv::mul(e, k)]
                .map(|r| encode_g1(&r))
                .concat(),
        }
    }

    /// z·g − c·A for each base.
    fn commit_again(&self, c: u128, z: &Scalar) -> Vec<u8> {
        let g1 = G1Affine::generator();
        let in_g1 = |base: &G1Affine, a: &G1Affine| {
            let sum = glv::mul(base, z) + multi_scalar_mul::<G1Projective, _>(&[(-*a, c)]);
            encode_g1(&sum)
        };
        match self {
            Self::InG1(a) => in_g1(&g1, a),
            Self::InG2(a) => {
                let product = multi_scalar_mul::<G2Projective, _>(&[(-**a, c)]);
                encode_g2(&(G2Affine::generator() * z + product))
            }
            Self::Equal(e, p, d) => [in_g1(&g1, p), in_g1(e, d)].concat(),
        }
    }
}

fn encode_g1(point: &G1Projective) -> Vec<u8> {
    G1Affine::from(point).to_compressed().to_vec()
}

fn encode_g2(point: &G2Projective) -> Vec<u8> {
    G2Affine::from(point).to_compressed().to_vec()
}

fn challenge(statement: Transcript, commitment: &[u8]) -> u128 {
    statement.with(commitment).half()
}

/// Proves the claim about `witness`. `purpose` says what for, and between whom.
///
/// The nonce is derived from the witness and the statement, as in Ed25519: a restarted guardian proves with the same
/// bytes, and never answers two challenges with one nonce.
pub(super) fn prove(purpose: Transcript, claim: &Claim<'_>, witness: &Scalar) -> Proof {
    let statement = purpose.with(&claim.points());
    let secret = Zeroizing::new(witness.to_bytes());
    let key = kdf::extract(NONCE_TAG, &*secret);
    let nonce = kdf::expand_to_scalar(&key, &statement.digest());
    let challenge = challenge(statement, &claim.commit(&nonce));
    let response = *nonce + scalar(challenge) * witness;
    Proof::new(challenge, &response)
}

/// Whether the proof is right. A wrong one passes once in 2¹²⁸ hashes.
pub(super) fn verify(purpose: Transcript, claim: &Claim<'_>, proof: &Proof) -> bool {
    let statement = purpose.with(&claim.points());
    proof.parts().is_some_and(|(c, z)| {
        let commitment = claim.commit_again(c, &z);
        challenge(statement, &commitment) == c
    })
}

/// A scalar of 128 bits.
pub(super) fn scalar(number: u128) -> Scalar {
    Scalar::from_raw([number as u64, (number >> 64) as u64, 0, 0])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn purpose(tag: &'static [u8]) -> Transcript {
        Transcript::new(tag)
    }

    fn g1(x: u64) -> G1Affine {
        (G1Affine::generator() * Scalar::from(x)).into()
    }

    #[test]
    fn each_claim_is_proved_for_its_purpose_only() {
        let (x, other) = (Scalar::from(11), Scalar::from(12));
        let in_g2 = G2Affine::from(G2Affine::generator() * x);
        let (a, e, d) = (g1(11), g1(5), g1(55));
        for claim in [
            Claim::InG1(&a),
            Claim::InG2(&in_g2),
            Claim::Equal(&e, &a, &d),
        ] {
            let proof = prove(purpose(b"one"), &claim, &x);
            assert_eq!(proof, prove(purpose(b"one"), &claim, &x));
            assert!(verify(purpose(b"one"), &claim, &proof));
            assert!(!verify(purpose(b"two"), &claim, &proof));
            let wrong = prove(purpose(b"one"), &claim, &other);
            assert!(!verify(purpose(b"one"), &claim, &wrong));
            for position in 0..Proof::LEN {
                let mut changed = proof;
                changed.0 .0[position] ^= 1;
                assert!(!verify(purpose(b"one"), &claim, &changed));
            }
        }
    }

    #[test]
    fn one_of_two_equal_logarithms_is_not_enough() {
        let (a, e) = (g1(11), g1(5));
        for d in [g1(54), g1(12), a, e] {
            let claim = Claim::Equal(&e, &a, &d);
            let proof = prove(purpose(b"one"), &claim, &Scalar::from(11));
            assert!(!verify(purpose(b"one"), &claim, &proof));
        }
    }

    #[test]
    fn a_response_has_one_encoding() {
        // The group order, big-endian: zero in another guise.
        let order = "73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001";
        let mut bytes = [0; 48];
        hex::decode_to_slice(order, &mut bytes[16..]).expect("hexadecimal");
        assert!(Proof(Bytes(bytes)).parts().is_none());
        assert!(Proof(Bytes([0; 48])).parts().is_some());
    }
}
