use bitcoin::Network;

use super::*;
use crate::{GuardianKeys, ModuleConfig};

fn key(guardian: u8) -> IdentityKey {
    IdentityKey::from_seed(&[guardian; 32])
}

/// Four guardians in the order of their keys, whose names say which key they have.
fn genesis(session: u8) -> GenesisConfig {
    let keys = |guardian: u8| GuardianKeys {
        name: guardian.to_string(),
        identity: key(guardian).public(),
    };
    let mut guardians: Vec<GuardianKeys> = (0..4).map(keys).collect();
    guardians.sort_by_key(|keys| keys.identity);
    let module = ModuleConfig {
        kind: "mint".into(),
        config: vec![],
    };
    GenesisConfig {
        name: "test".into(),
        session: SessionId([session; 32]),
        network: Network::Regtest,
        guardians,
        coin: Vec::new(),
        epoch_floor_ms: 50,
        modules: [(ModuleId(0), module)].into(),
    }
}

fn key_of(genesis: &GenesisConfig, peer: u16) -> IdentityKey {
    key(genesis.guardians[usize::from(peer)].name.parse().unwrap())
}

fn next(genesis: &GenesisConfig, latest: Latest, name: &str) -> Revision {
    Revision {
        number: latest.number + 1,
        previous: latest.hash,
        values: Values {
            name: name.into(),
            guardians: vec!["a".into(), "b".into(), "c".into(), "d".into()],
            conditions: genesis
                .modules
                .keys()
                .map(|id| (*id, Conditions(vec![1, 2])))
                .collect(),
        },
    }
}

fn signed(genesis: &GenesisConfig, revision: Revision, by: &[u16]) -> SignedRevision {
    let sign = |peer: &u16| {
        let key = key_of(genesis, *peer);
        (PeerId(*peer), revision.sign(genesis.session, &key))
    };
    let signatures = by.iter().map(sign).collect();
    SignedRevision {
        revision,
        signatures,
    }
}

#[test]
fn a_chain_is_verified_from_the_genesis_config_on() {
    let genesis = genesis(1);
    let mut latest = Latest::founding(&genesis);
    for number in 1..=3 {
        let revision = next(&genesis, latest, &format!("name {number}"));
        let signed = signed(&genesis, revision, &[0, 2, 3]);
        assert_eq!(SignedRevision::decode(&signed.encode()), Ok(signed.clone()));
        let json = serde_json::to_string(&signed).unwrap();
        assert_eq!(
            serde_json::from_str::<SignedRevision>(&json).unwrap(),
            signed
        );
        latest = signed.verify(&genesis, latest).unwrap();
        assert_eq!(latest.number, number);
    }
}

#[test]
fn fewer_than_t_signatures_prove_nothing() {
    let genesis = genesis(1);
    let latest = Latest::founding(&genesis);
    let two = signed(&genesis, next(&genesis, latest, "x"), &[0, 1]);
    let too_few = RevisionError::TooFew { have: 2, need: 3 };
    assert_eq!(two.verify(&genesis, latest), Err(too_few));
    // A signature by one guardian under the name of another is none.
    let mut forged = two.clone();
    forged
        .signatures
        .insert(PeerId(2), two.signatures[&PeerId(0)]);
    assert!(matches!(
        forged.verify(&genesis, latest),
        Err(RevisionError::Signature(_))
    ));
    let mut stranger = signed(&genesis, next(&genesis, latest, "x"), &[0, 1, 2]);
    stranger
        .signatures
        .insert(PeerId(4), two.signatures[&PeerId(0)]);
    let nobody = RevisionError::Stranger(PeerId(4));
    assert_eq!(stranger.verify(&genesis, latest), Err(nobody));
}

