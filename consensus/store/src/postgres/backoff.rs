use std::time::Duration;

use rand::Rng;

/// Pauses between attempts: each twice as long as the one before, up to a limit, and cut by chance to between a half and all of
/// it, so that many guardians of one server do not come back at once.
#[derive(Debug)]
pub(super) struct Backoff {
    next: Duration,
}

impl Backoff {
    /// The first pause at most.
    const FIRST: Duration = Duration::from_millis(50);

    /// A pause at most.
    const LONGEST: Duration = Duration::from_secs(5);

    pub(super) fn new() -> Self {
        Self { next: Self::FIRST }
    }

    pub(super) async fn pause(&mut self) {
        let pause = self.step(&mut rand::thread_rng());
        async_std::task::sleep(pause).await;
    }

    fn step(&mut self, rng: &mut impl Rng) -> Duration {
        let most = self.next;
        self.next = (most * 2).min(Self::LONGEST);
        rng.gen_range(most / 2..=most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit_and_differ() {
        let mut rng = rand::thread_rng();
        let mut backoff = Backoff::new();
        let pauses: Vec<Duration> = (0..12).map(|_| backoff.step(&mut rng)).collect();
        for (number, pause) in (0..).zip(&pauses) {
            let most = (Backoff::FIRST * 2_u32.pow(number)).min(Backoff::LONGEST);
            assert!((most / 2..=most).contains(pause), "{number}: {pause:?}");
        }
        assert!(pauses[11] >= Backoff::LONGEST / 2);
    }
}
