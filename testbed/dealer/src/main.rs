//! Makes a federation for tests, in files.

use std::{path::PathBuf, process::ExitCode, str::FromStr};

use anyhow::anyhow;
use bitcoin::{BlockHash, Network};
use guildmint_core::Tagged;
use guildmint_dealer::{
    deal, deal_ln, deal_mint, deal_wallet,
    files::{write, Place},
    Parameters,
};
use guildmint_mint::Denomination;
use guildmint_wallet::Block;
use rand_chacha::{rand_core::SeedableRng, ChaCha20Rng};
use serde_json::{json, Value as Json};
use structopt::{
    clap::{Error, ErrorKind},
    StructOpt,
};

/// Makes the keys and files of a federation for tests: whoever runs it knows them all.
#[derive(StructOpt)]
struct Options {
    /// Where to write guardian-0/, guardian-1/, … and the password.
    #[structopt(long)]
    out: PathBuf,
    /// What the federation calls itself.
    #[structopt(long, default_value = "Test federation")]
    name: String,
    /// The bitcoin network: bitcoin, testnet, signet or regtest.
    #[structopt(long)]
    network: Network,
    /// How many blocks must follow one before guardians rely on it.
    #[structopt(long)]
    finality: u32,
    /// An Electrum server, for guardians and clients; may be given again.
    #[structopt(long, required = true, number_of_values = 1)]
    electrum: Vec<String>,
    /// The last block before the federation's chain, as height:hash.
    #[structopt(long, parse(try_from_str = block))]
    chain_start: Block,
    /// Least time between the starts of two epochs, in milliseconds.
    #[structopt(long, default_value = "50")]
    epoch_floor_ms: u32,
    /// Makes the same federation for the same hexadecimal digits, instead of one that nobody can guess.
    #[structopt(long, parse(try_from_str = seed))]
    seed: Option<[u8; 32]>,
    /// A JSON list of {name, api_url, api_listen, admin_listen, p2p_listen}.
    #[structopt(long, parse(try_from_str = serde_json::from_str))]
    guardians: Places,
}

/// A list, and one argument.
type Places = Vec<Place>;

fn block(text: &str) -> Result<Block, String> {
    let parsed = text.split_once(':').and_then(|(height, hash)| {
        Some(Block {
            height: height.parse().ok()?,
            hash: BlockHash::from_str(hash).ok()?,
        })
    });
    parsed.ok_or_else(|| format!("`{text}` is not height:hash"))
}

fn seed(text: &str) -> Result<[u8; 32], String> {
    let bytes = hex::decode(text).map_err(|error| error.to_string())?;
    Ok(Tagged::new("guildmint/dealer").field(bytes).finish())
}

fn main() -> ExitCode {
    let options = match Options::from_iter_safe(std::env::args_os()) {
        Ok(options) => options,
        Err(error) => return usage(&error),
    };
    match run(options) {
        Ok(answer) => {
            println!("{answer:#}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            fail("deal", &format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(options: Options) -> anyhow::Result<Json> {
    let seed = match options.seed {
        Some(seed) => seed,
        None => {
            let mut seed = [0; 32];
            getrandom::getrandom(&mut seed)
                .map_err(|error| anyhow!("the system gives no randomness: {error}"))?;
            seed
        }
    };
    let mut rng = ChaCha20Rng::from_seed(seed);
    let places: Vec<Place> = options.guardians;
    let parameters = Parameters {
        name: options.name,
        network: options.network,
        guardians: places.iter().map(|place| place.name.clone()).collect(),
        epoch_floor_ms: options.epoch_floor_ms,
    };
    let quorum = parameters.quorum()?;
    let electrum = options.electrum;
    let mint = deal_mint(quorum, Denomination::all(), &mut rng)?;
    let wallet = deal_wallet(
        quorum,
        options.network,
        options.chain_start,
        |config| {
            config.finality_blocks = options.finality;
            config.electrum.clone_from(&electrum);
        },
        &mut rng,
    );
    let ln = deal_ln(quorum, &mut rng)?;
    let (genesis, secrets) = deal(&parameters, vec![mint, wallet, ln], &mut rng)?;
    write(
        &options.out,
        &genesis,
        &secrets,
        &places,
        &electrum,
        &mut rng,
    )
}

fn usage(error: &Error) -> ExitCode {
    if matches!(
        error.kind,
        ErrorKind::HelpDisplayed | ErrorKind::VersionDisplayed
    ) {
        println!("{}", error.message);
        return ExitCode::SUCCESS;
    }
    fail("usage", &error.message);
    ExitCode::from(2)
}

fn fail(code: &str, message: &str) {
    eprintln!("{message}");
    println!(
        "{:#}",
        json!({"error": {"code": code, "message": message, "retryable": false}})
    );
}
