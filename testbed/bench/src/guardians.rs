//! The federation under test, and what it costs.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};
use guildmint_core::InviteCode;
use guildmint_testbed::{
    cache::Cache,
    control::{control, Order},
    network,
    ports::Ports,
    process::{Lifetime, Running},
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

/// What one guardian that is up has spent on average since it started.
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
    /// The guardians of a test network that are up.
    pub fn find(directory: &Path) -> Result<Self> {
        let state = State::load(directory)?;
        let federation = state.federation.as_ref().context("no federation")?;
        let up = state.guardians.iter();
        let up: Vec<_> = up
            .filter_map(|guardian| Some((guardian, state.running(&guardian.spec.name)?)))
            .collect();
        Ok(Self {
            admin: up
                .iter()
                .map(|(guardian, _)| (guardian.admin_url.clone(), guardian.data_dir.clone()))
                .collect(),
            directory: directory.to_owned(),
            invite: federation.invite.parse()?,
            pids: up.iter().map(|(_, process)| process.pid).collect(),
        })
    }

    /// Stops, kills or starts one.
    pub fn order(&mut self, name: &str, order: Order) -> Result<()> {
        control(&self.directory, name, order, &Stop::default())?;
        *self = Self::find(&self.directory)?;
        Ok(())
    }

    /// Starts a guardian that is stopped as two processes with the same secrets: for the others it is one that contradicts itself.
    pub fn start_twice(&mut self, name: &str) -> Result<Running> {
        let state = State::load(&self.directory)?;
        let guardian = state.guardian(name).context("no such guardian")?;
        let mut ports = Ports::new(&Cache::from_env()?);
        let twin = guardian.twin(&self.directory.join("twin"), &mut ports)?;
        self.order(name, Order::Start)?;
        Ok(twin.spec.start(Lifetime::Tethered)?)
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

    /// How long ago the first of them was started.
    pub fn age(&self) -> Result<Duration> {
        let ages = self.pids.iter().map(|pid| age(*pid));
        Ok(ages
            .collect::<Result<Vec<_>>>()?
            .into_iter()
            .max()
            .unwrap_or_default())
    }

    /// How many epochs the first guardian that is up has committed.
    pub fn epochs(&self) -> Result<u64> {
        let (url, data_dir) = self.admin.first().context("no guardian is up")?;
        metric(url, data_dir, "committed_epochs")
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
            sent_bytes += metric(url, data_dir, "network_sent_bytes_total")?;
        }
        let many = self.pids.len() as u64;
        Ok(Spent {
            sent_bytes: sent_bytes / many,
            cpu_ms: cpu_ms / many,
            written_bytes: written_bytes / many,
        })
    }
}

/// How long ago a process was started: field 22 of its `stat`, in hundredths of a second since the machine was.
fn age(pid: u32) -> Result<Duration> {
    let up = fs::read_to_string("/proc/uptime")?;
    let up_s: f64 = up.split_whitespace().next().context("uptime")?.parse()?;
    let started_s = stat(pid, 22)? as f64 / 100.0;
    Ok(Duration::from_secs_f64((up_s - started_s).max(0.0)))
}

/// User and system time of a process, which its `stat` has in hundredths of a second.
fn cpu_time_ms(pid: u32) -> Result<u64> {
    Ok((stat(pid, 14)? + stat(pid, 15)?) * 10)
}

/// A numeric field of a process's `stat`, by its number in proc(5).
fn stat(pid: u32, field: usize) -> Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The second field is a name in brackets, which may contain anything.
    let after_name = stat.rsplit(')').next().context("stat")?;
    let value = after_name.split_whitespace().nth(field - 3);
    Ok(value.context("stat")?.parse()?)
}

fn bytes_written(pid: u32) -> Result<u64> {
    let io = fs::read_to_string(format!("/proc/{pid}/io"))?;
    let line = io
        .lines()
        .find_map(|line| line.strip_prefix("write_bytes: "));
    Ok(line.context("io")?.trim().parse()?)
}

/// What a guardian says in its metrics.
fn metric(admin_url: &str, data_dir: &Path, name: &str) -> Result<u64> {
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
        .find_map(|line| line.strip_prefix(&format!("guildmint_{name} ")));
    Ok(line.context("metrics")?.trim().parse()?)
}
