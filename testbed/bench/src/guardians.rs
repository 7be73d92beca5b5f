//! The federation under test, and what it costs.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use guildmint_core::InviteCode;
use guildmint_testbed::{
    cache::Cache,
    network,
    programs::{Build, Programs},
    state::State,
    stop::Stop,
    wallet::Wallet as Banker,
};

use crate::wallet::Wallet;

/// A federation that runs on this machine.
pub struct Guardians {
    directory: PathBuf,
    /// What wallets join by.
    pub invite: InviteCode,
    pids: Vec<u32>,
    /// Where guardians tell the operator about themselves.
    admin: Vec<(String, PathBuf)>,
}

/// What one guardian has spent on average since it started.
pub struct Spent {
    /// CPU time, in milliseconds.
    pub cpu_ms: u64,
    /// Bytes written to the disk.
    pub written_bytes: u64,
    /// Bytes sent to other guardians.
    pub sent_bytes: u64,
}

impl Spent {
    /// The difference.
    pub fn since(&self, before: &Self) -> Self {
        Self {
            cpu_ms: self.cpu_ms - before.cpu_ms,
            written_bytes: self.written_bytes - before.written_bytes,
            sent_bytes: self.sent_bytes - before.sent_bytes,
        }
    }
}

impl Guardians {
    /// The federation of a test network.
    pub fn find(directory: &Path) -> Result<Self> {
        let state = State::load(directory)?;
        let federation = state.federation.as_ref().context("no federation")?;
        let names = state.guardians.iter().map(|guardian| &guardian.spec.name);
        let pids = names.map(|name| Some(state.running(name)?.pid));
        let admin = state.guardians.iter();
        Ok(Self {
            admin: admin
                .map(|guardian| (guardian.admin_url.clone(), guardian.data_dir.clone()))
                .collect(),
            directory: directory.to_owned(),
            invite: federation.invite.parse()?,
            pids: pids.collect::<Option<_>>().context("a guardian is down")?,
        })
    }

    /// Gives each wallet so much e-cash, by way of a command-line wallet in this folder that pegs it in.
    pub async fn fund(&self, wallets: &mut [Wallet], sat: u64, folder: &Path) -> Result<()> {
        let state = State::load(&self.directory)?;
        let faucet = network::faucet(&state, &self.directory)?;
        let program = Programs::folder(&Cache::from_env()?, Build::Release).join("guildmint");
        let banker = Banker::new(&program, folder, "banker", &Stop::default())?;
        banker.run(&["init"])?;
        banker.run(&["join", &self.invite.to_string()])?;
        let deposit = banker.run(&["deposit", "address"])?;
        let address: bitcoin::Address<_> = deposit.text("address")?.parse()?;
        let all = sat * wallets.len() as u64;
        faucet.pay(&address.assume_checked(), bitcoin::Amount::from_sat(all))?;
        faucet.mine(8)?;
        banker.run(&["deposit", "status", &deposit.text("operation")?, "--wait"])?;
        for wallet in wallets {
            let notes = banker.run(&["send", &format!("{sat}sat")])?.text("notes")?;
            wallet.receive(notes.parse()?).await?;
        }
        Ok(())
    }

    /// What a guardian has spent on average.
    pub fn spent(&self) -> Result<Spent> {
        let mut cpu_ms = 0;
        let mut written_bytes = 0;
        for pid in &self.pids {
            cpu_ms += cpu_time_ms(*pid)?;
            written_bytes += bytes_written(*pid)?;
        }
        let mut sent_bytes = 0;
        for (url, data_dir) in &self.admin {
            sent_bytes += bytes_sent(url, data_dir)?;
        }
        let many = self.pids.len() as u64;
        Ok(Spent {
            sent_bytes: sent_bytes / many,
            cpu_ms: cpu_ms / many,
            written_bytes: written_bytes / many,
        })
    }
}

/// User and system time of a process: fields 14 and 15 of its `stat`, in hundredths of a second.
fn cpu_time_ms(pid: u32) -> Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let after_name = stat.rsplit(')').next().context("stat")?;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
    Ok(ticks * 10)
}

fn bytes_written(pid: u32) -> Result<u64> {
    let io = fs::read_to_string(format!("/proc/{pid}/io"))?;
    let line = io
        .lines()
        .find_map(|line| line.strip_prefix("write_bytes: "));
    Ok(line.context("io")?.trim().parse()?)
}

/// What a guardian says in its metrics.
fn bytes_sent(admin_url: &str, data_dir: &Path) -> Result<u64> {
    let host = admin_url.strip_prefix("http://").context("no URL")?;
    let cookie = fs::read_to_string(data_dir.join("admin.cookie"))?;
    let cookie = cookie.trim();
    let mut stream = TcpStream::connect(host)?;
    write!(
        stream,
        "GET /metrics HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {cookie}\r\nconnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let line = answer
        .lines()
        .find_map(|line| line.strip_prefix("guildmint_network_sent_bytes_total "));
    Ok(line.context("metrics")?.trim().parse()?)
}
