//! The node from its start to its end: catching up, and the threads.

use std::{
    sync::{mpsc::Receiver, Arc, RwLock},
    thread::JoinHandle,
    time::Duration,
};

use async_io::Timer;
use bitcoin::Transaction;
use futures::future::{select, Either};
use guildmint_gateway::node::PaymentFailure;
use lightning::{
    events::EventsProvider as _,
    ln::channelmanager::{PaymentId, RecentPaymentDetails},
};
use lightning_background_processor::{
    process_events_async_with_kv_store_sync, GossipSync, NO_LIQUIDITY_MANAGER,
};

use super::{
    events::Waiting,
    start::{now, spawn, StartError},
    Parts,
};
use crate::{
    chain::Watched,
    kv::KvStore,
    log::Log,
    rows::{Rows, SentEnd},
    types::{Gossip, OnionMessenger, Scorer},
};

impl Parts {
    /// Takes in what LDK has to tell from before, and then compares rows with what it knows. ⚠ In this order: a payment that LDK does
    /// not know any more was not sent, unless its end still waits to be told.
    pub(super) fn catch_up(&self) -> Result<(), StartError> {
        let handler = |event| self.handle(event);
        self.manager.process_pending_events(&handler);
        self.monitor.process_pending_events(&handler);
        let recent = self.manager.list_recent_payments();
        for (hash, row) in self.rows.all(Rows::open_sent)? {
            let id = PaymentId(row.name(hash));
            let is_sent = recent.iter().any(|payment| match payment {
                // Its invoice came, and was not paid yet.
                RecentPaymentDetails::AwaitingInvoice { .. } => false,
                RecentPaymentDetails::Pending { payment_id, .. }
                | RecentPaymentDetails::Fulfilled { payment_id, .. }
                | RecentPaymentDetails::Abandoned { payment_id, .. } => *payment_id == id,
            });
            if !is_sent {
                self.manager.abandon_payment(id);
                let never = PaymentFailure::NeverSent;
                self.sent_ended(hash, SentEnd::Failed(never))?;
            }
        }
        for (hash, row) in self.rows.all(Rows::open_held)? {
            self.again(hash, &row);
        }
        let channels = self.manager.list_channels();
        for (channel, _) in self.rows.fundings()? {
            if !channels
                .iter()
                .any(|known| known.user_channel_id == channel)
            {
                self.not_funded(channel)?;
            }
        }
        Ok(())
    }

    pub(super) fn spawn_threads(
        self: &Arc<Self>,
        packages: Receiver<Vec<Transaction>>,
        waiting: Waiting,
    ) -> Result<Vec<JoinHandle<()>>, StartError> {
        let parts = || Arc::clone(self);
        let (chain, broadcasts, peers) = (parts(), parts(), parts());
        let (jobs, dials, answers) = (parts(), parts(), parts());
        Ok(vec![
            spawn("lightning-chain", move || {
                let watched: Watched = vec![
                    chain.manager.clone(),
                    chain.monitor.clone(),
                    chain.sweeper.clone(),
                ];
                let poll = chain.config.poll;
                let after = || chain.tend_held();
                let (broadcaster, stop) = (&chain.broadcaster, &chain.stop);
                chain.chain.run(&watched, broadcaster, poll, stop, after);
            })?,
            spawn("lightning-cast", move || {
                let stop = &broadcasts.stop;
                broadcasts.chain.run_broadcasts(&packages, stop);
            })?,
            spawn("lightning-jobs", move || jobs.run_jobs(&waiting.jobs))?,
            spawn("lightning-dials", move || dials.run_dials(&waiting.dials))?,
            spawn("lightning-offers", move || {
                answers.run_answers(&waiting.answered);
            })?,
            spawn("lightning-peers", move || peers.run_peers())?,
        ])
    }
}

/// What LDK's own work needs beside the parts.
pub(super) struct Background {
    pub(super) kv: Arc<KvStore>,
    pub(super) gossip: Arc<Gossip>,
    pub(super) onion: Arc<OnionMessenger>,
    pub(super) scorer: Arc<RwLock<Scorer>>,
}

impl Background {
    /// LDK's own work, until it is told to stop; the manager is saved last.
    pub(super) fn run(self, parts: &Arc<Parts>) {
        let handler = |event| {
            let handled = parts.handle(event);
            async move { handled }
        };
        let stop = &parts.stop_background;
        let sleeper = |time: Duration| {
            let stopped = stop.wait();
            Box::pin(async move {
                let time = Timer::after(time);
                matches!(select(stopped, time).await, Either::Left(_))
            })
        };
        let work = process_events_async_with_kv_store_sync(
            self.kv,
            handler,
            Arc::clone(&parts.monitor),
            Arc::clone(&parts.manager),
            Some(self.onion),
            GossipSync::p2p(self.gossip),
            Arc::clone(&parts.peers),
            NO_LIQUIDITY_MANAGER,
            Some(Arc::clone(&parts.sweeper)),
            Arc::new(Log),
            Some(self.scorer),
            sleeper,
            false,
            || Some(now()),
        );
        if let Err(error) = async_io::block_on(work) {
            // The store has told its owner, who ends the process.
            tracing::error!(%error, "the Lightning node cannot save its state");
            stop.set();
        }
    }
}
