//! Every target on its corpus.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeSet;

use common::corpus;
use guildmint_fuzz::{seeds, TARGETS};

#[test]
fn targets_take_their_corpus() {
    for target in TARGETS {
        let corpus = corpus(target.name);
        assert!(!corpus.is_empty(), "{} has no corpus", target.name);
        for (name, bytes) in corpus {
            println!("{}/{name}", target.name);
            (target.run)(&bytes);
        }
    }
}

/// If this fails after a change that was to leave encodings alone, old and new software do not understand each other.
#[test]
fn encodings_are_those_of_the_corpus() {
    let seeds = seeds::all();
    let names: BTreeSet<&str> = TARGETS.iter().map(|target| target.name).collect();
    assert_eq!(seeds.keys().copied().collect::<BTreeSet<_>>(), names);
    for (target, seeds) in seeds {
        let corpus = corpus(target);
        let written: Vec<&Vec<u8>> = corpus
            .iter()
            .filter(|(name, _)| name.starts_with("seed-"))
            .map(|(_, bytes)| bytes)
            .collect();
        assert!(!seeds.is_empty(), "{target} has no valid encodings");
        assert!(
            seeds.iter().eq(written.iter().copied()),
            "encodings for {target} are not those of the corpus"
        );
    }
}
