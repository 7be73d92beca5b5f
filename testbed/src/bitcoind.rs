//! One bitcoind on regtest, without a wallet.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use bitcoin::hashes::{sha256, Hash, HashEngine, Hmac, HmacEngine};
use serde::{Deserialize, Serialize};

use crate::{
    process::Spec,
    rpc::{Rpc, RpcError, IN_WARMUP},
};

/// How long it may take to start.
pub const READY_LIMIT: Duration = Duration::from_secs(60);
const USER: &str = "testbed";

/// How to reach and start one bitcoind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bitcoind {
    /// Its calls.
    pub rpc: Rpc,
    /// `127.0.0.1:<port>`, where other nodes reach it.
    pub p2p_address: String,
    /// `127.0.0.1:<port>`, the same as in the URL of the calls.
    pub rpc_address: String,
    /// Its data directory.
    pub data_dir: PathBuf,
    /// How to start it.
    pub spec: Spec,
}

impl Bitcoind {
    /// Writes the configuration of a new bitcoind into `folder/bitcoind`.
    pub fn prepare(
        folder: &Path,
        program: &Path,
        rpc_port: u16,
        p2p_port: u16,
    ) -> io::Result<Self> {
        let data_dir = folder.join("bitcoind");
        fs::create_dir_all(&data_dir)?;
        let (password, salt) = (random_hex()?, random_hex()?);
        let config = configuration(&rpc_auth(&password, &salt), rpc_port, p2p_port);
        fs::write(data_dir.join("bitcoin.conf"), config)?;
        let rpc_address = format!("127.0.0.1:{rpc_port}");
        let spec = Spec {
            name: "bitcoind".into(),
            program: program.into(),
            args: vec![format!("-datadir={}", data_dir.display())],
            env: Default::default(),
            log: folder.join("bitcoind.log"),
        };
        Ok(Self {
            rpc: Rpc {
                url: format!("http://{rpc_address}"),
                user: USER.into(),
                password,
            },
            p2p_address: format!("127.0.0.1:{p2p_port}"),
            rpc_address,
            data_dir,
            spec,
        })
    }

    /// Whether it answers. A refusal other than "still starting" is an answer, too.
    pub fn is_ready(&self) -> bool {
        !matches!(
            self.rpc.tip(),
            Err(RpcError::Unreachable { .. }
                | RpcError::Refused {
                    code: IN_WARMUP,
                    ..
                }
                | RpcError::Malformed { .. })
        )
    }
}

/// A fixed password instead of a cookie: the same after a restart, so that electrs finds its way back.
fn configuration(rpc_auth: &str, rpc_port: u16, p2p_port: u16) -> String {
    format!(
        "regtest=1
server=1
printtoconsole=1
debuglogfile=0
dbcache=32
# The relay rules of the main network: what it would refuse must fail here, too.
acceptnonstdtxn=0
# electrs overlooks every unconfirmed transaction whose entry lacks a member that Core otherwise leaves out by now.
deprecatedrpc=bip125
# A network that was stopped for days is not one that still has to download its chain.
maxtipage=315360000
dnsseed=0
fixedseeds=0
discover=0
listenonion=0
natpmp=0
rpcauth={rpc_auth}
whitelist=download,noban@127.0.0.1

[regtest]
rpcbind=127.0.0.1
rpcallowip=127.0.0.1
rpcport={rpc_port}
bind=127.0.0.1:{p2p_port}
"
    )
}

/// The password as bitcoind wants it: `user:salt$HMAC-SHA256(salt, password)`.
fn rpc_auth(password: &str, salt: &str) -> String {
    let mut engine = HmacEngine::<sha256::Hash>::new(salt.as_bytes());
    engine.input(password.as_bytes());
    format!("{USER}:{salt}${}", Hmac::from_engine(engine))
}

fn random_hex() -> io::Result<String> {
    let mut random = [0; 16];
    getrandom::getrandom(&mut random).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(hex::encode(random))
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 4231, test case 2: key "Jefe".
    #[test]
    fn the_password_is_hashed_as_bitcoind_does() {
        assert_eq!(
            rpc_auth("what do ya want for nothing?", "Jefe"),
            "testbed:Jefe$5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }
}
