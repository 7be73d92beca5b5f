//! Guardians on the loopback interface, for tests. Nothing here waits a fixed time: every wait has a condition and a deadline.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_io::Timer;
use async_std::channel;
use async_std::net::{TcpListener, TcpStream};
use futures::future::{pending, select, Either};
use futures::{AsyncReadExt, FutureExt};
use guildmint_core::PeerId;
use guildmint_net_p2p::{
    public_key, Events, GuardianAddress, Network, NetworkConfig, NetworkEvent,
};

pub const SESSION: [u8; 32] = [9; 32];
const DEADLINE: Duration = Duration::from_secs(60);

/// Runs `future`; fails the test if it takes longer than anything here may.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    async_std::future::timeout(DEADLINE, future)
        .await
        .unwrap_or_else(|_| panic!("{what}: not within {DEADLINE:?}"))
}

/// Waits until `condition` holds.
pub async fn eventually(what: &str, condition: impl Fn() -> bool) {
    within(what, async {
        while !condition() {
            Timer::after(Duration::from_millis(5)).await;
        }
    })
    .await;
}

pub fn seed(peer: u16) -> [u8; 32] {
    [u8::try_from(peer + 1).unwrap(); 32]
}

/// Each is given once, as random ones are.
fn another_instance() -> [u8; 16] {
    static LAST: AtomicU64 = AtomicU64::new(0);
    u128::from(LAST.fetch_add(1, Ordering::Relaxed)).to_be_bytes()
}

/// The config of guardian `me` of `n`, who listens on a free port and knows nobody's address.
pub fn config(me: u16, n: u16) -> NetworkConfig {
    let guardian = |peer| GuardianAddress {
        identity: public_key(&seed(peer)),
        addresses: Vec::new(),
    };
    NetworkConfig {
        identity_seed: seed(me).into(),
        session_id: SESSION,
        me: PeerId(me),
        instance: another_instance(),
        guardians: (0..n).map(guardian).collect(),
        listen: vec!["/ip4/127.0.0.1/tcp/0".into()],
    }
}

pub struct Guardian {
    pub network: Network,
    pub events: Events,
}

impl Guardian {
    pub async fn start(config: NetworkConfig) -> Self {
        let (network, events) = within("start", Network::start(config)).await.unwrap();
        Self { network, events }
    }

    pub fn address(&self) -> String {
        self.network.listen_addresses()[0].clone()
    }

    /// The next event that `pick` accepts; others are skipped.
    pub async fn next<T>(
        &mut self,
        what: &str,
        mut pick: impl FnMut(NetworkEvent) -> Option<T>,
    ) -> T {
        within(what, async {
            loop {
                let event = self.events.recv().await.expect("the network runs");
                if let Some(found) = pick(event) {
                    return found;
                }
            }
        })
        .await
    }

    pub async fn message(&mut self) -> (PeerId, Vec<u8>) {
        self.next("a message", |event| match event {
            NetworkEvent::Message { from, bytes } => Some((from, bytes)),
            _ => None,
        })
        .await
    }

    /// Skips everything until this message.
    pub async fn hears(&mut self, peer: u16, text: &str) {
        let expected = (PeerId(peer), text.as_bytes().to_vec());
        self.next(&format!("`{text}` from {peer}"), |event| match event {
            NetworkEvent::Message { from, bytes } => ((from, bytes) == expected).then_some(()),
            _ => None,
        })
        .await;
    }

    pub async fn knows(&self, peer: u16, address: String) {
        self.network
            .update_addresses(PeerId(peer), vec![address])
            .await
            .unwrap();
    }

    pub fn is_connected(&self, peer: u16) -> bool {
        let peers = self.network.peers();
        peers.iter().any(|p| p.peer == PeerId(peer) && p.connected)
    }
}

/// Waits until both can gossip to each other.
pub async fn connected(a: (&Guardian, u16), b: (&Guardian, u16)) {
    eventually(&format!("{} and {} connect", a.1, b.1), || {
        a.0.is_connected(b.1) && b.0.is_connected(a.1)
    })
    .await;
}

/// Starts `n` guardians; those that `linked` names know each other's address, and are connected on return.
pub async fn federation(n: u16, linked: impl Fn(u16, u16) -> bool) -> Vec<Guardian> {
    let mut guardians = Vec::new();
    for me in 0..n {
        guardians.push(Guardian::start(config(me, n)).await);
    }
    let pairs = (0..n).flat_map(|a| (a + 1..n).map(move |b| (a, b)));
    let pairs: Vec<_> = pairs.filter(|(a, b)| linked(*a, *b)).collect();
    for (a, b) in &pairs {
        let (low, high) = (&guardians[usize::from(*a)], &guardians[usize::from(*b)]);
        low.knows(*b, high.address()).await;
        high.knows(*a, low.address()).await;
    }
    for (a, b) in pairs {
        let (low, high) = (&guardians[usize::from(a)], &guardians[usize::from(b)]);
        connected((low, a), (high, b)).await;
    }
    guardians
}

/// The socket of a multiaddress like `/ip4/127.0.0.1/tcp/1`.
pub fn socket(address: &str) -> String {
    let parts: Vec<_> = address.split('/').collect();
    format!("{}:{}", parts[2], parts[4])
}

/// A wire that can be slow, and that can be cut without either end being told.
pub struct Wire {
    pub address: String,
    cut: channel::Sender<()>,
}

impl Wire {
    pub async fn to(address: &str, latency: Duration) -> Self {
        let target = socket(address);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (cut, is_cut) = channel::bounded::<()>(1);
        async_std::task::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                async_std::task::spawn(carry(near, target.clone(), latency, is_cut.clone()));
            }
        });
        Self {
            address: format!("/ip4/127.0.0.1/tcp/{port}"),
            cut,
        }
    }

    /// From now on nothing passes, and nobody learns of it.
    pub fn cut(&self) {
        self.cut.close();
    }
}

async fn carry(near: TcpStream, target: String, latency: Duration, cut: channel::Receiver<()>) {
    Timer::after(latency).await;
    let Ok(far) = TcpStream::connect(target).await else {
        return;
    };
    let there = copy(near.clone(), far.clone());
    let back = copy(far.clone(), near.clone());
    let both = futures::future::join(there, back);
    // The cut is looked at first, so that nothing passes after it.
    if let Either::Left(_) = select(cut.recv().boxed(), both.boxed()).await {
        // Keeps the sockets open.
        pending::<()>().await;
    }
}

async fn copy(from: TcpStream, to: TcpStream) {
    let (mut from, to) = (from, to);
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(n @ 1..) = from.read(&mut buffer).await {
        if futures::AsyncWriteExt::write_all(&mut &to, &buffer[..n])
            .await
            .is_err()
        {
            break;
        }
    }
    // Either end may be gone already.
    let _ = to.shutdown(std::net::Shutdown::Both);
    let _ = from.shutdown(std::net::Shutdown::Both);
}
