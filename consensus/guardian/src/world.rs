//! What modules see of the outside world, and ask of it: one thread for each, since looking may block.

pub(crate) mod chain;

use std::{
    collections::BTreeMap,
    io,
    sync::{
        mpsc::{self, Receiver, RecvTimeoutError},
        Arc, Mutex, MutexGuard, PoisonError,
    },
    thread,
    time::{Duration, Instant},
};

use async_std::channel::Sender;
use guildmint_core::ModuleId;
use guildmint_engine::node::Event;
use guildmint_wallet_electrum::Outage;

use crate::shell::Input;

/// Someone who looks at the outside world for a module. May block.
pub(crate) trait Observer: Send + 'static {
    /// Takes what the module asks, in the module's encoding. It may be asked twice.
    fn take(&mut self, job: &[u8]);

    /// Does what was asked and looks around.
    fn look(&mut self) -> Look;
}

/// What an observer sees.
pub(crate) struct Look {
    /// News in the module's encoding, if there is any.
    pub(crate) news: Vec<Vec<u8>>,
    /// How things look, or why nothing can be seen, for the operator.
    pub(crate) seen: Result<String, String>,
    /// What the operator must do something about.
    pub(crate) alarm: Option<String>,
}

/// How the outside world is seen, for the operator.
pub(crate) struct Sight(Mutex<View>);

struct View {
    ok: bool,
    detail: String,
    alarm: Option<String>,
    outage: Outage,
}

impl Default for Sight {
    fn default() -> Self {
        Self(Mutex::new(View {
            ok: false,
            detail: "not seen yet".to_owned(),
            alarm: None,
            outage: Outage::default(),
        }))
    }
}

impl Sight {
    /// Whether it can be seen, and how it looks or why not.
    pub(crate) fn check(&self) -> (bool, String) {
        let view = self.view();
        (view.ok, view.detail.clone())
    }

    /// What the operator must do something about.
    pub(crate) fn alarm(&self) -> Option<String> {
        self.view().alarm.clone()
    }

    fn update(&self, seen: Result<String, String>, alarm: Option<String>) {
        let (ok, detail) = match seen {
            Ok(detail) => (true, detail),
            Err(why) => (false, why),
        };
        let mut view = self.view();
        if alarm != view.alarm {
            match &alarm {
                Some(alarm) => tracing::error!(%alarm, "the operator must look"),
                None => tracing::info!("nothing is left for the operator to look at"),
            }
            view.alarm = alarm;
        }
        if !ok {
            if let Some(failures) = view.outage.failed(Instant::now()) {
                tracing::warn!(%detail, failures, "the outside world cannot be seen; trying again");
            }
        } else if !view.ok {
            let failures = view.outage.answered().unwrap_or_default();
            tracing::info!(%detail, failures, "the outside world can be seen");
        }
        (view.ok, view.detail) = (ok, detail);
    }

    fn view(&self) -> MutexGuard<'_, View> {
        // Whoever panicked has left a view that was true a moment ago.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The ways to the observers' threads, which end when this is dropped.
#[derive(Default)]
pub(crate) struct Worlds {
    jobs: BTreeMap<ModuleId, mpsc::Sender<Vec<u8>>>,
}

impl Worlds {
    /// Starts a thread for an observer, which looks when it is asked something and `interval` after it looked last.
    ///
    /// # Errors
    /// If the system has no thread left.
    pub(crate) fn start(
        &mut self,
        module: ModuleId,
        observer: impl Observer,
        interval: Duration,
        inputs: Sender<Input>,
    ) -> io::Result<Arc<Sight>> {
        let sight = Arc::new(Sight::default());
        let (sender, jobs) = mpsc::channel();
        let seen = Arc::clone(&sight);
        thread::Builder::new()
            .name(format!("world-{}", module.0))
            .spawn(move || {
                watch(observer, &jobs, interval, &seen, |news| {
                    let event = Event::World { module, news };
                    inputs.send_blocking(Input::Event(event)).is_ok()
                })
            })?;
        self.jobs.insert(module, sender);
        Ok(sight)
    }

    /// Passes on what a module asks.
    pub(crate) fn work(&self, module: ModuleId, job: Vec<u8>) {
        if let Some(jobs) = self.jobs.get(&module) {
            // Closed only when the guardian is stopping.
            let _ = jobs.send(job);
        }
    }
}

fn watch(
    mut observer: impl Observer,
    jobs: &Receiver<Vec<u8>>,
    interval: Duration,
    sight: &Sight,
    tell: impl Fn(Vec<u8>) -> bool,
) {
    loop {
        let look = observer.look();
        sight.update(look.seen, look.alarm);
        if !look.news.into_iter().all(&tell) {
            return;
        }
        match jobs.recv_timeout(interval) {
            Ok(job) => observer.take(&job),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        for job in jobs.try_iter() {
            observer.take(&job);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use async_std::channel::unbounded;

    use super::*;

    /// Says back what it was asked, once it has been asked twice.
    #[derive(Default)]
    struct Echo(Vec<Vec<u8>>);

    impl Observer for Echo {
        fn take(&mut self, job: &[u8]) {
            self.0.push(job.to_vec());
        }

        fn look(&mut self) -> Look {
            let asked = self.0.len() > 1;
            Look {
                news: if asked {
                    std::mem::take(&mut self.0)
                } else {
                    Vec::new()
                },
                seen: if asked {
                    Ok("fine".into())
                } else {
                    Err("nobody asked".into())
                },
                alarm: asked.then(|| "look".into()),
            }
        }
    }

    #[test]
    fn jobs_wake_the_observer_and_news_come_back() {
        let (inputs, outputs) = unbounded();
        let mut worlds = Worlds::default();
        let never = Duration::from_secs(3600);
        let module = ModuleId(3);
        let sight = worlds
            .start(module, Echo::default(), never, inputs)
            .unwrap();
        for job in [b"a", b"b"] {
            worlds.work(module, job.to_vec());
        }
        worlds.work(ModuleId(4), b"nobody's".to_vec());
        for expected in [b"a", b"b"] {
            let Input::Event(Event::World { module, news }) = outputs.recv_blocking().unwrap()
            else {
                panic!("other input");
            };
            assert_eq!((module, news), (ModuleId(3), expected.to_vec()));
        }
        assert_eq!(sight.check(), (true, "fine".into()));
        assert_eq!(sight.alarm().as_deref(), Some("look"));
        drop(worlds);
        // The thread ends, and with it the last sender.
        assert!(outputs.recv_blocking().is_err());
    }
}
