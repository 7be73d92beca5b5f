//! The task around a carrier: its disk is a part of the gateway's database, and what is wrong with one federation stops no other.

use std::sync::Arc;

use async_std::{
    channel::{bounded, unbounded, Receiver},
    task::block_on,
};
use guildmint_client::{Command, MasterSeed, Membership, Reply};
use guildmint_core::{ledger::Changes, ledger::Memory, FederationId, GenesisConfig, Wire};
use guildmint_gateway::federation::{News, Order};
use guildmint_gateway_federation::{
    CommandError, Disk, DiskError, Federation, Settings, StartError, Stopped,
};
use guildmint_gateway_store::{GatewayStore, Place};
use guildmint_ln::ContractId;

use crate::{town::Town, world::keys};

fn settings() -> Settings {
    Settings {
        seed: MasterSeed::new([7; 64]),
        keys: keys(),
        chain: None,
    }
}

/// A federation of this name, none of whose guardians can be reached.
fn membership(name: &str) -> (FederationId, Membership) {
    let membership = Town::new().membership();
    let mut genesis = GenesisConfig::decode(&membership.genesis).unwrap();
    genesis.name = name.into();
    let id = genesis.id();
    let genesis = genesis.encode();
    (
        id,
        Membership {
            genesis,
            ..membership
        },
    )
}

fn open(folder: &std::path::Path) -> GatewayStore {
    GatewayStore::open(&Place::in_directory(folder), Arc::new(|_| ())).unwrap()
}

fn saved(store: &GatewayStore, membership: &Membership, id: FederationId) -> Memory {
    let saving = store.shelf(id).begin(guildmint_client::join(membership));
    saving.wait().unwrap();
    store.shelf(id).load().unwrap()
}

#[test]
fn what_a_wallet_was_told_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let (id, membership) = membership("one");
    let rows = saved(&store, &membership, id);
    let (news, told) = unbounded();
    let started = Federation::start(rows, settings(), store.shelf(id), news.clone());
    let federation = started.unwrap();
    assert_eq!(federation.id(), id);
    block_on(async {
        let (from, first) = told.recv().await.unwrap();
        assert_eq!(from, id);
        assert!(
            matches!(&first, News::State(state) if state.trouble.is_some()),
            "{first:?}"
        );
        let reply = federation.command(Command::DepositAddress).await;
        assert!(matches!(reply, Ok(Reply::Started { .. })), "{reply:?}");
        let refused = federation.command(Command::Deposits {
            operation: Some(guildmint_client::OperationId(9)),
        });
        assert!(matches!(refused.await, Err(CommandError::Client(_))));
        let other = federation.clone();
        federation.stop().await;
        let stopped = Stopped(id);
        let late = other.command(Command::DepositAddress).await;
        assert_eq!(late, Err(CommandError::Stopped(stopped)));
        assert_eq!(other.look(|_| ()).await, Err(stopped));
        // Nobody is there to do it, and nobody waits for that.
        other.order(Order::Look {
            contract: ContractId::from([1; 32]),
        });
    });
    store.close().unwrap();
    let store = open(folder.path());
    let mut shelves = store.shelves().unwrap();
    let rows = shelves.remove(&id).unwrap();
    let again = Federation::start(rows, settings(), store.shelf(id), news).unwrap();
    let operations = block_on(again.look(|client| client.operations().len()));
    assert_eq!(operations, Ok(1));
}

/// Saves nothing.
struct Broken;

impl Disk for Broken {
    async fn save(&mut self, _changes: Changes) -> Result<(), DiskError> {
        Err(DiskError("it is full".into()))
    }
}

fn start(membership: &Membership, disk: impl Disk) -> (Federation, Receiver<(FederationId, News)>) {
    let mut rows = Memory::default();
    rows.apply(guildmint_client::join(membership));
    let (news, told) = unbounded();
    (
        Federation::start(rows, settings(), disk, news).unwrap(),
        told,
    )
}

#[test]
fn one_federation_whose_rows_cannot_be_saved_stops_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let (one, broken) = membership("broken");
    let (two, sound) = membership("sound");
    let (broken, _told) = start(&broken, Broken);
    let (sound, _told_too) = start(&sound, store.shelf(two));
    block_on(async {
        // ⚠ An address that is not saved is told to nobody.
        let reply = broken.command(Command::DepositAddress).await;
        assert_eq!(reply, Err(CommandError::Stopped(Stopped(one))));
        broken.ended().await;
        let reply = sound.command(Command::DepositAddress).await;
        assert!(reply.is_ok(), "{reply:?}");
    });
}

#[test]
fn a_task_stops_also_while_nobody_takes_its_news() {
    let (_, membership) = membership("one");
    let mut rows = Memory::default();
    rows.apply(guildmint_client::join(&membership));
    let (news, _told) = bounded(1);
    let full = (FederationId([0; 32]), News::Announced { number: 1 });
    news.try_send(full).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let shelf = store.shelf(FederationId([0; 32]));
    let federation = Federation::start(rows, settings(), shelf, news).unwrap();
    block_on(federation.stop());
}

#[test]
fn a_federation_without_lightning_is_of_no_use() {
    let (_, membership) = membership("one");
    let mut genesis = GenesisConfig::decode(&membership.genesis).unwrap();
    genesis.modules.remove(&crate::town::LN);
    let mut rows = Memory::default();
    rows.apply(guildmint_client::join(&Membership {
        genesis: genesis.encode(),
        ..membership
    }));
    let (news, _told) = unbounded();
    let refused = Federation::start(rows, settings(), Broken, news);
    assert!(matches!(refused, Err(StartError::Federation(_))));
}
