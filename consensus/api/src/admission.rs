//! Who may connect and ask: limits for all together and per address (SPEC API-2).

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use guildmint_core::api::Problem;

use crate::{problem, Limits};

/// Addresses remembered before those that have calmed down are forgotten.
const MAX_ADDRESSES: usize = 4096;

/// Counts connections and requests.
#[derive(Debug)]
pub(crate) struct Admission {
    limits: Limits,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    connections: usize,
    addresses: BTreeMap<IpAddr, Address>,
}

#[derive(Debug)]
struct Address {
    connections: usize,
    /// When the requests so far would all have been made, had they come at the allowed rate.
    spent_until: Instant,
}

/// A connection that may be served, counted until this is dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    admission: Arc<Admission>,
    network: Option<IpAddr>,
}

impl Admission {
    pub(crate) fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self {
            limits,
            counts: Mutex::default(),
        })
    }

    /// Connections that are served now.
    pub(crate) fn connections(&self) -> usize {
        self.counts().connections
    }

    /// Lets a connection in, or says why not.
    pub(crate) fn connect(self: &Arc<Self>, from: IpAddr, now: Instant) -> Result<Permit, Problem> {
        let network = self.limited(from);
        let mut counts = self.counts();
        if counts.connections >= self.limits.connections {
            return Err(problem::busy());
        }
        if let Some(network) = network {
            if counts.addresses.len() >= MAX_ADDRESSES {
                counts.addresses.retain(|_, address| !address.is_calm(now));
            }
            let address = counts.addresses.entry(network).or_insert(Address {
                connections: 0,
                spent_until: now,
            });
            if address.connections >= self.limits.connections_per_address {
                return Err(problem::too_many("connections"));
            }
            address.connections += 1;
        }
        counts.connections += 1;
        Ok(Permit {
            admission: Arc::clone(self),
            network,
        })
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the limits per address count by, if they hold for this one.
    fn limited(&self, from: IpAddr) -> Option<IpAddr> {
        let from = from.to_canonical();
        if from.is_loopback() && !self.limits.limit_loopback {
            return None;
        }
        Some(network(from))
    }
}

/// What is counted as one client: an address, or for IPv6 the network of 64 bits that whoever has one such address has whole.
pub(crate) fn network(of: IpAddr) -> IpAddr {
    match of.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        v4 => v4,
    }
}

impl Address {
    fn is_calm(&self, now: Instant) -> bool {
        self.connections == 0 && self.spent_until <= now
    }
}

impl Permit {
    /// Lets a request of this connection in, or says why not.
    pub(crate) fn request(&self, now: Instant) -> Result<(), Problem> {
        let Some(network) = self.network else {
            return Ok(());
        };
        let limits = &self.admission.limits;
        let interval = Duration::from_secs(1) / limits.requests_per_second.max(1);
        let mut counts = self.admission.counts();
        if let Some(address) = counts.addresses.get_mut(&network) {
            let spent_until = address.spent_until.max(now) + interval;
            if spent_until - now > interval * limits.burst {
                return Err(problem::too_many("requests"));
            }
            address.spent_until = spent_until;
        }
        Ok(())
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut counts = self.admission.counts();
        counts.connections -= 1;
        if let Some(address) = self.network.and_then(|of| counts.addresses.get_mut(&of)) {
            address.connections -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission() -> Arc<Admission> {
        Admission::new(Limits {
            connections: 3,
            connections_per_address: 2,
            requests_per_second: 10,
            burst: 3,
            ..Limits::default()
        })
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn connections_are_counted_for_all_and_per_network() {
        let (admission, now) = (admission(), Instant::now());
        let first = admission.connect(ip("2001:db8::1"), now).unwrap();
        let second = admission.connect(ip("2001:db8::2:0:0:1"), now).unwrap();
        let refused = admission.connect(ip("2001:db8::3"), now).unwrap_err();
        assert_eq!(refused.status, 429);
        let third = admission.connect(ip("192.0.2.1"), now).unwrap();
        let refused = admission.connect(ip("192.0.2.2"), now).unwrap_err();
        assert_eq!((refused.status, refused.retryable), (503, true));
        drop((first, second, third));
        assert_eq!(admission.connections(), 0);
        admission.connect(ip("2001:db8::3"), now).unwrap();
    }

    #[test]
    fn requests_have_a_rate_and_a_burst() {
        let (admission, now) = (admission(), Instant::now());
        let permit = admission.connect(ip("192.0.2.1"), now).unwrap();
        let at = |ms| permit.request(now + Duration::from_millis(ms)).is_ok();
        assert_eq!([at(0), at(0), at(0), at(0)], [true, true, true, false]);
        assert_eq!([at(99), at(100), at(100)], [false, true, false]);
        assert_eq!(
            [at(9_000), at(9_000), at(9_000), at(9_000)],
            [true, true, true, false]
        );
    }

    #[test]
    fn this_machine_is_not_limited_unless_asked_for() {
        let (admission, now) = (admission(), Instant::now());
        let local = ["127.0.0.1", "::1", "::ffff:127.0.0.1"];
        let permits: Vec<_> = local
            .iter()
            .map(|address| admission.connect(ip(address), now).unwrap())
            .collect();
        assert!((0..100).all(|_| permits[0].request(now).is_ok()));
        assert!(admission.connect(ip("127.0.0.1"), now).is_err());
    }

    #[test]
    fn addresses_are_forgotten_when_calm() {
        let (admission, now) = (admission(), Instant::now());
        for number in 0..=MAX_ADDRESSES as u32 {
            let from = IpAddr::V4((0x0a00_0000 + number).into());
            drop(admission.connect(from, now).unwrap());
        }
        assert!(admission.counts().addresses.len() <= MAX_ADDRESSES);
    }
}
