//! When to dial a guardian again (SPEC NET-5). Pure: time and attempts go in, a delay comes out.

use std::time::Duration;

use guildmint_core::PeerId;

const SHORTEST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(10);

/// How much longer the higher index waits, so that of two guardians that could dial at once usually only one does.
const HEAD_START: Duration = Duration::from_millis(300);

/// How long `me` waits before it dials `peer` after `attempt` failures in a row.
///
/// Doubles from 200 ms to 10 s. Half of it is jitter, a hash of who dials whom for which time: guardians that lost the
/// same peer together do not return to it together, and two that collide do not collide again.
pub(crate) fn delay(me: PeerId, peer: PeerId, attempt: u32) -> Duration {
    let pause = match attempt {
        0 => Duration::ZERO,
        n => SHORTEST.saturating_mul(1 << (n - 1).min(16)).min(LONGEST),
    };
    let jitter = f64::from(hash(me, peer, attempt)) / f64::from(u32::MAX);
    let patience = if me < peer {
        Duration::ZERO
    } else {
        HEAD_START
    };
    pause.mul_f64(0.5 + 0.5 * jitter) + patience
}

/// The finalizer of SplitMix64: spreads neighbouring inputs evenly.
fn hash(me: PeerId, peer: PeerId, attempt: u32) -> u32 {
    let mut x = u64::from(me.0) << 48 | u64::from(peer.0) << 32 | u64::from(attempt);
    x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((x ^ (x >> 31)) >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_from_the_shortest_to_the_longest_and_stays() {
        for attempt in 1..200 {
            let pause = SHORTEST
                .saturating_mul(1 << (attempt - 1).min(16))
                .min(LONGEST);
            let delay = delay(PeerId(0), PeerId(1), attempt);
            assert!(
                pause / 2 <= delay && delay <= pause,
                "attempt {attempt}: {delay:?}"
            );
        }
        assert_eq!(delay(PeerId(0), PeerId(1), 0), Duration::ZERO);
    }

    #[test]
    fn the_lower_index_goes_first() {
        assert_eq!(delay(PeerId(5), PeerId(2), 0), HEAD_START);
    }

    #[test]
    fn guardians_do_not_return_together() {
        let delays: std::collections::BTreeSet<_> =
            (0..19).map(|me| delay(PeerId(me), PeerId(19), 3)).collect();
        assert_eq!(delays.len(), 19);
    }
}
