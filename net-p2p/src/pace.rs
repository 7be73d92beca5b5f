//! How fast a guardian is listened to (SPEC NET-7): more than that is read later, and the peer's own connection fills up.
//!
//! The paces are far above what an honest guardian sends at full load or to one that catches up. They go by guardian and not by
//! connection, so to connect again gains nothing.

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{ready, Context, Poll};
use std::time::{Duration, Instant};

use async_io::Timer;
use async_std::channel::{self, Receiver, Sender};
use futures::{AsyncRead, AsyncWrite, FutureExt};
use guildmint_core::{limits, PeerId};

/// Messages of one guardian in a second, direct and gossiped together. Whoever sends more is read more slowly.
const MESSAGES_PER_SECOND: u32 = 4_000;

/// Bytes of one guardian in a second. Whoever sends more is read more slowly.
const BYTES_PER_SECOND: u32 = 32 * 1024 * 1024;

/// A guardian that has been quiet may be ahead of its pace by what it may send in this time.
const SLACK: Duration = Duration::from_secs(2);

/// Bytes of one guardian's direct messages, and as many of gossip that it has signed, that may wait to be handled: two of the largest and
/// some others. Direct ones beyond that are not read until others are done; gossip is dropped.
pub(crate) const MAX_WAITING_BYTES: usize = 2 * limits::MAX_PACKET_BYTES + 1024 * 1024;

/// What the room for messages is counted in: each message takes one at least.
const PLACE_BYTES: usize = 16 * 1024;

/// What one thing costs in time, and up to when all that came is paid.
#[derive(Debug)]
struct Meter {
    per_second: u32,
    paid_until: Instant,
}

impl Meter {
    fn new(per_second: u32, now: Instant) -> Self {
        Self {
            per_second,
            paid_until: now,
        }
    }

    fn charge(&mut self, count: usize, now: Instant) {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        let nanos = count.saturating_mul(1_000_000_000) / u64::from(self.per_second);
        self.paid_until = self.paid_until.max(now) + Duration::from_nanos(nanos);
    }

    /// How long to wait until there is slack again.
    fn wait(&self, now: Instant) -> Duration {
        let ahead = self.paid_until.saturating_duration_since(now);
        ahead.saturating_sub(SLACK)
    }
}

#[derive(Debug)]
struct Meters {
    messages: Meter,
    bytes: Meter,
    slowed: Duration,
}

impl Meters {
    fn wait(&self, now: Instant) -> Duration {
        self.messages.wait(now).max(self.bytes.wait(now))
    }

    fn charge(&mut self, messages: usize, bytes: usize, now: Instant) {
        let before = self.wait(now);
        self.messages.charge(messages, now);
        self.bytes.charge(bytes, now);
        self.slowed += self.wait(now).saturating_sub(before);
    }
}

/// The pace of one guardian, and the room that its messages have.
#[derive(Debug)]
pub(crate) struct Pace {
    meters: Mutex<Meters>,
    pub(crate) direct: Room,
    pub(crate) gossip: Room,
}

impl Pace {
    pub(crate) fn new() -> Self {
        let now = Instant::now();
        Self {
            meters: Mutex::new(Meters {
                messages: Meter::new(MESSAGES_PER_SECOND, now),
                bytes: Meter::new(BYTES_PER_SECOND, now),
                slowed: Duration::ZERO,
            }),
            direct: Room::new(),
            gossip: Room::new(),
        }
    }

    fn meters(&self) -> MutexGuard<'_, Meters> {
        // Numbers are valid whoever panicked.
        self.meters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A message was read.
    pub(crate) fn message(&self) {
        self.meters().charge(1, 0, Instant::now());
    }

    /// How long it was made to wait in all.
    pub(crate) fn slowed(&self) -> Duration {
        self.meters().slowed
    }

    /// Waits until more may be read.
    pub(crate) async fn keep(&self) {
        loop {
            let wait = self.meters().wait(Instant::now());
            if wait.is_zero() {
                return;
            }
            Timer::after(wait).await;
        }
    }
}

/// The paces of all guardians.
pub(crate) type Paces = BTreeMap<PeerId, Arc<Pace>>;

/// Room for messages that wait to be handled.
#[derive(Debug)]
pub(crate) struct Room {
    taken: Sender<()>,
    places: Receiver<()>,
}

/// The room that one message takes, until it is handled: it is given back when this is dropped.
#[derive(Debug)]
pub struct Held {
    places: Receiver<()>,
    count: usize,
}

