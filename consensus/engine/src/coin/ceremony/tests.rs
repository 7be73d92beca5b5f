use hbbft::crypto::poly::BivarPoly;

use super::*;

fn secret(peer: PeerId) -> CoinEncryptionSecret {
    CoinEncryptionSecret::from_seed(&[peer.0 as u8 + 1; 32])
}

fn ceremonies(guardians: u16) -> (Quorum, Vec<CoinCeremony>) {
    let quorum = Quorum::new(guardians).unwrap();
    let keys: Vec<_> = quorum
        .peers()
        .map(|peer| secret(peer).public_key())
        .collect();
    let begin = |peer: PeerId| {
        let seed = [peer.0 as u8 + 100; 32];
        CoinCeremony::new(quorum, peer, &secret(peer), &keys, &seed).unwrap()
    };
    (quorum, quorum.peers().map(begin).collect())
}

/// Everybody's answers to these dealings, one line for each guardian.
fn answers(ceremonies: &mut [CoinCeremony], parts: &[Vec<u8>]) -> Vec<Vec<Vec<u8>>> {
    let mut all = Vec::new();
    for ceremony in ceremonies {
        let dealt = ceremony.quorum.peers().zip(parts);
        let answer = |(peer, part): (PeerId, &Vec<u8>)| ceremony.take_part(peer, part).unwrap();
        all.push(dealt.map(answer).collect());
    }
    all
}

fn run(guardians: u16) -> Vec<CoinKeyPair> {
    let (quorum, mut ceremonies) = ceremonies(guardians);
    let parts: Vec<_> = ceremonies.iter().map(|one| one.part().to_vec()).collect();
    let answers = answers(&mut ceremonies, &parts);
    for ceremony in &mut ceremonies {
        for (peer, answers) in quorum.peers().zip(&answers) {
            ceremony.take_answers(peer, answers).unwrap();
        }
    }
    let finish = |ceremony: CoinCeremony| ceremony.finish().unwrap();
    ceremonies.into_iter().map(finish).collect()
}

#[test]
fn guardians_make_one_coin_that_none_of_them_knows() {
    for guardians in [1, 4] {
        let keys = run(guardians);
        let quorum = Quorum::new(guardians).unwrap();
        for (peer, pair) in quorum.peers().zip(&keys) {
            assert_eq!(pair.public, keys[0].public);
            Coin::new(quorum, peer, &pair.public, &pair.secret).unwrap();
        }
    }
}

#[test]
fn a_guardian_that_begins_again_says_the_same() {
    let (first, second) = (run(4), run(4));
    for (one, other) in first.iter().zip(&second) {
        assert_eq!((&one.public, &one.secret), (&other.public, &other.secret));
    }
    let (_, mut ceremonies) = ceremonies(4);
    let part = ceremonies[1].part().to_vec();
    let answer = ceremonies[0].take_part(PeerId(1), &part).unwrap();
    let (_, mut again) = self::ceremonies(4);
    assert_eq!(again[0].take_part(PeerId(1), &part), Ok(answer));
}

#[test]
fn a_dealing_of_another_degree_is_its_dealers_fault() {
    let (quorum, mut ceremonies) = ceremonies(4);
    let mut rng = StdRng::from_seed([7; 32]);
    let poly = BivarPoly::random(2, &mut rng);
    let rows: Vec<Ciphertext> = quorum
        .peers()
        .map(|peer| {
            let mut row = Vec::new();
            encoding::write(&mut row, &poly.row(usize::from(peer.0) + 1));
            let key = secret(peer).0.public_key();
            key.encrypt_with_rng(&mut rng, row)
        })
        .collect();
    let mut part = Vec::new();
    encoding::write(&mut part, &(poly.commitment(), rows));
    let fault = ceremonies[0].take_part(PeerId(3), &part);
    assert!(
        matches!(fault, Err(CoinFault::Shape { degree: 2, .. })),
        "{fault:?}"
    );
}

#[test]
fn a_wrong_share_names_its_dealer() {
    let (_, mut ceremonies) = ceremonies(4);
    let mut others = CoinCeremony::new(
        Quorum::new(4).unwrap(),
        PeerId(3),
        &secret(PeerId(3)),
        // The shares of guardians 0 and 1 are encrypted to each other.
        &[1, 0, 2, 3].map(|peer| secret(PeerId(peer)).public_key()),
        &[9; 32],
    )
    .unwrap();
    let part = std::mem::take(&mut others.part);
    let fault = ceremonies[0].take_part(PeerId(3), &part);
    assert!(matches!(fault, Err(CoinFault::Part(_))), "{fault:?}");
}

#[test]
fn a_wrong_answer_names_who_gave_it() {
    let (_, mut ceremonies) = ceremonies(4);
    let parts: Vec<_> = ceremonies.iter().map(|one| one.part().to_vec()).collect();
    let all = answers(&mut ceremonies, &parts);
    let take = |ceremony: &mut CoinCeremony, answers: &[Vec<u8>]| {
        ceremony.take_answers(PeerId(2), answers).unwrap_err()
    };
    let short = take(&mut ceremonies[0], &all[2][..3]);
    assert_eq!(short, CoinFault::AnswerCount { have: 3, need: 4 });
    let mut swapped = all[2].clone();
    swapped.swap(0, 1);
    let fault = take(&mut ceremonies[0], &swapped);
    assert!(matches!(fault, CoinFault::Answer { .. }), "{fault}");
    let garbage = vec![vec![0xff; 60]; 4];
    let fault = take(&mut ceremonies[0], &garbage);
    assert!(
        matches!(fault, CoinFault::UnreadableAnswer { .. }),
        "{fault}"
    );
    // Another's answers under one's own name.
    let fault = take(&mut ceremonies[0], &all[1]);
    assert!(matches!(fault, CoinFault::Answer { .. }), "{fault}");
}

#[test]
fn keys_are_not_made_of_some_of_the_answers() {
    let (quorum, mut ceremonies) = ceremonies(4);
    let parts: Vec<_> = ceremonies.iter().map(|one| one.part().to_vec()).collect();
    let all = answers(&mut ceremonies, &parts[..3]);
    assert_eq!(all[0].len(), 3);
    let one = ceremonies.remove(0);
    let all = quorum.guardians();
    assert_eq!(
        one.finish().err(),
        Some(CoinCeremonyError::Incomplete { complete: 0, all })
    );
}

#[test]
fn possession_is_proved_for_one_key_and_context() {
    let (one, other) = (secret(PeerId(0)), secret(PeerId(1)));
    let proof = one.prove(b"code");
    assert!(one.public_key().verify(&proof, b"code"));
    assert!(!one.public_key().verify(&proof, b"another"));
    assert!(!other.public_key().verify(&proof, b"code"));
    assert!(!CoinEncryptionKey(vec![1; 48]).verify(&proof, b"code"));
    assert!(!one.public_key().verify(&CoinKeyProof(vec![]), b"code"));
}

#[test]
fn two_guardians_with_one_key_cannot_begin() {
    let quorum = Quorum::new(4).unwrap();
    let keys = [0, 1, 1, 3].map(|peer| secret(PeerId(peer)).public_key());
    let begun = CoinCeremony::new(quorum, PeerId(0), &secret(PeerId(0)), &keys, &[1; 32]);
    assert!(matches!(begun, Err(CoinCeremonyError::Begin(_))));
}
