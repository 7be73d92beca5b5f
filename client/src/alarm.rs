//! When a shell is to tell the time next.

use crate::event::Millis;

/// The last [`WakeAt`](crate::Action::WakeAt) of a wallet. ⚠ It rings once: a wallet that wishes for nothing more says nothing, and a shell that kept the old
/// time would tell the time again and again, without a pause.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Alarm(Option<Millis>);

/// When what is overdue is looked at again, in milliseconds. It should have been done; an alarm at the old time would never ring, and one at once would
/// take all processor time.
const OVERDUE_MS: u64 = 20;

impl Alarm {
    /// What to wish for to be woken at this time. ⚠ Never for a time that has come: it may have been wished for before, and has rung.
    #[must_use]
    pub fn time(at: Millis, now: Millis) -> Millis {
        match at > now {
            true => at,
            false => now.after_ms(OVERDUE_MS),
        }
    }

    /// Replaces the last wish.
    pub fn set(&mut self, at: Millis) {
        self.0 = Some(at);
    }

    /// How long to wait at most; without limit if there is no wish.
    #[must_use]
    pub fn wait_ms(&self, now: Millis) -> Option<u64> {
        self.0.map(|at| at.0.saturating_sub(now.0))
    }

    /// The wallet is told that it is this late.
    pub fn told(&mut self, now: Millis) {
        self.0 = self.0.filter(|at| *at > now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_rings_once() {
        let mut alarm = Alarm::default();
        assert_eq!(alarm.wait_ms(Millis(5)), None);
        alarm.set(Millis(20));
        alarm.told(Millis(19));
        assert_eq!(alarm.wait_ms(Millis(19)), Some(1));
        assert_eq!(alarm.wait_ms(Millis(21)), Some(0));
        alarm.told(Millis(21));
        assert_eq!(alarm.wait_ms(Millis(21)), None);
    }

    #[test]
    fn what_is_overdue_is_wished_for_anew() {
        assert_eq!(Alarm::time(Millis(21), Millis(20)), Millis(21));
        for at in [0, 19, 20] {
            assert!(Alarm::time(Millis(at), Millis(20)) > Millis(20));
        }
    }
}
