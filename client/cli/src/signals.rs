//! Ctrl-C: the document is printed even then.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use guildmint_client_http::Interrupter;
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    iterator::Signals as Stream,
};

use crate::{
    arguments::Format,
    failure::{Exit, Failure},
    output,
};

/// How long the wallet's loop may take to stop by itself.
const GRACE: Duration = Duration::from_secs(2);

/// Who is told of a signal.
#[derive(Clone, Default)]
pub struct Signals(Arc<Mutex<Option<Interrupter>>>);

impl Signals {
    /// Listens from here on.
    pub fn install(format: Format) -> Result<Self, Failure> {
        let failed = |error: io::Error| Failure::new(Exit::Failed, "no_signals", error);
        let mut stream = Stream::new([SIGINT, SIGTERM]).map_err(failed)?;
        let signals = Self::default();
        let told = signals.clone();
        let listen = move || {
            if stream.forever().next().is_some() {
                told.interrupt(format);
            }
        };
        thread::Builder::new()
            .name("signals".into())
            .spawn(listen)
            .map_err(failed)?;
        Ok(signals)
    }

    /// From here on a signal stops this loop, so that nothing is cut in the middle.
    pub fn tell(&self, interrupter: Interrupter) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(interrupter);
    }

    fn interrupt(&self, format: Format) {
        let told = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if let Some(interrupter) = told {
            interrupter.interrupt();
            // It prints the document. If it hangs, we do.
            thread::sleep(GRACE);
        }
        output::fail(&Failure::interrupted(), format);
        std::process::exit(Exit::Interrupted as i32);
    }
}
