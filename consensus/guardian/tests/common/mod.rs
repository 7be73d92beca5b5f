//! Federations in temporary directories.

#![allow(dead_code, reason = "not every test uses all of it")]
#![allow(clippy::unwrap_used)]

pub mod gift;
pub mod giver;

use std::{fs, net::TcpListener, path::PathBuf};

use bitcoin::Network;
use guildmint_core::Quorum;
use guildmint_dealer::{
    deal, deal_mint,
    files::{write, Place},
    DealtModule, Parameters,
};
use guildmint_mint::Denomination;
use guildmintd::config::{Config, Settings, Sources};
use rand_chacha::{rand_core::SeedableRng, ChaCha20Rng};
use tempfile::TempDir;

use gift::{Gift, Nothing};

/// A federation with a mint and a module that gives money away, in files.
pub struct Dealt {
    folder: TempDir,
}

impl Dealt {
    pub fn new(guardians: u16) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut rng = ChaCha20Rng::seed_from_u64(guardians.into());
        let parameters = Parameters {
            name: "test".into(),
            network: Network::Regtest,
            guardians: (0..guardians).map(|i| format!("guardian-{i}")).collect(),
            epoch_floor_ms: 10,
        };
        let quorum = parameters.quorum().unwrap();
        let mint = deal_mint(quorum, Denomination::all().take(4), &mut rng).unwrap();
        let modules = vec![mint, gift(quorum)];
        let (genesis, secrets) = deal(&parameters, modules, &mut rng).unwrap();
        let places = places(guardians);
        write(folder.path(), &genesis, &secrets, &places, &[], &mut rng).unwrap();
        Self { folder }
    }

    pub fn data_dir(&self, guardian: u16) -> PathBuf {
        self.folder.path().join(format!("guardian-{guardian}"))
    }

    pub fn password_file(&self) -> PathBuf {
        self.folder.path().join("password")
    }

    pub fn config(&self, guardian: u16) -> Config {
        let directory = self.data_dir(guardian);
        let file = guildmintd::config::read_local(&directory).unwrap();
        let sources = Sources {
            file: file.settings(),
            ..Sources::default()
        };
        let settings = Settings::resolve(&sources).unwrap();
        let password = fs::read_to_string(self.password_file()).unwrap();
        Config::load(&directory, password.trim(), settings).unwrap()
    }
}

fn gift(quorum: Quorum) -> DealtModule {
    let secrets: Vec<_> = quorum.peers().map(|_| Nothing {}).collect();
    DealtModule::new(Gift::KIND, &Nothing {}, &secrets)
}

/// Ports for the network must be known to the others beforehand; all are held until all are chosen.
fn places(guardians: u16) -> Vec<Place> {
    let sockets: Vec<_> = (0..guardians)
        .map(|_| TcpListener::bind("127.0.0.1:0").unwrap())
        .collect();
    let place = |(i, socket): (usize, &TcpListener)| Place {
        name: format!("guardian-{i}"),
        api_url: "http://127.0.0.1:0".into(),
        api_listen: "127.0.0.1:0".into(),
        admin_listen: "127.0.0.1:0".into(),
        p2p_listen: format!("/ip4/127.0.0.1/tcp/{}", socket.local_addr().unwrap().port()),
    };
    sockets.iter().enumerate().map(place).collect()
}
