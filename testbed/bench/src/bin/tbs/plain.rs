//! The plain way: the curve crate's own multiplication, two full pairings for a check, shares checked one by one.

use bls12_381::hash_to_curve::{ExpandMsgXmd, HashToCurve};
use bls12_381::{pairing, G1Affine, G1Projective, G2Affine, Scalar};
use guildmint_tbs::{
    BlindedMessage, Message, PublicKeySet, SecretKeyShare, ShareIndex, Signature, SignatureShare,
    DST,
};
use sha2::Sha256;

/// Everything decoded, as nothing here is to measure decoding.
pub struct Plain {
    aggregate: G2Affine,
    keys: Vec<G2Affine>,
    secret: Scalar,
    blinding_factor: Scalar,
    blinded: G1Affine,
    shares: Vec<(Scalar, G1Affine)>,
    notes: Vec<(Message, G1Affine)>,
}

impl Plain {
    pub fn new(
        keys: &PublicKeySet,
        guardian: &SecretKeyShare,
        blinded: &BlindedMessage,
        shares: &[(ShareIndex, SignatureShare)],
        notes: &[(Message, Signature)],
    ) -> Result<Self, &'static str> {
        let g1 = |bytes| {
            Option::<G1Affine>::from(G1Affine::from_compressed(&bytes)).ok_or("not a point of G1")
        };
        let g2 = |bytes| {
            Option::<G2Affine>::from(G2Affine::from_compressed(&bytes)).ok_or("not a point of G2")
        };
        let mut secret = *guardian.to_bytes();
        secret.reverse();
        Ok(Self {
            aggregate: g2(keys.aggregate().to_bytes())?,
            keys: keys
                .shares()
                .values()
                .map(|key| g2(key.to_bytes()))
                .collect::<Result<_, _>>()?,
            secret: Option::from(Scalar::from_bytes(&secret)).ok_or("not a scalar")?,
            blinding_factor: Scalar::from_bytes_wide(&[3; 64]),
            blinded: g1(blinded.to_bytes())?,
            shares: shares
                .iter()
                .map(|(index, share)| {
                    Ok((Scalar::from(u64::from(index.get())), g1(share.to_bytes())?))
                })
                .collect::<Result<_, _>>()?,
            notes: notes
                .iter()
                .map(|(message, signature)| Ok((message.clone(), g1(signature.to_bytes())?)))
                .collect::<Result<_, _>>()?,
        })
    }

    pub fn blind(&self) -> bool {
        G1Affine::from(hash(&self.notes[0].0) * self.blinding_factor) == self.blinded
    }

    pub fn sign_share(&self) -> bool {
        G1Affine::from(self.blinded * self.secret) == self.shares[0].1
    }

    pub fn verify_share(&self, i: usize) -> bool {
        pairing(&self.shares[i].1, &G2Affine::generator()) == pairing(&self.blinded, &self.keys[i])
    }

    pub fn combine_and_unblind(&self) -> bool {
        let coefficient = |x: &Scalar| {
            let others = self.shares.iter().map(|(y, _)| y).filter(|y| *y != x);
            let (top, bottom) = others.fold((Scalar::one(), Scalar::one()), |(top, bottom), y| {
                (top * y, bottom * (y - x))
            });
            top * bottom.invert().unwrap_or(Scalar::zero())
        };
        let sum: G1Projective = self
            .shares
            .iter()
            .map(|(x, share)| share * coefficient(x))
            .sum();
        let combined = G1Affine::from(sum);
        let inverse = self.blinding_factor.invert().unwrap_or(Scalar::zero());
        G1Affine::from(combined * inverse) == self.notes[0].1
    }

    pub fn finalize(&self) -> bool {
        (0..self.shares.len()).all(|i| self.verify_share(i))
            && self.combine_and_unblind()
            && self.verify(0)
    }

    pub fn verify(&self, i: usize) -> bool {
        let (message, signature) = &self.notes[i];
        pairing(signature, &G2Affine::generator())
            == pairing(&hash(message).into(), &self.aggregate)
    }
}

fn hash(message: &Message) -> G1Projective {
    <G1Projective as HashToCurve<ExpandMsgXmd<Sha256>>>::hash_to_curve(message.as_bytes(), DST)
}
