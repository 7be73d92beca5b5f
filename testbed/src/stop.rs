//! Ctrl-C and SIGTERM as a flag, and waiting that looks at it.

use std::{
    io,
    sync::{
        atomic::{AtomicBool, Ordering},
        Arc,
    },
    thread,
    time::{Duration, Instant},
};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use thiserror::Error;

/// How often a condition that nothing announces is looked at again.
const POLL: Duration = Duration::from_millis(50);

/// A request to end, shared by everything that waits. The default is one that nobody ever makes.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

/// Why waiting ended without what was waited for.
#[derive(Debug, Error)]
pub enum WaitError<E> {
    /// Somebody asked the testbed to end.
    #[error("interrupted")]
    Interrupted,
    /// The condition did not hold within the time allowed.
    #[error("not within {} s", .0.as_secs())]
    TimedOut(Duration),
    /// The condition can no longer hold.
    #[error(transparent)]
    Failed(E),
}

impl Stop {
    /// Turns SIGINT, SIGTERM and SIGHUP of this process into a request to end.
    pub fn on_signals() -> io::Result<Self> {
        let flag = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::flag::register(signal, Arc::clone(&flag))?;
        }
        Ok(Self(flag))
    }

    /// Asks everything that holds this flag to end.
    pub fn request(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Whether the end was asked for.
    pub fn requested(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    /// Looks with `probe` until it finds something, fails for good, `limit` has passed, or the end is asked for.
    pub fn wait<T, E>(
        &self,
        limit: Duration,
        mut probe: impl FnMut() -> Result<Option<T>, E>,
    ) -> Result<T, WaitError<E>> {
        let begun = Instant::now();
        loop {
            if let Some(found) = probe().map_err(WaitError::Failed)? {
                return Ok(found);
            }
            if self.requested() {
                return Err(WaitError::Interrupted);
            }
            if begun.elapsed() >= limit {
                return Err(WaitError::TimedOut(limit));
            }
            thread::sleep(POLL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    #[test]
    fn waiting_ends_with_what_the_probe_finds() {
        let mut looks = 0;
        let found = Stop::default().wait(LONG, || {
            looks += 1;
            Ok::<_, ()>((looks == 3).then_some(looks))
        });
        assert!(matches!(found, Ok(3)));
    }

    #[test]
    fn waiting_ends_on_request_failure_and_deadline() {
        let stop = Stop::default();
        let failed = stop.wait(LONG, || Err::<Option<()>, _>("gone"));
        assert!(matches!(failed, Err(WaitError::Failed("gone"))));
        let late = stop.wait(Duration::ZERO, || Ok::<Option<()>, ()>(None));
        assert!(matches!(late, Err(WaitError::TimedOut(Duration::ZERO))));
        stop.request();
        let interrupted = stop.wait(LONG, || Ok::<Option<()>, ()>(None));
        assert!(matches!(interrupted, Err(WaitError::Interrupted)));
    }
}
