//! The gateway's program.

mod cli;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use guildmint_daemon::{
    admin::files::{remove_password, set_password},
    logs,
    program::{complaint, fail, given_password, limit_threads},
    settings::Sources,
    Cost,
};
use guildmint_gatewayd::{
    config::{ConfigError, Settings},
    run,
    seed::Seed,
    RunError,
};
use structopt::{
    clap::{Error as UsageError, ErrorKind},
    StructOpt,
};

use cli::{AdminCommand, Arguments, Command, ConfigCommand, SeedCommand};

/// Seconds to wait for a gateway that is asked how it is.
const PATIENCE_SECONDS: u64 = 10;

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
    limit_threads(2);
    async_std::task::block_on(run(settings, words.as_deref(), panics_end))?;
    Ok(())
}

/// Changes the password for browsers.
fn set_admin(data_dir: &Path, command: AdminCommand) -> anyhow::Result<()> {
    match command {
        AdminCommand::SetPassword { from } => {
            let password = given_password(from.as_deref())?;
            set_password(data_dir, &password, Cost::STRONG)?;
        }
        AdminCommand::RemovePassword => {
            remove_password(data_dir)?;
        }
    }
    Ok(())
}

fn usage(error: &UsageError) -> ExitCode {
    match error.kind {
        ErrorKind::HelpDisplayed | ErrorKind::VersionDisplayed => {
            println!("{}", error.message);
            ExitCode::SUCCESS
        }
        kind => {
            let argument = error.info.iter().flatten().next().map(String::as_str);
            let is_unknown = kind == ErrorKind::UnknownArgument;
            fail("usage", complaint(is_unknown, argument, &error.message), 2)
        }
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
