//! What deserves a line in the log about something that may fail for hours.

use std::time::{Duration, Instant};

/// How often an outage that goes on is mentioned again.
const REPEAT: Duration = Duration::from_secs(5 * 60);

/// Something that is asked again and again, whether it answers or not. Says when that is worth a line in the log: when it
/// begins to fail, every five minutes while it goes on failing, and when it answers again.
#[derive(Debug, Clone, Default)]
pub struct Outage {
    failures: u64,
    last_said: Option<Instant>,
}

impl Outage {
    /// It failed. How many times since it last answered, this one included, if that is to be said.
    pub fn failed(&mut self, now: Instant) -> Option<u64> {
        self.failures = self.failures.saturating_add(1);
        let is_due = |last| now.saturating_duration_since(last) >= REPEAT;
        if !self.last_said.is_none_or(is_due) {
            return None;
        }
        self.last_said = Some(now);
        Some(self.failures)
    }

    /// It answered. How many times it had failed before, if it had.
    pub fn answered(&mut self) -> Option<u64> {
        let failures = std::mem::take(self).failures;
        (failures > 0).then_some(failures)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_said_at_its_beginning_now_and_then_and_at_its_end() {
        let begin = Instant::now();
        let second = |n: u64| begin + Duration::from_secs(n);
        let mut outage = Outage::default();
        assert_eq!(outage.answered(), None);
        for _ in 0..2 {
            let said: Vec<(u64, u64)> = (0..=700)
                .filter_map(|n| Some((n, outage.failed(second(n))?)))
                .collect();
            assert_eq!(said, [(0, 1), (300, 301), (600, 601)]);
            assert_eq!(outage.answered(), Some(701));
            assert_eq!(outage.answered(), None);
        }
    }
}
