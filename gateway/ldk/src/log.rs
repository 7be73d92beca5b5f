//! What LDK says, into the program's log.

use lightning::util::logger::{Level, Logger, Record};

/// ⚠ LDK's gossip and trace levels are not passed on: they hold whole messages.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Log;

impl Logger for Log {
    fn log(&self, record: Record) {
        let Record {
            level,
            args,
            module_path,
            line,
            ..
        } = record;
        match level {
            Level::Gossip | Level::Trace => {}
            Level::Debug => tracing::debug!(target: "ldk", module_path, line, "{args}"),
            Level::Info => tracing::info!(target: "ldk", module_path, line, "{args}"),
            Level::Warn => tracing::warn!(target: "ldk", module_path, line, "{args}"),
            Level::Error => tracing::error!(target: "ldk", module_path, line, "{args}"),
        }
    }
}
