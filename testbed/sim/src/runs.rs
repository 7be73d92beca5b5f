//! Ready-made worlds: what `cargo sim` and the tests run.

use guildmint_core::PeerId;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha12Rng;

use crate::{Faults, Setup, World};

/// Makes a world that depends on the seed in every respect, lets it suffer, heals it, and checks that all is well in the end.
///
/// # Panics
/// If anything is not.
pub fn storm(seed: u64) {
    let mut rng = ChaCha12Rng::seed_from_u64(seed);
    let guardians = [4, 4, 4, 5, 7][rng.gen_range(0..5)];
    let mut faults = Faults::lossy(rng.gen_range(0..=15));
    if rng.gen_bool(0.6) {
        faults = faults.with_crashes(rng.gen_range(1..=8), rng.gen_range(50..5_000));
    }
    if rng.gen_bool(0.4) {
        faults = faults.with_a_liar(PeerId(guardians - 1));
    }
    if rng.gen_bool(0.5) {
        faults = faults.with_busy_guardians(rng.gen_range(1..=30));
    }
    let mut world = World::new(Setup::guardians(guardians).with(faults), seed);
    for name in 0..rng.gen_range(3..12) {
        world.submit_play(name, rng.gen_range(1..1_000_000));
        world.run(rng.gen_range(0..2_000));
    }
    world.run(10_000);
    world.heal();
    world.run_until_settled(120_000);
}
