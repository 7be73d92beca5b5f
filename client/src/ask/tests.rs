use proptest::prelude::*;
use rand_chacha::{rand_core::SeedableRng, ChaCha20Rng};
use serde_json::json;

use super::*;

const NOW: Millis = Millis(1_000);

struct Bench {
    ask: Ask,
    rng: ChaCha20Rng,
}

impl Bench {
    fn new(guardians: u16, rule: Rule) -> (Self, Requests) {
        Self::of(guardians, rule, ApiRequest::Status.into())
    }

    fn of(guardians: u16, rule: Rule, whom: Whom) -> (Self, Requests) {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let quorum = Quorum::new(guardians).unwrap();
        let reader: Reader = |json| (!json.is_null()).then(|| json.clone());
        let (ask, requests) = Ask::start(quorum, whom, rule, reader, NOW, &mut rng);
        (Self { ask, rng }, requests)
    }

    fn say(&mut self, peer: u16, answer: Result<Json, RequestError>) -> Requests {
        self.ask.answered(PeerId(peer), answer, NOW, &mut self.rng)
    }
}

fn down() -> Result<Json, RequestError> {
    Err(RequestError::TimedOut(1))
}

#[test]
fn a_fact_takes_one_honest_guardian() {
    let (mut bench, asked) = Bench::new(4, Rule::Same);
    assert_eq!(asked.len(), 2);
    let (first, second) = (asked[0].0 .0, asked[1].0 .0);
    bench.say(first, Ok(json!(1)));
    assert_eq!(bench.ask.finding(NOW), None);
    // They disagree: the others are asked at once.
    let more = bench.say(second, Ok(json!(2)));
    assert_eq!(more.len(), 2);
    bench.say(more[0].0 .0, Ok(json!(2)));
    assert_eq!(bench.ask.finding(NOW), Some(Finding::Fact(json!(2))));
}

#[test]
fn slow_guardians_are_hedged_and_dead_ones_asked_again() {
    let (mut bench, asked) = Bench::new(4, Rule::Same);
    assert_eq!(bench.ask.wake_at(), NOW.after_ms(HEDGE_MS));
    assert_eq!(bench.ask.tick(NOW.after_ms(HEDGE_MS)).len(), 2);
    for (peer, _) in &asked {
        bench.say(peer.0, down());
    }
    assert_eq!(bench.ask.tick(NOW.after_ms(5_000)).len(), 2);
    assert_eq!(
        bench.ask.finding(NOW.after_ms(DEADLINE_MS)),
        Some(Finding::TooFew {
            answered: 0,
            needed: 2
        })
    );
}

#[test]
fn guardians_that_disagree_are_asked_again_until_they_agree() {
    let (mut bench, _) = Bench::new(4, Rule::Same);
    for peer in 0..4 {
        bench.say(peer, Ok(json!(peer)));
        assert_eq!(bench.ask.finding(NOW), None);
    }
    assert_eq!(bench.ask.tick(NOW.after_ms(HEDGE_MS)).len(), 4);
}

#[test]
fn one_refusal_is_not_enough() {
    let refuse = || Err(RequestError::Problem(Problem::new(400, "bad", "", false)));
    let (mut bench, _) = Bench::new(4, Rule::Same);
    bench.say(0, refuse());
    assert_eq!(bench.ask.finding(NOW), None);
    bench.say(1, refuse());
    assert!(matches!(bench.ask.finding(NOW), Some(Finding::Refused(_))));
}

/// What each guardian of these is asked, and nobody else.
fn each(peers: &[u16]) -> Whom {
    let request = |peer: &u16| {
        (
            PeerId(*peer),
            ApiRequest::Revisions {
                after: (*peer).into(),
            },
        )
    };
    Whom::Each(peers.iter().map(request).collect())
}

#[test]
fn each_is_asked_its_own_and_so_many_answers_are_enough() {
    let (mut bench, asked) = Bench::of(4, Rule::Some(2), each(&[0, 2, 3]));
    assert_eq!(asked.len(), 2);
    let more = bench.ask.tick(NOW.after_ms(HEDGE_MS));
    let mut all: Vec<_> = asked.into_iter().chain(more).collect();
    all.sort_by_key(|(peer, _)| *peer);
    let own = |peer: u16| (PeerId(peer), ApiRequest::Revisions { after: peer.into() });
    assert_eq!(all, [own(0), own(2), own(3)]);
    bench.say(2, Ok(json!("c")));
    assert_eq!(bench.ask.finding(NOW), None);
    bench.say(0, Ok(json!("a")));
    let both = json!({ "0": "a", "2": "c" });
    assert_eq!(bench.ask.finding(NOW), Some(Finding::Fact(both)));
}

#[test]
fn those_who_refuse_or_fail_leave_what_the_others_say() {
    let refuse = || Err(RequestError::Problem(Problem::new(422, "bad", "", true)));
    let (mut bench, _) = Bench::of(4, Rule::Some(3), each(&[0, 1, 2, 3]));
    bench.say(0, refuse());
    bench.say(1, refuse());
    bench.say(2, down());
    // f + 1 refuse, and one may still answer.
    assert_eq!(bench.ask.finding(NOW), None);
    bench.say(3, Ok(json!("d")));
    let one = json!({ "3": "d" });
    assert_eq!(bench.ask.finding(NOW), Some(Finding::Fact(one)));
    let (mut bench, _) = Bench::of(4, Rule::Some(3), each(&[0, 1]));
    bench.say(0, refuse());
    bench.say(1, refuse());
    assert!(matches!(bench.ask.finding(NOW), Some(Finding::Refused(_))));
    let (mut bench, asked) = Bench::of(4, Rule::Some(3), each(&[]));
    assert!(asked.is_empty());
    assert!(matches!(
        bench.ask.finding(NOW),
        Some(Finding::TooFew { .. })
    ));
}

proptest! {
    /// Whatever f liars say, and whoever is asked first.
    #[test]
    fn a_number_stays_between_honest_ones(
        size in 1..4u16,
        honest in prop::collection::vec(100..200u64, 10),
        lies in prop::collection::vec(any::<u64>(), 3),
        rotation in 0..10usize,
        turn in 0..10usize,
    ) {
        let (mut bench, _) = Bench::new(3 * size + 1, Rule::Number);
        let n = usize::from(3 * size + 1);
        let f = usize::from(size);
        let mut order: Vec<usize> = (0..n).collect();
        order.rotate_left(turn % n);
        for place in order {
            let number = match (place + rotation) % n {
                liar if liar < f => lies[liar],
                other => honest[other],
            };
            bench.say(place as u16, Ok(json!(number)));
            if let Some(finding) = bench.ask.finding(NOW) {
                let Finding::Fact(fact) = finding else { panic!("{finding:?}") };
                let (low, high) = (honest[f..n].iter().min(), honest[f..n].iter().max());
                let number = fact.as_u64();
                prop_assert!(number.as_ref() >= low && number.as_ref() <= high);
                return Ok(());
            }
        }
        prop_assert!(false, "no price");
    }
}
