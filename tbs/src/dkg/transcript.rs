//! Hashes of public things, unambiguous: each field is preceded by its length, and the first names the purpose.

use sha2_v09::{Digest, Sha256};

use crate::ShareIndex;

/// A hash to which fields are added.
#[derive(Clone)]
pub(super) struct Transcript(Sha256);

impl Transcript {
    /// Begins with a tag that no other purpose has.
    pub(super) fn new(tag: &'static [u8]) -> Self {
        Self(Sha256::new()).with(tag)
    }

    pub(super) fn with(mut self, field: &[u8]) -> Self {
        self.add(field);
        self
    }

    pub(super) fn with_number(self, number: u64) -> Self {
        self.with(&number.to_be_bytes())
    }

    pub(super) fn with_index(self, index: ShareIndex) -> Self {
        self.with(&[index.get()])
    }

    pub(super) fn add(&mut self, field: &[u8]) {
        self.0.update((field.len() as u64).to_be_bytes());
        self.0.update(field);
    }

    pub(super) fn digest(&self) -> [u8; 32] {
        self.0.clone().finalize().into()
    }

    /// The digest's first half, as a number below 2¹²⁸.
    pub(super) fn half(&self) -> u128 {
        let digest = self.digest();
        let fold = |half, byte: &u8| half << 8 | u128::from(*byte);
        digest.iter().take(16).fold(0, fold)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_do_not_run_into_each_other() {
        let one = Transcript::new(b"tag").with(b"ab").with(b"c");
        let other = Transcript::new(b"tag").with(b"a").with(b"bc");
        assert_ne!(one.digest(), other.digest());
        assert_eq!(one.half().to_be_bytes(), one.digest()[..16]);
    }
}
