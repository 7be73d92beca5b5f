//! Threads that check transactions: as many as the machine has processors.

use std::{io, sync::Arc, thread};

use async_std::channel::{unbounded, Sender};
use guildmint_engine::{
    node::{CheckJob, Event, Ticket},
    Federation,
};

use crate::shell::Input;

pub(crate) type Check = (Ticket, CheckJob);

/// Starts the threads. They end with the last sender, whose queue is bounded by what a node asks for at a time.
///
/// # Errors
/// If the system has no thread left.
pub(crate) fn start(
    federation: &Arc<Federation>,
    inputs: &Sender<Input>,
) -> io::Result<Sender<Check>> {
    let (sender, jobs) = unbounded::<Check>();
    let threads = thread::available_parallelism().map_or(1, usize::from);
    for number in 0..threads {
        let (federation, inputs, jobs) = (Arc::clone(federation), inputs.clone(), jobs.clone());
        thread::Builder::new()
            .name(format!("check-{number}"))
            .spawn(move || {
                while let Ok((ticket, job)) = jobs.recv_blocking() {
                    let result = federation.check(job);
                    let checked = Event::Checked { ticket, result };
                    if inputs.send_blocking(Input::Event(checked)).is_err() {
                        return;
                    }
                }
            })?;
    }
    Ok(sender)
}
