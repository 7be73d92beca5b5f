//! The guardian's program.

mod backup_commands;
mod revise_commands;
mod setup_commands;

use std::{net::SocketAddr, process::ExitCode};

use anyhow::Context as _;
use guildmint_api::Token;
use guildmint_daemon::{
    logs,
    program::{complaint, fail, given_password, limit_threads},
};
use guildmintd::{
    admin,
    cli::{AdminCommand, Command, ConfigCommand, Options, RecoverWallet},
    config::{read_local, read_passphrase, Config, ConfigError, Settings},
    files::Hidden,
    founding::{self, Founded, Founding},
    modules,
    recover::{recover_wallet, RecoverError},
    run,
    secrets::Cost,
    Database,
};
use serde_json::Value as Json;
use structopt::{
    clap::{Error as UsageError, ErrorKind},
    StructOpt,
};

use setup_commands::Question;

/// Seconds to wait for a guardian that is asked how it is.
const PATIENCE_SECONDS: u64 = 10;

/// Seconds to wait for a step of the founding: with many guardians it may think for a while.
const STEP_PATIENCE_SECONDS: u64 = 120;

/// What is wrong if there is no cookie.
const NOT_RUNNING: &str = "start the guardian first, in another terminal: guildmintd run";

fn main() -> ExitCode {
    let command = match Command::from_iter_safe(std::env::args_os()) {
        Ok(command) => command,
        Err(error) => return usage(&error),
    };
    let done = match command {
        Command::Run(options) => start(options),
        Command::Config(ConfigCommand::Show { effective, options }) => show(options, effective),
        Command::Healthcheck(options) => health(options),
        Command::Status(options) => status(options),
        Command::Setup(command) => setup_commands::question(command).and_then(put),
        Command::Revise(command) => revise_commands::question(command).and_then(put),
        Command::Backup(command) => backup_commands::run(command).map(|done| {
            println!("{done:#}");
            true
        }),
        Command::Admin(command) => set_admin(command),
        Command::RecoverWallet(command) => recover(command),
    };
    match done {
        Ok(ready) => ExitCode::from(u8::from(!ready)),
        Err(error) => match config_error(&error) {
            Some(config) => fail("configuration", &config.to_string(), config.exit_code()),
            None => match backup_commands::exit_code(&error) {
                Some(status) => fail("backup", &error.to_string(), status),
                None => fail("failed", &told(&error), 1),
            },
        },
    }
}

/// An error with its causes, but for those whose words it has in it already.
fn told(error: &anyhow::Error) -> String {
    let mut told = String::new();
    for cause in error.chain().map(ToString::to_string) {
        match told.is_empty() {
            true => told = cause,
            false if told.contains(&cause) => {}
            false => told = format!("{told}: {cause}"),
        }
    }
    told
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
    logs::start(&settings.log, settings.log_format);
    // A quarter of the processors is enough for all that waits for others. With more, an epoch's many small steps spend their time waking one
    // another up.
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    limit_threads(processors / 4);
    if founding::is_due(&data_dir) {
        let founding = Founding {
            data_dir: data_dir.clone(),
            settings: settings.clone(),
            passphrase: passphrase.clone(),
            cost: Cost::STRONG,
            founders: founding::founders(),
        };
        match async_std::task::block_on(founding::found(founding))? {
            Founded::Federation(_) => {}
            Founded::Stopped => return Ok(true),
        }
    }
    let config = Config::load(&data_dir, &passphrase, settings)?;
    drop(passphrase);
    async_std::task::block_on(run(modules(), config))?;
    Ok(true)
}

/// Puts a question of the operator's to the guardian in the data directory, and prints the answer.
fn put((options, Question { path, body }): (Options, Question)) -> anyhow::Result<bool> {
    let (data_dir, sources) = options.sources()?;
    let address = Settings::resolve(&sources)?.admin_listen;
    let cookie = admin::read_cookie(&data_dir).context(NOT_RUNNING)?;
    let url = format!("http://{address}{path}");
    let request = match body {
        Some(body) => minreq::post(url).with_body(body.to_string()),
        None => minreq::get(url),
    };
    let response = request
        .with_header("authorization", format!("Bearer {}", cookie.reveal()))
        .with_timeout(STEP_PATIENCE_SECONDS)
        .send()
        .map_err(|error| anyhow::anyhow!("no guardian answers at {address}: {error}"))?;
    let answer: Json = serde_json::from_slice(response.as_bytes())?;
    anyhow::ensure!(
        response.status_code == 200,
        "{}",
        answer["detail"].as_str().unwrap_or("the guardian refuses")
    );
    println!("{answer:#}");
    Ok(true)
}

fn show(options: Options, effective: bool) -> anyhow::Result<bool> {
    let (data_dir, sources) = options.sources()?;
    let document = match effective {
        true => Settings::explain(&sources),
        false => {
            let mut file = read_local(&data_dir)?;
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

/// Whether the guardian at the admin address says that it can serve clients.
fn health(options: Options) -> anyhow::Result<bool> {
    let (_, sources) = options.sources()?;
    let address = Settings::resolve(&sources)?.admin_listen;
    Ok(ask(address, "/readyz", None)?.status_code == 200)
}

/// Shows what the guardian in the data directory tells its operator.
fn status(options: Options) -> anyhow::Result<bool> {
    let (data_dir, sources) = options.sources()?;
    let address = Settings::resolve(&sources)?.admin_listen;
    let cookie = admin::read_cookie(&data_dir).context(NOT_RUNNING)?;
    let response = ask(address, "/status", Some(&cookie))?;
    let status: Json = serde_json::from_slice(response.as_bytes())?;
    anyhow::ensure!(
        response.status_code == 200,
        "the guardian at {address} answers: {}",
        status["detail"]
    );
    println!("{status:#}");
    Ok(status["ready"] == true)
}

fn ask(
    address: SocketAddr,
    path: &str,
    cookie: Option<&Token>,
) -> anyhow::Result<minreq::Response> {
    let mut request = minreq::get(format!("http://{address}{path}")).with_timeout(PATIENCE_SECONDS);
    if let Some(cookie) = cookie {
        request = request.with_header("authorization", format!("Bearer {}", cookie.reveal()));
    }
    request
        .send()
        .map_err(|error| anyhow::anyhow!("no guardian answers at {address}: {error}"))
}

/// Changes the password for browsers.
fn set_admin(command: AdminCommand) -> anyhow::Result<bool> {
    match command {
        AdminCommand::SetPassword { from, options } => {
            let (data_dir, _) = options.sources()?;
            let password = given_password(from.as_deref())?;
            admin::set_password(&data_dir, &password, Cost::STRONG)?;
        }
        AdminCommand::RemovePassword(options) => {
            let (data_dir, _) = options.sources()?;
            admin::remove_password(&data_dir)?;
        }
    }
    Ok(true)
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