#[test]
fn one_played_again_one_left_out_and_one_of_another_federation_are_refused() {
    let genesis = genesis(1);
    let founding = Latest::founding(&genesis);
    let first = signed(&genesis, next(&genesis, founding, "1"), &[0, 1, 2]);
    let latest = first.verify(&genesis, founding).unwrap();
    let second = signed(&genesis, next(&genesis, latest, "2"), &[1, 2, 3]);
    let number = |found, latest| RevisionError::Number { found, latest };
    assert_eq!(first.verify(&genesis, latest), Err(number(1, 1)));
    assert_eq!(second.verify(&genesis, founding), Err(number(2, 0)));
    // The right number after another first one.
    let other = signed(&genesis, next(&genesis, founding, "other"), &[0, 1, 2]);
    let other = other.verify(&genesis, founding).unwrap();
    let wrong = Err(RevisionError::Previous(2));
    assert_eq!(second.verify(&genesis, other), wrong);
    let elsewhere = super::tests::genesis(2);
    let there = Latest::founding(&elsewhere);
    assert_eq!(
        first.verify(&elsewhere, there),
        Err(RevisionError::Previous(1))
    );
    // The same guardians with the same values in two federations: what is signed in one is not signed in the other.
    let mut twin = first.clone();
    twin.revision.previous = there.hash;
    assert!(twin.verify(&elsewhere, there).is_err());
}

#[test]
fn names_and_modules_are_those_of_the_federation_and_bounded() {
    let genesis = genesis(1);
    let latest = Latest::founding(&genesis);
    let check = |change: fn(&mut Values)| {
        let mut revision = next(&genesis, latest, "x");
        change(&mut revision.values);
        revision.check(&genesis, latest)
    };
    assert_eq!(check(|_| {}), Ok(()));
    let (names, guardians) = (3, 4);
    let missing = RevisionError::Guardians { names, guardians };
    assert_eq!(check(|values| drop(values.guardians.pop())), Err(missing));
    let name = |bytes, most| Err(RevisionError::Name { bytes, most });
    assert_eq!(check(|values| values.name.clear()), name(0, 100));
    assert_eq!(
        check(|values| values.name = "x".repeat(101)),
        name(101, 100)
    );
    assert_eq!(
        check(|values| values.guardians[3] = "é".repeat(33)),
        name(66, 64)
    );
    let strange = RevisionError::Module(ModuleId(7));
    let conditions = |bytes| Conditions(vec![0; bytes]);
    assert_eq!(
        check(|values| drop(values.conditions.insert(ModuleId(7), Conditions(vec![])))),
        Err(strange)
    );
    let mut large = next(&genesis, latest, "x");
    large
        .values
        .conditions
        .insert(ModuleId(0), conditions(MAX_REVISION_BYTES));
    assert!(matches!(
        large.check(&genesis, latest),
        Err(RevisionError::TooLarge(_))
    ));
}

#[test]
fn there_is_a_last_one() {
    let genesis = genesis(1);
    let latest = |number| Latest {
        number,
        ..Latest::founding(&genesis)
    };
    let last = next(&genesis, latest(MAX_REVISIONS - 1), "x");
    assert_eq!(last.check(&genesis, latest(MAX_REVISIONS - 1)), Ok(()));
    let beyond = next(&genesis, latest(MAX_REVISIONS), "x");
    assert!(beyond.check(&genesis, latest(MAX_REVISIONS)).is_err());
}

#[test]
fn whatever_is_changed_about_one_that_is_signed_it_proves_nothing_any_more() {
    let genesis = genesis(1);
    let latest = Latest::founding(&genesis);
    let bytes = signed(&genesis, next(&genesis, latest, "a name"), &[0, 1, 2]).encode();
    for (place, flip) in (0..bytes.len()).flat_map(|place| [(place, 1), (place, 128)]) {
        let mut bytes = bytes.clone();
        bytes[place] ^= flip;
        if let Ok(tampered) = SignedRevision::decode(&bytes) {
            assert!(tampered.verify(&genesis, latest).is_err(), "{place}");
        }
    }
}
