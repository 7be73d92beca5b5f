//! The operating system's wish to stop.

use std::{
    io,
    sync::{atomic::AtomicBool, Arc},
    thread,
};

use async_std::channel::{bounded, Receiver};
use signal_hook::{
    consts::{SIGINT, SIGTERM, SIGXFSZ},
    flag,
    iterator::Signals,
};

/// Gets a value at the first SIGTERM or SIGINT. A second one ends the process at once.
///
/// # Errors
/// If the system refuses.
pub fn stop_signal() -> io::Result<Receiver<i32>> {
    let armed = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT] {
        flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&armed))?;
        flag::register(signal, Arc::clone(&armed))?;
    }
    // A write beyond the limit on the size of files shall fail and be reported, not end the process without a word.
    flag::register(SIGXFSZ, Arc::default())?;
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    let (sender, receiver) = bounded(1);
    thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            for signal in signals.forever() {
                let _ = sender.try_send(signal);
            }
        })?;
    Ok(receiver)
}
