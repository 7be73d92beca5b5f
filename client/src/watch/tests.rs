use rand_chacha::{rand_core::SeedableRng, ChaCha20Rng};
use serde_json::json;

use super::*;

struct Story {
    watch: Watch,
    rng: ChaCha20Rng,
    now: Millis,
}

impl Story {
    fn new() -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let quorum = Quorum::new(4).unwrap();
        Self {
            watch: Watch::new(quorum, Topic::Clock, &mut rng),
            rng,
            now: Millis(1_000),
        }
    }

    /// Who is asked now, and whether to hold the question.
    fn asked(&mut self) -> Vec<(PeerId, bool)> {
        let held = |request: &ApiRequest| match request {
            ApiRequest::Module { parameters, .. } => parameters.contains_key("wait"),
            _ => false,
        };
        let requests = self.watch.tick(self.now, true);
        requests
            .iter()
            .map(|(peer, one)| (*peer, held(one)))
            .collect()
    }

    fn say(&mut self, peer: PeerId, height: u32) -> Option<Json> {
        let answer = Ok(json!({ "height": height }));
        self.watch.answered(peer, answer, self.now, &mut self.rng)
    }

    fn fail(&mut self, peer: PeerId) {
        let error = Err(RequestError::Unreachable("gone".into()));
        let news = self.watch.answered(peer, error, self.now, &mut self.rng);
        assert_eq!(news, None);
    }
}

#[test]
fn what_f_and_one_more_guardians_say_is_news_once() {
    let mut story = Story::new();
    let asked = story.asked();
    assert_eq!(
        asked.len(),
        3,
        "2f + 1, so that f + 1 honest ones are among them"
    );
    assert!(asked.iter().all(|(_, held)| !held), "nothing is known yet");
    let [a, b, c] = [asked[0].0, asked[1].0, asked[2].0];
    assert_eq!(story.say(a, 7), None);
    assert_eq!(story.say(b, 8), None);
    assert_eq!(story.say(c, 7), Some(json!({"height": 7})));
    // All of them are asked to tell when that changes.
    let again = story.asked();
    assert_eq!(again.len(), 3);
    assert!(again.iter().all(|(_, held)| *held));
    story.now = story.now.after_ms(30_000);
    assert_eq!(story.say(a, 7), None);
    assert_eq!(story.say(a, 8), Some(json!({"height": 8})));
    assert_eq!(story.watch.told(), Some(&json!({"height": 8})));
}

#[test]
fn others_step_in_for_guardians_that_fail_and_nobody_is_asked_in_circles() {
    let mut story = Story::new();
    let asked = story.asked();
    let first = asked[0].0;
    story.fail(first);
    let other = story.asked();
    assert_eq!(other.len(), 1);
    assert_ne!(other[0].0, first);
    // While three are busy, nothing is due.
    assert_eq!(story.watch.wake_at(), None);
    story.now = story.now.after_ms(60_000);
    assert_eq!(story.asked(), []);
    // One that answers at once instead of holding the question is asked ever more seldom.
    let hasty = asked[1].0;
    let begun = story.now;
    story.say(hasty, 7);
    for _ in 0..10 {
        let again = story.asked();
        assert!(
            again.contains(&(hasty, true)) || again.len() == 1,
            "{again:?}"
        );
        for (peer, _) in again.into_iter().filter(|(peer, _)| *peer != hasty) {
            story.fail(peer);
        }
        story.say(hasty, 7);
        story.now = story.watch.wake_at().unwrap();
    }
    assert!(story.now.0 - begun.0 > 30_000);
}
