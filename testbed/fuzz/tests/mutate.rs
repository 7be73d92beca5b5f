//! Every target on damaged encodings, and on bytes that mean nothing.
#![allow(clippy::panic, clippy::unwrap_used)]

mod common;

use std::panic::{catch_unwind, AssertUnwindSafe};

use common::corpus;
use guildmint_fuzz::targets;
use guildmint_kit::{conformance::damage, rand::SeedableRng, ChaCha20Rng};
use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{RngAlgorithm, TestError, TestRng, TestRunner},
};

/// How often each target is run.
const CASES: u32 = 1_000;

fn mutate(name: &str, target: fn(&[u8])) {
    let corpus: Vec<Vec<u8>> = corpus(name).into_values().collect();
    let damaged = (0..corpus.len(), any::<u64>()).prop_map(move |(which, seed)| {
        damage(&corpus[which], &mut ChaCha20Rng::seed_from_u64(seed))
    });
    let nonsense = vec(any::<u8>(), 0..200);
    let bytes = prop_oneof![9 => damaged, 1 => nonsense];
    let config = ProptestConfig {
        cases: CASES,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    // The same cases every time: a test that fails now and then tells nobody what broke.
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let run = TestRunner::new_with_rng(config, rng).run(&bytes, |bytes| {
        catch_unwind(AssertUnwindSafe(|| target(&bytes)))
            .map_err(|_| TestCaseError::fail(format!("bytes {}", hex::encode(&bytes))))
    });
    if let Err(TestError::Fail(reason, _)) = run {
        panic!("{reason}");
    }
    run.unwrap();
}

macro_rules! mutate_each {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                mutate(stringify!($name), targets::$name::target);
            }
        )*
    };
}

guildmint_fuzz::for_each_target!(mutate_each);
