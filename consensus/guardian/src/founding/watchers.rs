//! Operators that wait for something new to look at.

use std::time::{Duration, Instant};

use futures::channel::oneshot;
use guildmint_api::SetupStatus;

use super::organizer::Organizer;

/// Operators that may wait for something new. More are answered at once.
const MAX_WATCHERS: usize = 16;

/// How often they are looked after at most, while messages come; and with each reminder.
const WATCH_PAUSE: Duration = Duration::from_millis(50);

impl Organizer {
    /// Somebody waits for something other than this version.
    pub(super) async fn watch(&mut self, version: String, reply: oneshot::Sender<SetupStatus>) {
        if self.watchers.len() < MAX_WATCHERS {
            self.watchers.push((version, reply));
            return self.tell_watchers().await;
        }
        let _ = reply.send(self.report().await);
    }

    /// Tells who waits for something new, if there is any. In the midst of much that comes not each time.
    pub(super) async fn look_after_watchers(&mut self, is_due: bool) {
        if is_due || self.watched.elapsed() > WATCH_PAUSE {
            self.tell_watchers().await;
        }
    }

    async fn tell_watchers(&mut self) {
        self.watchers.retain(|(_, reply)| !reply.is_canceled());
        if self.watchers.is_empty() {
            return;
        }
        self.watched = Instant::now();
        let status = self.report().await;
        for (version, reply) in std::mem::take(&mut self.watchers) {
            match version == status.version {
                true => self.watchers.push((version, reply)),
                // Who has gone needs no answer.
                false => drop(reply.send(status.clone())),
            }
        }
    }
}