impl Drop for Held {
    fn drop(&mut self) {
        for _ in 0..self.count {
            // There are as many, for each was taken.
            let _ = self.places.try_recv();
        }
    }
}

impl Room {
    fn new() -> Self {
        let (taken, places) = channel::bounded(MAX_WAITING_BYTES / PLACE_BYTES);
        Self { taken, places }
    }

    fn held(&self) -> Held {
        Held {
            places: self.places.clone(),
            count: 0,
        }
    }

    /// Waits for room. One caller at a time, so that two do not wait for each other's halves.
    pub(crate) async fn take(&self, bytes: usize) -> Held {
        let mut held = self.held();
        for _ in 0..=bytes / PLACE_BYTES {
            // We have the other end as well, so it is never closed.
            let _ = self.taken.send(()).await;
            held.count += 1;
        }
        held
    }

    /// Takes room if there is enough.
    pub(crate) fn try_take(&self, bytes: usize) -> Option<Held> {
        let mut held = self.held();
        for _ in 0..=bytes / PLACE_BYTES {
            self.taken.try_send(()).ok()?;
            held.count += 1;
        }
        Some(held)
    }
}

/// A stream that is read at a guardian's pace.
pub(crate) struct Paced<S> {
    stream: S,
    pace: Arc<Pace>,
    pause: Option<Timer>,
}

impl<S> Paced<S> {
    pub(crate) fn new(stream: S, pace: Arc<Pace>) -> Self {
        Self {
            stream,
            pace,
            pause: None,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            if let Some(pause) = &mut self.pause {
                ready!(pause.poll_unpin(cx));
                self.pause = None;
            }
            let wait = self.pace.meters().wait(Instant::now());
            if wait.is_zero() {
                break;
            }
            self.pause = Some(Timer::after(wait));
        }
        let read = ready!(Pin::new(&mut self.stream).poll_read(cx, buffer));
        if let Ok(bytes) = read {
            self.pace.meters().charge(0, bytes, Instant::now());
        }
        Poll::Ready(read)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_close(cx)
    }
}

#[cfg(test)]
mod tests {
    use futures::io::Cursor;
    use futures::AsyncReadExt;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn who_keeps_the_pace_never_waits_and_who_does_not_waits_until_it_does() {
        let mut now = Instant::now();
        let mut meter = Meter::new(1_000, now);
        for _ in 0..10 {
            meter.charge(1_000, now);
            assert_eq!(meter.wait(now), Duration::ZERO);
            now += SECOND;
        }
        // What was not used is slack, and no more than that.
        meter.charge(2_000, now);
        assert_eq!(meter.wait(now), Duration::ZERO);
        meter.charge(3_000, now);
        assert_eq!(meter.wait(now), 3 * SECOND);
        assert_eq!(meter.wait(now + 3 * SECOND), Duration::ZERO);
    }

    #[test]
    fn how_long_a_peer_was_slowed_is_known() {
        let pace = Pace::new();
        let now = Instant::now();
        let per_second = MESSAGES_PER_SECOND as usize;
        pace.meters().charge(2 * per_second, 0, now);
        assert!(pace.slowed() < SECOND / 10);
        pace.meters().charge(5 * per_second, 0, now);
        assert!(pace.slowed() > 4 * SECOND && pace.slowed() < 6 * SECOND);
    }

    #[test]
    fn a_stream_is_not_read_beyond_the_pace() {
        let pace = Arc::new(Pace::new());
        let mut stream = Paced::new(Cursor::new(vec![0; 3]), Arc::clone(&pace));
        async_io::block_on(async {
            assert_eq!(stream.read(&mut [0]).await.unwrap(), 1);
            let bytes = 3 * BYTES_PER_SECOND as usize;
            pace.meters().charge(0, bytes, Instant::now());
            let mut buffer = [0];
            assert!(stream.read(&mut buffer).now_or_never().is_none());
        });
    }

    #[test]
    fn room_is_bounded_in_bytes_and_in_number_and_comes_back() {
        let room = Room::new();
        let large: Vec<_> = (0..10).map_while(|_| room.try_take(1024 * 1024)).collect();
        assert_eq!(large.len(), 4, "a fifth would not leave its last place");
        assert!(room.take(1024 * 1024).now_or_never().is_none());
        drop(large);
        let small: Vec<_> = (0..10_000).map_while(|_| room.try_take(0)).collect();
        assert_eq!(small.len(), MAX_WAITING_BYTES / PLACE_BYTES);
        drop(small);
        assert!(room.take(1024 * 1024).now_or_never().is_some());
    }
}
