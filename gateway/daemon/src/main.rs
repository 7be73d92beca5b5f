//! The gateway's program.

mod cli;

use std::{
    fs::File,
    io::{self, IsTerminal as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use guildmint_daemon::{
    admin::files::{first_line, remove_password, set_password},
    logs,
    settings::Sources,
    Cost,
};
use guildmint_gatewayd::{
    config::{ConfigError, Settings},
    run,
    seed::Seed,
    RunError,
};
use serde_json::json;
use structopt::{
    clap::{Error as UsageError, ErrorKind},
    StructOpt,
};

use cli::{AdminCommand, Arguments, Command, ConfigCommand, SeedCommand};

/// Seconds to wait for a gateway that is asked how it is.
const PATIENCE_SECONDS: u64 = 10;

/// How async-std learns how many threads it may have.
const THREADS_VARIABLE: &str = "ASYNC_STD_THREAD_COUNT";

fn main() -> ExitCode {
    let arguments = match Arguments::from_iter_safe(std::env::args_os()) {
        Ok(arguments) => arguments,
        Err(error) => return usage(&error),
    };
    let sources = Settings::sources(arguments.options.flags()).map_err(anyhow::Error::from);
    let done = sources.and_then(|(data_dir, sources)| obey(arguments.command, &data_dir, &sources));
    match done {
        Ok(fine) => ExitCode::from(u8::from(!fine)),
        Err(error) => failed(&error),
    }
}

fn obey(command: Command, data_dir: &Path, sources: &Sources) -> anyhow::Result<bool> {
    match command {
        Command::Run {
            words_file,
            accept_old_copy,
        } => start(data_dir, sources, words_file, accept_old_copy)?,
        Command::Config(ConfigCommand::Show) => {
            println!("{:#}", Settings::explain(sources));
            // What is shown is worth little if it cannot be used.
            Settings::resolve(data_dir, sources)?;
        }
        Command::Healthcheck => {
            let address = Settings::resolve(data_dir, sources)?.admin_listen;
            let asked = minreq::get(format!("http://{address}/readyz"))
                .with_timeout(PATIENCE_SECONDS)
                .send();
            let asked = asked.with_context(|| format!("no gateway answers at {address}"))?;
            return Ok(asked.status_code == 200);
        }
        Command::Seed(SeedCommand::Show) => {
            let seed = Seed::load(data_dir)?;
            let seed = seed.context("there is no seed yet; the first `run` makes one")?;
            println!("{}", *seed.words());
        }
        Command::Admin(command) => set_admin(data_dir, command)?,
    }
    Ok(true)
}

fn start(
    data_dir: &Path,
    sources: &Sources,
    words: Option<PathBuf>,
    accept_old_copy: bool,
) -> anyhow::Result<()> {
    let settings = Settings {
        accept_old_copy,
        ..Settings::resolve(data_dir, sources)?
    };
    let panics_end = logs::start(&settings.log, settings.log_format);
    if std::env::var_os(THREADS_VARIABLE).is_none() {
        // All that is slow has threads of its own.
        std::env::set_var(THREADS_VARIABLE, "2");
    }
    async_std::task::block_on(run(settings, words.as_deref(), panics_end))?;
    Ok(())
}

/// Changes the password for browsers.
fn set_admin(data_dir: &Path, command: AdminCommand) -> anyhow::Result<()> {
    match command {
        AdminCommand::SetPassword { from } => {
            let password = match from {
                Some(path) => {
                    first_line(File::open(&path).with_context(|| path.display().to_string())?)
                }
                None => {
                    anyhow::ensure!(
                        !io::stdin().is_terminal(),
                        "a password that is typed here would show; give --from, or pipe it in"
                    );
                    first_line(io::stdin())
                }
            };
            set_password(data_dir, &password.context("no password")?, Cost::STRONG)?;
        }
        AdminCommand::RemovePassword => {
            remove_password(data_dir)?;
        }
    }
    Ok(())
}

fn names_option(error: &UsageError) -> bool {
    let argument = error.info.iter().flatten().next();
    argument.is_some_and(|argument| argument.starts_with('-'))
}

fn usage(error: &UsageError) -> ExitCode {
    match error.kind {
        ErrorKind::HelpDisplayed | ErrorKind::VersionDisplayed => {
            println!("{}", error.message);
            ExitCode::SUCCESS
        }
        // It may be a password, or words, given in the wrong place.
        ErrorKind::UnknownArgument if !names_option(error) => fail(
            "usage",
            "there is an argument too many, which is not shown here: it may be a secret; see --help",
            2,
        ),
        _ => fail("usage", &error.message, 2),
    }
}

fn failed(error: &anyhow::Error) -> ExitCode {
    if error.downcast_ref::<ConfigError>().is_some() {
        return fail("configuration", &format!("{error:#}"), 2);
    }
    match error.downcast_ref::<RunError>() {
        Some(RunError::Place(place)) if place.is_copy() => {
            fail("not_the_only_copy", &place.to_string(), 3)
        }
        _ => fail("failed", &format!("{error:#}"), 1),
    }
}

fn fail(code: &str, message: &str, status: u8) -> ExitCode {
    eprintln!("{message}");
    let error = json!({"code": code, "message": message, "retryable": false});
    println!("{:#}", json!({ "error": error }));
    ExitCode::from(status)
}
