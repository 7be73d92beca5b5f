//! A tiny Electrum server on a port of its own.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::Arc,
    thread,
    time::Duration,
};

use guildmint_wallet_electrum::Settings;
use serde_json::{json, Value as Json};

/// What a server does with a request: method and parameters.
pub type Script = dyn Fn(&str, &[Json]) -> Reply + Send + Sync;

pub enum Reply {
    Result(Json),
    Error(&'static str),
    /// Bytes as they are.
    Raw(Vec<u8>),
    /// One byte at a time, for ever.
    Trickle,
    /// Nothing at all.
    Silence,
    HangUp,
}

/// Starts a server, and gives its URL. It runs until the test ends.
pub fn serve(script: impl Fn(&str, &[Json]) -> Reply + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("tcp://{}", listener.local_addr().unwrap());
    let script: Arc<Script> = Arc::new(script);
    thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            let script = Arc::clone(&script);
            thread::spawn(move || answer(&socket, &*script));
        }
    });
    url
}

fn answer(mut socket: &TcpStream, script: &Script) {
    let mut lines = BufReader::new(socket).lines();
    while let Some(Ok(line)) = lines.next() {
        let request: Json = serde_json::from_str(&line).unwrap();
        let method = request["method"].as_str().unwrap();
        let parameters = request["params"].as_array().unwrap();
        let reply = if method == "server.version" {
            Reply::Result(json!(["fake", "1.4"]))
        } else {
            script(method, parameters)
        };
        let bytes = match reply {
            Reply::Result(result) => json!({"id": request["id"], "result": result}).to_string(),
            Reply::Error(message) => {
                json!({"id": request["id"], "error": {"code": 1, "message": message}}).to_string()
            }
            Reply::Raw(bytes) => {
                let _ = socket.write_all(&bytes);
                continue;
            }
            Reply::Trickle => {
                let pace = Some(Duration::from_millis(20));
                socket.set_read_timeout(pace).unwrap();
                // The client has nothing more to say, until it hangs up.
                while !matches!(socket.read(&mut [0]), Ok(0)) {
                    if socket.write_all(b"{").is_err() {
                        break;
                    }
                }
                return;
            }
            Reply::Silence => continue,
            Reply::HangUp => return,
        };
        if socket.write_all(format!("{bytes}\n").as_bytes()).is_err() {
            return;
        }
    }
}

pub fn settings() -> Settings {
    Settings {
        network: bitcoin::Network::Regtest,
        finality_blocks: 2,
        connect_timeout: Duration::from_secs(2),
        request_timeout: Duration::from_millis(300),
        ..Settings::default()
    }
}
