//! How often one may be wrong.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    time::{Duration, Instant},
};

/// Wrong words from one network before it must wait.
const BURST: u32 = 5;

/// After this, one more may be wrong.
const INTERVAL: Duration = Duration::from_secs(10);

/// Networks that were wrong lately and are remembered. With so many of them nobody else may be wrong either.
const MAX_NETWORKS: usize = 1024;

/// Counts those who were wrong.
#[derive(Debug, Default)]
pub(super) struct Attempts(BTreeMap<IpAddr, Instant>);

impl Attempts {
    /// Whether this network may try, which counts as wrong until it turns out right.
    pub(super) fn begin(&mut self, network: IpAddr, now: Instant) -> bool {
        if self.0.len() >= MAX_NETWORKS {
            self.0.retain(|_, spent_until| *spent_until > now);
        }
        if self.0.len() >= MAX_NETWORKS && !self.0.contains_key(&network) {
            return false;
        }
        let spent_until = self.0.entry(network).or_insert(now);
        let next = (*spent_until).max(now) + INTERVAL;
        let may = next - now <= INTERVAL * BURST;
        if may {
            *spent_until = next;
        }
        may
    }

    /// It was right.
    pub(super) fn right(&mut self, network: IpAddr) {
        self.0.remove(&network);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(number: u32) -> IpAddr {
        IpAddr::V4(number.into())
    }

    #[test]
    fn who_is_wrong_too_often_must_wait() {
        let (mut attempts, now) = (Attempts::default(), Instant::now());
        assert!((0..BURST).all(|_| attempts.begin(ip(1), now)));
        assert!(!attempts.begin(ip(1), now));
        assert!(attempts.begin(ip(2), now), "another network");
        assert!(attempts.begin(ip(1), now + INTERVAL));
        assert!(!attempts.begin(ip(1), now + INTERVAL));
        attempts.right(ip(1));
        assert!(attempts.begin(ip(1), now + INTERVAL));
    }

    #[test]
    fn memory_of_them_is_bounded() {
        let (mut attempts, now) = (Attempts::default(), Instant::now());
        assert!((0..MAX_NETWORKS as u32).all(|number| attempts.begin(ip(number), now)));
        assert!(!attempts.begin(ip(1 << 20), now));
        assert!(attempts.begin(ip(7), now), "one that is known may go on");
        assert!(attempts.begin(ip(1 << 20), now + 2 * INTERVAL));
        assert!(attempts.0.len() <= MAX_NETWORKS);
    }
}
