//! Logs, on standard error.

use std::{
    io::{self, IsTerminal as _},
    str::FromStr,
};

use tracing_subscriber::EnvFilter;

/// How logs look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON document a line.
    Json,
}

/// Neither `text` nor `json`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoLogFormat;

impl FromStr for LogFormat {
    type Err = NoLogFormat;

    fn from_str(text: &str) -> Result<Self, NoLogFormat> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(NoLogFormat),
        }
    }
}

/// Levels of detail, such as `warn,guildmintd=debug`, if that is what the text says.
#[must_use]
pub fn levels(text: &str) -> Option<String> {
    let parsed = text.parse::<EnvFilter>();
    parsed.is_ok().then(|| text.to_owned())
}

/// Proof that a panic anywhere ends the process. Whoever must not run otherwise asks for it.
#[derive(Debug, Clone, Copy)]
pub struct PanicsEnd(());

/// Begins to log. ⚠ From here on a panic anywhere ends the process: part of a program must not live on without the rest, and whoever supervises
/// it starts it again.
pub fn start(levels: &str, format: LogFormat) -> PanicsEnd {
    let logs = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(levels))
        // A program must not end because nobody reads what it says.
        .log_internal_errors(false)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr);
    match format {
        LogFormat::Text => logs.init(),
        LogFormat::Json => logs.json().init(),
    }
    std::panic::set_hook(Box::new(|panic| {
        tracing::error!(%panic, "a bug; the program ends, nothing is lost");
        std::process::abort();
    }));
    PanicsEnd(())
}
