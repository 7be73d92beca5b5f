//! The same checks by `blst`, in the fastest way its interface offers.

use blst::{
    blst_fp12, blst_hash_to_g1, blst_p1, blst_p1_affine, blst_p1_to_affine, blst_p2_affine,
    min_sig, p1_affines, MultiPoint, BLS12_381_NEG_G2, BLST_ERROR,
};
use guildmint_tbs::{Message, PublicKey, Signature, DST};

/// Bits of a weight, as in our own batches.
const WEIGHT_BITS: usize = 128;

pub struct Assembler {
    key: blst_p2_affine,
    minus_generator: blst_p2_affine,
    signatures: Vec<blst_p1_affine>,
    messages: Vec<Message>,
    weights: Vec<u8>,
}

impl Assembler {
    pub fn new(key: &PublicKey, notes: &[(Message, Signature)]) -> Result<Self, String> {
        let refused = |error: BLST_ERROR| format!("{error:?}");
        let key = min_sig::PublicKey::key_validate(&key.to_bytes()).map_err(refused)?;
        let decode = |(_, signature): &(Message, Signature)| {
            min_sig::Signature::sig_validate(&signature.to_bytes(), true)
                .map(|point| *<&blst_p1_affine>::from(&point))
        };
        // Any weights will do; deriving them is a few microseconds of hashing.
        let weights = (0..notes.len() * WEIGHT_BITS / 8)
            .map(|i| ((i * 2_654_435_761) >> 13) as u8)
            .collect();
        Ok(Self {
            key: *<&blst_p2_affine>::from(&key),
            // SAFETY: a constant of the library.
            minus_generator: unsafe { BLS12_381_NEG_G2 },
            signatures: notes
                .iter()
                .map(decode)
                .collect::<Result<_, _>>()
                .map_err(refused)?,
            messages: notes.iter().map(|(message, _)| message.clone()).collect(),
            weights,
        })
    }

    pub fn verify(&self, i: usize) -> bool {
        self.cancel(&self.signatures[i], &affine(&hash(&self.messages[i])))
    }

    /// Both sums by Pippenger's algorithm, then one product of two pairings.
    pub fn verify_batch(&self) -> bool {
        let hashes: Vec<blst_p1> = self.messages.iter().map(hash).collect();
        let hashes = p1_affines::from(&hashes);
        let message = hashes.mult(&self.weights, WEIGHT_BITS);
        let signature = self.signatures.mult(&self.weights, WEIGHT_BITS);
        self.cancel(&affine(&signature), &affine(&message))
    }

    fn cancel(&self, signature: &blst_p1_affine, message: &blst_p1_affine) -> bool {
        let keys = [self.minus_generator, self.key];
        blst_fp12::miller_loop_n(&keys, &[*signature, *message]).final_exp() == blst_fp12::default()
    }
}

fn hash(message: &Message) -> blst_p1 {
    let bytes = message.as_bytes();
    let mut point = blst_p1::default();
    // SAFETY: every pointer goes with its length; the augmentation is empty.
    unsafe {
        blst_hash_to_g1(
            &mut point,
            bytes.as_ptr(),
            bytes.len(),
            DST.as_ptr(),
            DST.len(),
            std::ptr::null(),
            0,
        );
    }
    point
}

fn affine(point: &blst_p1) -> blst_p1_affine {
    let mut affine = blst_p1_affine::default();
    // SAFETY: both pointers are to initialised points.
    unsafe { blst_p1_to_affine(&mut affine, point) };
    affine
}
