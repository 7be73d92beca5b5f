//! When a shell is to tell the time next.

use crate::event::Millis;

/// The last [`WakeAt`](crate::Action::WakeAt) of a wallet. ⚠ It rings once: a wallet that wishes for nothing more says nothing, and a shell that kept the old
/// time would tell the time again and again, without a pause.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Alarm(Option<Millis>);

impl Alarm {
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
}
