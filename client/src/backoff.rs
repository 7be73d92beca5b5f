//! How long to wait before the next try.

use rand_core::RngCore;

const FIRST_MS: u64 = 250;
const LONGEST_MS: u64 = 30_000;

/// Doubles with every failure and is spread by half in both directions, so that clients that lost the same guardian do
/// not come back in step.
pub(crate) fn delay_ms(failures: u32, rng: &mut impl RngCore) -> u64 {
    let full = FIRST_MS
        .saturating_mul(1 << failures.min(16))
        .min(LONGEST_MS);
    full / 2 + rng.next_u64() % (full + 1)
}

#[cfg(test)]
mod tests {
    use rand_chacha::{rand_core::SeedableRng, ChaCha20Rng};

    use super::*;

    #[test]
    fn delays_grow_stay_bounded_and_differ() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        for failures in 0..100 {
            let delay = delay_ms(failures, &mut rng);
            assert!((FIRST_MS / 2..=LONGEST_MS * 3 / 2).contains(&delay));
        }
        assert_ne!(delay_ms(8, &mut rng), delay_ms(8, &mut rng));
    }
}
