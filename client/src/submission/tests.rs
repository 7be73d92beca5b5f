use guildmint_core::{api::Problem, Epoch};
use rand_chacha::{rand_core::SeedableRng, ChaCha20Rng};
use serde_json::json;

use super::*;

const TXID: TxId = TxId([1; 32]);
const NOW: Millis = Millis(1_000);

struct Bench {
    submission: Submission,
    rng: ChaCha20Rng,
}

impl Bench {
    fn new() -> Self {
        let quorum = Quorum::new(4).unwrap();
        let (submission, requests) = Submission::start(quorum, TXID, vec![7], NOW);
        assert_eq!(requests.len(), 4);
        let rng = ChaCha20Rng::seed_from_u64(1);
        Self { submission, rng }
    }

    fn say(&mut self, peer: u16, status: TransactionStatus) -> Requests {
        let answer = json!(TransactionAnswer { txid: TXID, status });
        self.submission
            .answered(PeerId(peer), Ok(answer), NOW, &mut self.rng)
    }
}

fn accepted() -> TransactionStatus {
    TransactionStatus::Accepted {
        epoch: Epoch(1),
        outcomes: Vec::new(),
    }
}

fn rejected(retryable: bool) -> TransactionStatus {
    TransactionStatus::Rejected(Reject {
        code: "no".into(),
        message: String::new(),
        retryable,
    })
}

#[test]
fn it_takes_one_honest_guardian_to_settle() {
    let mut bench = Bench::new();
    bench.say(0, rejected(false));
    bench.say(1, accepted());
    assert_eq!(bench.submission.standing(), Standing::Open(None));
    bench.say(2, accepted());
    assert!(matches!(bench.submission.standing(), Standing::Accepted(told) if told.len() == 2));

    let mut bench = Bench::new();
    bench.say(0, rejected(false));
    bench.say(1, rejected(true));
    assert!(matches!(
        bench.submission.standing(),
        Standing::Open(Some(_))
    ));
    bench.say(2, rejected(false));
    assert!(matches!(bench.submission.standing(), Standing::Rejected(_)));
}

#[test]
fn unknown_and_silence_settle_nothing_and_the_bytes_go_again() {
    let mut bench = Bench::new();
    for peer in 0..4 {
        assert!(bench.say(peer, TransactionStatus::Unknown).is_empty());
    }
    assert_eq!(bench.submission.standing(), Standing::Open(None));
    let later = NOW.after_ms(5_000);
    let again = bench.submission.tick(later);
    assert_eq!(again.len(), 4);
    assert!(again
        .iter()
        .all(|(_, request)| *request == ApiRequest::Submit(vec![7])));
}

#[test]
fn the_quickest_are_asked_and_the_rest_only_when_they_are_late() {
    let mut bench = Bench::new();
    for peer in [3, 0, 2] {
        assert_eq!(bench.say(peer, TransactionStatus::Pending).len(), 1);
    }
    assert!(bench.say(1, TransactionStatus::Pending).is_empty());
    bench.say(3, accepted());
    assert_eq!(bench.submission.wake_at(NOW), Some(NOW.after_ms(HEDGE_MS)));
    let hedge = bench.submission.tick(NOW.after_ms(HEDGE_MS));
    assert!(matches!(
        hedge.as_slice(),
        [(PeerId(1), ApiRequest::Transaction { .. })]
    ));
}

#[test]
fn a_guardian_that_proved_wrong_is_replaced_at_once() {
    let mut bench = Bench::new();
    for peer in 0..4 {
        bench.say(peer, TransactionStatus::Pending);
    }
    for peer in 0..3 {
        bench.say(peer, accepted());
    }
    bench.submission.distrust(PeerId(0), NOW, &mut bench.rng);
    let next = bench.submission.tick(NOW);
    assert!(matches!(
        next.as_slice(),
        [(PeerId(3), ApiRequest::Transaction { .. })]
    ));
}

#[test]
fn a_guardian_that_will_not_wait_cannot_keep_us_busy() {
    let mut bench = Bench::new();
    assert_eq!(bench.say(0, TransactionStatus::Pending).len(), 1);
    assert!(bench.say(0, TransactionStatus::Pending).is_empty());
    assert!(bench.submission.wake_at(NOW) > Some(NOW.after_ms(100)));
}

#[test]
fn problems_are_refusals_unless_they_are_about_the_guardian() {
    let mut bench = Bench::new();
    let mut problem = |peer, status, retryable| {
        let problem = Problem::new(status, "code", "detail", retryable);
        let result = Err(RequestError::Problem(problem));
        bench
            .submission
            .answered(PeerId(peer), result, NOW, &mut bench.rng);
        bench.submission.standing()
    };
    problem(0, 503, true);
    problem(0, 429, true);
    problem(1, 422, false);
    assert_eq!(problem(2, 503, false), Standing::Open(None));
    assert!(matches!(problem(2, 409, false), Standing::Rejected(_)));
}

#[test]
fn an_answer_about_another_transaction_is_none() {
    let mut bench = Bench::new();
    let answer = json!(TransactionAnswer {
        txid: TxId([2; 32]),
        status: accepted()
    });
    bench
        .submission
        .answered(PeerId(0), Ok(answer), NOW, &mut bench.rng);
    bench
        .submission
        .answered(PeerId(1), Ok(json!([])), NOW, &mut bench.rng);
    assert_eq!(bench.submission.heard(), 0);
}
