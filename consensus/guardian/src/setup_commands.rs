//! What the commands of `guildmintd setup` ask of the guardian that runs.

use std::io::{self, IsTerminal as _, Read as _};

use anyhow::Context as _;
use guildmintd::{
    cli::{Options, SetupCommand},
    config::Settings,
};
use serde_json::{json, Value as Json};

/// Bytes of setup codes that are read from standard input.
const MAX_CODES_BYTES: u64 = 512 * 1024;

/// A question: at which path, and with what.
pub(crate) struct Question {
    pub(crate) path: &'static str,
    /// None to look only.
    pub(crate) body: Option<Json>,
}

/// What a command asks.
pub(crate) fn question(command: SetupCommand) -> anyhow::Result<(Options, Question)> {
    let step = |path, body| Question {
        path,
        body: Some(body),
    };
    Ok(match command {
        SetupCommand::Code {
            name,
            p2p_address,
            api_url,
            place,
        } => {
            let options = Options {
                p2p_address,
                api_url,
                ..place.into()
            };
            let (_, sources) = options.clone().sources()?;
            let settings = Settings::resolve(&sources)?;
            let p2p = settings.p2p_address.context("say where other guardians reach this one: --p2p-address /dns4/guardian.example/tcp/8173, or p2p_address in local.toml")?;
            let api = settings.api_url.context("say where clients reach this guardian: --api-url https://guardian.example, or api_url in local.toml")?;
            let body = json!({ "name": name, "p2p": p2p, "api": api });
            (options, step("/v1/setup/code", body))
        }
        SetupCommand::Join { codes, place } => {
            let codes = match codes.is_empty() {
                true => read_codes()?,
                false => codes,
            };
            (
                place.into(),
                step("/v1/setup/join", json!({ "codes": codes })),
            )
        }
        SetupCommand::Propose {
            name,
            network,
            electrum_for_wallets,
            preview,
            file,
            place,
        } => {
            let proposal = file.map(|path| -> anyhow::Result<Json> {
                let text = std::fs::read_to_string(&path);
                let text = text.with_context(|| path.display().to_string())?;
                serde_json::from_str(&text).with_context(|| path.display().to_string())
            });
            let proposal = proposal.transpose()?;
            let body = json!({
                "name": name, "network": network, "electrum": electrum_for_wallets, "proposal": proposal, "preview": preview
            });
            (place.into(), step("/v1/setup/propose", body))
        }
        SetupCommand::Confirm { words, place } => {
            let body = json!({ "phrase": words.join(" ") });
            (place.into(), step("/v1/setup/confirm", body))
        }
        SetupCommand::Status(place) => {
            let path = "/v1/setup";
            (place.into(), Question { path, body: None })
        }
        SetupCommand::Close(place) => (place.into(), step("/v1/setup/close", json!({}))),
        SetupCommand::Finish(place) => (place.into(), step("/v1/setup/finish", json!({}))),
        SetupCommand::Abort { yes, place } => {
            anyhow::ensure!(yes, "this forgets the guardian's code, and all guardians must begin again with new ones; if you mean it, add --yes");
            (place.into(), step("/v1/setup/abort", json!({})))
        }
    })
}

fn read_codes() -> anyhow::Result<Vec<String>> {
    anyhow::ensure!(
        !io::stdin().is_terminal(),
        "give the setup codes as arguments, or pipe them in, one on each line"
    );
    let mut text = String::new();
    io::stdin()
        .take(MAX_CODES_BYTES)
        .read_to_string(&mut text)?;
    Ok(text.split_whitespace().map(str::to_owned).collect())
}
