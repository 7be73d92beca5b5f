//! Answers over TLS, of a server that is none of ours.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    env, fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use async_std::task::block_on;
use guildmint_client::{GatewayCall, RequestError};
use guildmint_client_http::Gateways;
use serde_json::{json, Value as Json};
use tempfile::TempDir;

/// OpenSSL's own server, whose certificate is for `localhost`.
struct Server {
    process: Child,
    port: String,
    certificate: PathBuf,
    _folder: TempDir,
}

impl Server {
    /// One that answers each question for a gateway's health with `{}`.
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("v1")).unwrap();
        fs::write(folder.path().join("v1/gateway"), "{}").unwrap();
        certify(folder.path());
        let serve = "s_server -accept 127.0.0.1:0 -cert server.crt -key server.key -WWW";
        let mut process = Command::new("openssl")
            .args(serve.split(' '))
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut ports =
            lines.filter_map(|line| Some(line.ok()?.strip_prefix("ACCEPT 127.0.0.1:")?.to_owned()));
        Self {
            port: ports.next().expect("a port"),
            process,
            certificate: folder.path().join("server.crt"),
            _folder: folder,
        }
    }

    fn ask(&self, host: &str) -> Result<Json, RequestError> {
        let url = format!("https://{host}:{}", self.port);
        block_on(Gateways::new().ask(&url, &GatewayCall::Info))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn certify(folder: &Path) {
    let make = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost \
                -addext subjectAltName=DNS:localhost -keyout server.key -out server.crt";
    let status = Command::new("openssl")
        .args(make.split_whitespace())
        .current_dir(folder)
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
}

#[test]
fn only_a_server_with_a_certificate_for_its_name_that_somebody_known_has_signed_is_believed() {
    let (known, unknown) = (Server::start(), Server::start());
    // What the system trusts, as OpenSSL is told.
    env::set_var("SSL_CERT_FILE", &known.certificate);
    assert_eq!(known.ask("localhost"), Ok(json!({})));
    for (server, host) in [(&known, "127.0.0.1"), (&unknown, "localhost")] {
        let refused = server.ask(host);
        assert!(
            matches!(&refused, Err(RequestError::Unreachable(why)) if why.contains("certificate")),
            "{refused:?}"
        );
    }
}
