//! What a guardian's own code would never send.

use std::time::Duration;

use async_std::future::timeout;
use async_std::task::block_on;
use guildmint_core::{limits, PeerId};

use crate::{public_key, Events, GuardianAddress, Network, NetworkConfig, NetworkEvent};

fn config(me: u16, addresses: Vec<String>) -> NetworkConfig {
    let guardian = |seed| GuardianAddress {
        identity: public_key(&[seed; 32]),
        addresses: addresses.clone(),
    };
    NetworkConfig {
        identity_seed: [u8::try_from(me).unwrap(); 32].into(),
        session_id: [0; 32],
        me: PeerId(me),
        instance: [0; 16],
        guardians: (0..2).map(guardian).collect(),
        listen: vec!["/ip4/127.0.0.1/tcp/0".into()],
    }
}

async fn until(events: &mut Events, expected: NetworkEvent) {
    let seen = async { while events.recv().await.unwrap() != expected {} };
    timeout(Duration::from_secs(60), seen).await.unwrap();
}

#[test]
fn an_oversized_frame_costs_the_connection_and_nothing_else() {
    block_on(async {
        let (victim, mut events) = Network::start(config(0, vec![])).await.unwrap();
        let (liar, _events) = Network::start(config(1, victim.listen_addresses()))
            .await
            .unwrap();
        until(&mut events, NetworkEvent::Connected(PeerId(1))).await;
        let outbox = liar.outbox(PeerId(0)).unwrap();
        assert!(outbox.push(vec![0; limits::MAX_PACKET_BYTES + 1]));
        until(&mut events, NetworkEvent::Disconnected(PeerId(1))).await;
        until(&mut events, NetworkEvent::Connected(PeerId(1))).await;
        liar.send(PeerId(0), b"better".to_vec()).await;
        let better = NetworkEvent::Message {
            from: PeerId(1),
            bytes: b"better".to_vec(),
        };
        until(&mut events, better).await;
    });
}
