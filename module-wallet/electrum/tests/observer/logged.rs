//! What the operator reads about a server that fails, and no more.

use std::{
    io::{self, Write},
    sync::{
        atomic::{AtomicBool, Ordering},
        Arc, Mutex,
    },
};

use guildmint_wallet_electrum::Observer;

use crate::{
    chain::Chain,
    server::{serve, settings, Reply},
};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn take(&self) -> Vec<String> {
        let bytes = std::mem::take(&mut *self.0.lock().unwrap());
        let text = String::from_utf8(bytes).unwrap();
        text.lines().map(str::to_owned).collect()
    }
}

#[test]
fn an_outage_is_two_lines_however_often_the_server_is_asked() {
    let chain = Chain::new();
    let (served, down) = (chain.clone(), Arc::new(AtomicBool::new(false)));
    let is_down = Arc::clone(&down);
    let url = serve(move |method, parameters| {
        if is_down.load(Ordering::SeqCst) {
            return Reply::Error("out of order");
        }
        served.answer(method, parameters)
    });
    let mut observer = Observer::new(&[&url], settings()).unwrap();
    let log = Log::default();
    let written = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(move || written.clone())
        .finish();
    tracing::subscriber::with_default(subscriber, || {
        let mut poll = || observer.poll(chain.block(5), &[]).is_ok();
        for _ in 0..2 {
            assert!(poll());
            assert_eq!(log.take(), Vec::<String>::new());
            down.store(true, Ordering::SeqCst);
            for _ in 0..10 {
                assert!(!poll());
            }
            let lines = log.take();
            assert_eq!(lines.len(), 1, "{lines:?}");
            for part in ["WARN", &url, "out of order", "failures=1"] {
                assert!(lines[0].contains(part), "{lines:?}");
            }
            down.store(false, Ordering::SeqCst);
            assert!(poll());
            let lines = log.take();
            assert_eq!(lines.len(), 1, "{lines:?}");
            for part in ["INFO", &url, "answers again", "failures=10"] {
                assert!(lines[0].contains(part), "{lines:?}");
            }
        }
    });
}
