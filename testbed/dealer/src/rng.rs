//! One source of randomness for libraries of two generations.

use rand_core::RngCore;

/// A generator as hbbft's generation of libraries wants it.
pub(crate) struct Rng06<R>(pub(crate) R);

impl<R: RngCore> rand06::RngCore for Rng06<R> {
    fn next_u32(&mut self) -> u32 {
        self.0.next_u32()
    }

    fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), rand06::Error> {
        self.0.fill_bytes(bytes);
        Ok(())
    }
}
