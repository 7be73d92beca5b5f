//! Wallets that earlier versions have written.

use super::*;

/// `tests/sample-1` was written by the first version that had this layout: a wallet with a life, its words, and what the program
/// said of it then. It is never written anew; a layout that differs gets a sample of its own.
#[test]
fn a_wallet_that_an_earlier_version_wrote_opens_and_says_the_same() {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sample-1");
    let directory = tempfile::tempdir().unwrap();
    for file in ["wallet.seed", "wallet.sqlite"] {
        std::fs::copy(sample.join(file), directory.path().join(file)).unwrap();
    }
    let said = std::fs::read_to_string(sample.join("said.json")).unwrap();
    let said: Json = serde_json::from_str(&said).unwrap();
    for (command, before) in said.as_object().unwrap() {
        let words: Vec<&str> = command.split(' ').collect();
        assert_eq!(run(directory.path(), &words).good(), *before, "{command}");
    }
    let operations = said["operations list"]["operations"].as_array().unwrap();
    let kinds: std::collections::BTreeSet<_> =
        operations.iter().map(|one| one["kind"].as_str()).collect();
    assert!(
        kinds.len() >= 3,
        "the sample has too little life: {kinds:?}"
    );
}
