//! The guardian's program.

use std::{
    io::{self, IsTerminal as _},
    process::ExitCode,
};

use guildmintd::{
    cli::{Command, ConfigCommand, Options, RecoverWallet},
    config::{read_passphrase, Config, ConfigError, LogFormat, Settings},
    files::Hidden,
    modules,
    recover::{recover_wallet, RecoverError},
    run, Database,
};
use serde_json::{json, Value as Json};
use structopt::{
    clap::{Error as UsageError, ErrorKind},
    StructOpt,
};
use tracing_subscriber::EnvFilter;

/// Seconds to wait for a guardian that is asked how it is.
const PATIENCE_SECONDS: u64 = 10;

/// How async-std learns how many threads it may have.
const THREADS_VARIABLE: &str = "ASYNC_STD_THREAD_COUNT";

fn main() -> ExitCode {
    let command = match Command::from_iter_safe(std::env::args_os()) {
        Ok(command) => command,
        Err(error) => return usage(&error),
    };
    let done = match command {
        Command::Run(options) => start(options),
        Command::Config(ConfigCommand::Show { effective, options }) => show(options, effective),
        Command::Healthcheck(options) => health(options).map(|(ready, _)| ready),
        Command::Status(options) => health(options).map(|(ready, status)| {
            println!("{status:#}");
            ready
        }),
        Command::RecoverWallet(command) => recover(command),
    };
    match done {
        Ok(ready) => ExitCode::from(u8::from(!ready)),
        Err(error) => match config_error(&error) {
            Some(config) => fail("configuration", &config.to_string(), config.exit_code()),
            None => fail("failed", &format!("{error:#}"), 1),
        },
    }
}

fn config_error(error: &anyhow::Error) -> Option<&ConfigError> {
    match error.downcast_ref() {
        Some(RecoverError::Config(config)) => Some(config),
        _ => error.downcast_ref(),
    }
}

fn recover(command: RecoverWallet) -> anyhow::Result<bool> {
    let done = async_std::task::block_on(recover_wallet(command))?;
    println!("{done:#}");
    Ok(true)
}

fn start(options: Options) -> anyhow::Result<bool> {
    let (data_dir, sources) = options.sources()?;
    let settings = Settings::resolve(&sources)?;
    let passphrase = read_passphrase(&sources)?;
    start_logs(&settings);
    limit_threads();
    let config = Config::load(&data_dir, &passphrase, settings)?;
    drop(passphrase);
    async_std::task::block_on(run(modules(), config))?;
    Ok(true)
}

/// A quarter of the processors is enough for all that waits for others: what is slow has threads of its own. With more, an
/// epoch's many small steps spend their time waking one another up.
fn limit_threads() {
    if std::env::var_os(THREADS_VARIABLE).is_none() {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        std::env::set_var(THREADS_VARIABLE, (processors / 4).max(1).to_string());
    }
}

fn start_logs(settings: &Settings) {
    let logs = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(&settings.log))
        // A guardian must not end because nobody reads what it says.
        .log_internal_errors(false)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr);
    match settings.log_format {
        LogFormat::Text => logs.init(),
        LogFormat::Json => logs.json().init(),
    }
    // Part of a guardian must not live on without the rest: it ends, and whoever supervises it starts it again.
    std::panic::set_hook(Box::new(|panic| {
        tracing::error!(%panic, "a bug; the guardian ends, nothing is lost");
        std::process::abort();
    }));
}

fn show(options: Options, effective: bool) -> anyhow::Result<bool> {
    let (_, sources) = options.sources()?;
    let document = match effective {
        true => Settings::explain(&sources),
        false => {
            let mut file = sources.file.clone();
            let shown = |database: Hidden| Hidden(Database::shown(&database.0));
            file.database = file.database.map(shown);
            serde_json::to_value(&file)?
        }
    };
    println!("{document:#}");
    // What is shown is worth little if it cannot be used.
    Settings::resolve(&sources)?;
    Ok(true)
}

/// Asks the guardian at the admin address how it is.
fn health(options: Options) -> anyhow::Result<(bool, Json)> {
    let (_, sources) = options.sources()?;
    let address = Settings::resolve(&sources)?.admin_listen;
    let response = minreq::get(format!("http://{address}/readyz"))
        .with_timeout(PATIENCE_SECONDS)
        .send()
        .map_err(|error| anyhow::anyhow!("no guardian answers at {address}: {error}"))?;
    let status = serde_json::from_slice(response.as_bytes())?;
    Ok((response.status_code == 200, status))
}

fn usage(error: &UsageError) -> ExitCode {
    match error.kind {
        ErrorKind::HelpDisplayed | ErrorKind::VersionDisplayed => {
            println!("{}", error.message);
            ExitCode::SUCCESS
        }
        _ => fail("usage", &error.message, 2),
    }
}

fn fail(code: &str, message: &str, status: u8) -> ExitCode {
    eprintln!("{message}");
    let error = json!({"code": code, "message": message, "retryable": false});
    println!("{:#}", json!({ "error": error }));
    ExitCode::from(status)
}
