//! The loop that founds: steps of the operator, packets of guardians and the passing of time go in one after the other.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use async_std::{
    channel::{bounded, Receiver, Sender},
    task::{self, JoinHandle},
};
use futures::channel::oneshot;
use guildmint_api::{EventHub, SetupStatus, SetupStep};
use guildmint_core::{
    api::Problem, founding::Founders, ledger::Key, ledger::Memory, module::Registry, FederationId,
    ModuleId, PeerId,
};
use guildmint_engine::{node::Event, Coin, Federation};
use guildmint_founding::{
    key_generation::KeyGeneration, meeting::MeetingFailure, Meeting, MeetingAction, Roster, Seed,
    SetupCode, KEY_GENERATION, PACKET_VERSION,
};
use guildmint_net_p2p::{Events, GuardianAddress, Network, NetworkConfig, NetworkEvent};
use guildmint_store::{SqliteStore, Store as _, StoreError};
use serde_json::Value as Json;

use super::{folder::Folder, founder::Founder, probe::Probe, FoundError, Founded, Founding};
use crate::{
    guardian::instance,
    metrics::Metrics,
    running::{Parts, Running},
    shell::{Input, MAX_INPUTS},
    world::Worlds,
};

/// How often guardians tell each other what they have heard.
const REMINDER: Duration = Duration::from_secs(1);

/// How long a guardian stays when it knows that all have their keys, so that all others hear it too.
const GOODBYE: Duration = Duration::from_secs(3);

/// Nothing in the outside world changes by itself.
const NEVER: Duration = Duration::from_secs(24 * 3600);

/// What comes into the loop.
pub(super) enum Inbox {
    /// The operator takes a step.
    Step(SetupStep, oneshot::Sender<Result<Json, Problem>>),
    /// The operator looks.
    Look(oneshot::Sender<SetupStatus>),
    /// The operator wants to know how far it is once that is not this version any more.
    Watch(String, oneshot::Sender<SetupStatus>),
    /// Something of the network.
    Network(NetworkEvent),
    /// Time passes.
    Tick,
    /// The database of the key generation cannot be relied on any more.
    StoreFailed(StoreError),
    /// The key generation has ended.
    Finished(Result<FederationId, String>),
    /// A guardian runs the federation already.
    Runs(PeerId),
    /// The operator wants it to stop.
    Stop,
}

/// One guardian that founds.
pub(super) struct Organizer {
    pub(super) founding: Founding,
    pub(super) founders: Arc<Founders>,
    pub(super) folder: Folder,
    pub(super) inbox: Sender<Inbox>,
    pub(super) own: Option<(Seed, SetupCode)>,
    pub(super) together: Option<Together>,
    /// Whether the operator waits for nobody any more.
    pub(super) is_impatient: bool,
    /// Who waits for something new, and what they know.
    pub(super) watchers: Vec<(String, oneshot::Sender<SetupStatus>)>,
    /// When they were looked after last.
    pub(super) watched: Instant,
}

/// What there is once the codes of all are known.
pub(super) struct Together {
    pub(super) roster: Roster,
    /// Taken while it thinks, which it does elsewhere, since it may take seconds.
    pub(super) meeting: Option<Meeting>,
    pub(super) network: Network,
    listener: JoinHandle<()>,
    pub(super) making: Option<Running>,
    pub(super) finished: Option<Result<FederationId, String>>,
    /// When it was first known that all have their keys.
    pub(super) all_done: Option<Instant>,
    /// Looks whether the others run the federation already.
    pub(super) probe: Option<Probe>,
    /// Who does.
    running: BTreeSet<PeerId>,
}

impl Organizer {
    /// Goes on where it was, if it had begun.
    pub(super) async fn new(founding: Founding, inbox: Sender<Inbox>) -> Result<Self, FoundError> {
        let Founding {
            data_dir,
            passphrase,
            ..
        } = &founding;
        let folder = Folder::of(data_dir);
        let own = folder.begun(passphrase)?;
        let mut organizer = Self {
            founders: Arc::new(Founders::default()),
            founding,
            folder,
            inbox,
            own,
            together: None,
            is_impatient: false,
            watchers: Vec::new(),
            watched: Instant::now(),
        };
        let founders = std::mem::take(&mut organizer.founding.founders);
        organizer.founders = Arc::new(founders);
        if let (Some((_, own)), Some(codes)) = (&organizer.own, organizer.folder.codes()?) {
            let roster = Roster::new(codes, own)?;
            organizer.meet(roster).await?;
        }
        Ok(organizer)
    }

    /// Begins to listen for the others, with what was said before.
    pub(super) async fn meet(&mut self, roster: Roster) -> Result<(), FoundError> {
        let Some((seed, _)) = self.own.clone() else {
            return Ok(());
        };
        let config = network_config(&roster, &seed, &self.founding.settings.p2p_listen)?;
        let (network, events) = Network::start(config).await?;
        let (saved, founders) = (self.folder.said()?, Arc::clone(&self.founders));
        let of = roster.clone();
        let meeting = task::spawn_blocking(move || Meeting::new(of, seed, founders, saved));
        let (meeting, actions) = meeting.await?;
        self.together = Some(Together {
            roster,
            meeting: Some(meeting),
            network,
            listener: task::spawn(listen(events, self.inbox.clone())),
            making: None,
            finished: None,
            all_done: None,
            probe: None,
            running: BTreeSet::new(),
        });
        self.carry_out(actions).await?;
        self.make_keys().await
    }

    /// Runs until the federation exists, or the operator stops it.
    pub(super) async fn run(&mut self, letters: Receiver<Inbox>) -> Result<Founded, FoundError> {
        let ticker = task::spawn(tick(self.inbox.clone()));
        let ended = loop {
            let Ok(letter) = letters.recv().await else {
                break Ok(Founded::Stopped);
            };
            let is_tick = matches!(letter, Inbox::Tick | Inbox::Step(..));
            match self.take(letter).await {
                Ok(None) => self.look_after_watchers(is_tick).await,
                Ok(Some(founded)) => break Ok(founded),
                Err(error) => break Err(error),
            }
        };
        ticker.cancel().await;
        ended
    }

    async fn take(&mut self, letter: Inbox) -> Result<Option<Founded>, FoundError> {
        match letter {
            Inbox::Stop => return Ok(Some(Founded::Stopped)),
            Inbox::Step(step, reply) => {
                let answer = self.step(step).await;
                // An operator that has gone needs no answer.
                let _ = reply.send(answer);
            }
            Inbox::Look(reply) => {
                let _ = reply.send(self.report().await);
            }
            Inbox::Watch(version, reply) => {
                self.watch(version, reply).await;
            }
            Inbox::Network(event) => self.hear(event).await?,
            Inbox::StoreFailed(error) => return Err(error.into()),
            Inbox::Runs(peer) => {
                if let Some(together) = &mut self.together {
                    together.running.insert(peer);
                }
            }
            Inbox::Tick => {
                self.remind().await?;
                self.look_for_the_others().await?;
            }
            Inbox::Finished(result) => {
                match &result {
                    Ok(id) => tracing::info!(federation = %id, "this guardian has its keys"),
                    Err(why) => tracing::error!(%why, "there are no keys"),
                }
                if let Some(together) = &mut self.together {
                    together.finished = Some(result);
                }
                self.remind().await?;
            }
        }
        self.founded()
    }

    /// Whether the federation exists, and nobody needs us to get there.
    fn founded(&mut self) -> Result<Option<Founded>, FoundError> {
        let is_impatient = self.is_impatient;
        let Some(together) = &mut self.together else {
            return Ok(None);
        };
        let Some(Ok(id)) = together.finished else {
            return Ok(None);
        };
        let knows = together
            .meeting
            .as_ref()
            .is_some_and(Meeting::are_others_done);
        // ⚠ Who runs the federation knows that all have their keys, and of f + 1 one is honest.
        let runs = together.running.len() >= together.roster.quorum().one_honest();
        if (knows || runs) && together.all_done.is_none() {
            self.folder.save_all_done()?;
            together.all_done = Some(Instant::now());
        }
        let is_alone = together.roster.quorum().guardians() == 1;
        let is_heard = |at: Instant| at.elapsed() > GOODBYE || is_alone;
        let leaves = is_impatient || together.all_done.is_some_and(is_heard);
        Ok(leaves.then_some(Founded::Federation(id)))
    }

    async fn hear(&mut self, event: NetworkEvent) -> Result<(), FoundError> {
        let Some(together) = &self.together else {
            return Ok(());
        };
        match event {
            NetworkEvent::Message { from, bytes } if bytes.first() == Some(&PACKET_VERSION) => {
                let actions = self.with_meeting(move |meeting| meeting.take(from, &bytes));
                let actions = actions.await.unwrap_or_default();
                self.carry_out(actions).await?;
                self.make_keys().await
            }
            NetworkEvent::Message { from, bytes } => {
                together.to_node(Event::Peer { from, bytes }).await;
                Ok(())
            }
            NetworkEvent::Connected(peer) => {
                together.to_node(Event::Connected(peer)).await;
                self.remind_one(peer).await
            }
            NetworkEvent::RunsTwice { of, .. } => {
                tracing::warn!(
                    guardian = of.0,
                    "two processes with the same secrets take part; one of them must be stopped"
                );
                Ok(())
            }
            _ => Ok(()),
        }
    }

    async fn remind(&mut self) -> Result<(), FoundError> {
        let Some(together) = &self.together else {
            return Ok(());
        };
        let peers = together.network.peers();
        for peer in peers.iter().filter(|peer| peer.connected) {
            self.remind_one(peer.peer).await?;
        }
        Ok(())
    }

    async fn remind_one(&mut self, peer: PeerId) -> Result<(), FoundError> {
        let is_done = self.together.as_ref().is_some_and(Together::is_done);
        let reminder = self.with_meeting(move |meeting| meeting.remind(peer, is_done));
        let actions = reminder.await.unwrap_or_default();
        self.carry_out(actions).await
    }

    /// Lets the meeting think, elsewhere. Nothing else is taken in meanwhile.
    pub(super) async fn with_meeting<T: Send + 'static>(
        &mut self,
        think: impl FnOnce(&mut Meeting) -> T + Send + 'static,
    ) -> Option<T> {
        let together = self.together.as_mut()?;
        let mut meeting = together.meeting.take()?;
        let (meeting, thought) = task::spawn_blocking(move || {
            let thought = think(&mut meeting);
            (meeting, thought)
        })
        .await;
        together.meeting = Some(meeting);
        Some(thought)
    }

    /// Saves and sends, in this order.
    pub(super) async fn carry_out(
        &mut self,
        actions: Vec<MeetingAction>,
    ) -> Result<(), FoundError> {
        let Some(together) = &self.together else {
            return Ok(());
        };
        for action in actions {
            match action {
                MeetingAction::Save(said) => self.folder.save(&said)?,
                MeetingAction::Send { to, bytes } => together.network.send(to, bytes).await,
            }
        }
        Ok(())
    }

    /// Begins to make the modules' keys once the meeting has agreed.
    pub(super) async fn make_keys(&mut self) -> Result<(), FoundError> {
        let (Some(together), Some((seed, _))) = (&mut self.together, &self.own) else {
            return Ok(());
        };
        let agreed = together.meeting.as_ref().and_then(Meeting::agreed).cloned();
        let (None, Some(agreed)) = (&together.making, agreed) else {
            return Ok(());
        };
        tracing::info!("all guardians have agreed; the modules' keys are being made");
        let roster = &together.roster;
        let (genesis, secrets) = agreed.key_generation(roster, seed, &self.founders)?;
        let secrets: BTreeMap<ModuleId, Vec<u8>> = secrets
            .iter()
            .map(|(id, secret)| (*id, secret.to_vec()))
            .collect();
        let (me, registry) = (roster.me(), Registry::default().with::<KeyGeneration>());
        let federation = Arc::new(Federation::new(genesis, me, &registry, &secrets)?);
        let coin = &agreed.coin;
        let coin = Coin::new(roster.quorum(), me, &coin.public, &coin.secret)?;
        let store = SqliteStore::open(self.folder.path()).await?;
        let resident = Memory(store.load_prefix(&[Key::RESIDENT]).await?);
        let inputs = bounded(MAX_INPUTS);
        let founder = Founder {
            data_dir: self.founding.data_dir.clone(),
            passphrase: self.founding.passphrase.clone(),
            cost: self.founding.cost,
            founders: Arc::clone(&self.founders),
            roster: roster.clone(),
            seed: seed.clone(),
            agreed,
            inbox: self.inbox.clone(),
            news: Vec::new(),
        };
        let mut worlds = Worlds::default();
        worlds.start(KEY_GENERATION, founder, NEVER, inputs.0.clone())?;
        let running = Running::start(Parts {
            federation,
            coin,
            identity: seed.identity(),
            store: Arc::new(store),
            resident,
            network: together.network.clone(),
            configured: BTreeMap::new(),
            worlds,
            metrics: Arc::new(Metrics::default()),
            hub: EventHub::default(),
            inputs,
        });
        let (running, its_loop) = running.map_err(Box::new)?;
        together.making = Some(running);
        let inbox = self.inbox.clone();
        task::spawn(async move {
            if let Err(error) = its_loop.await {
                let _ = inbox.send(Inbox::StoreFailed(error)).await;
            }
        });
        for peer in together.network.peers() {
            if peer.connected {
                together.to_node(Event::Connected(peer.peer)).await;
            }
        }
        Ok(())
    }

    /// Lets go of the network and the database.
    pub(super) async fn stop(&mut self) {
        let Some(together) = self.together.take() else {
            return;
        };
        if let Some(probe) = together.probe {
            probe.stop().await;
        }
        together.network.stop().await;
        together.listener.cancel().await;
        if let Some(running) = together.making {
            if let Err(error) = running.stop().await {
                tracing::warn!(%error, "the database of the key generation was not closed in order");
            }
        }
    }
}

impl Together {
    /// Whether this guardian has its keys.
    pub(super) fn is_done(&self) -> bool {
        matches!(self.finished, Some(Ok(_)))
    }

    /// Others that have not told that they have their keys.
    pub(super) fn waiting_for(&self) -> Vec<PeerId> {
        let me = self.roster.me();
        let has_told = |peer| self.meeting.as_ref().is_some_and(|one| one.is_done(peer));
        let others = self.roster.quorum().peers().filter(|peer| *peer != me);
        others.filter(|peer| !has_told(*peer)).collect()
    }

    pub(super) fn meeting(&self) -> Option<&Meeting> {
        self.meeting.as_ref()
    }

    pub(super) fn failure(&self) -> Option<String> {
        let met = self.meeting.as_ref().and_then(Meeting::failure);
        let met = met.map(MeetingFailure::to_string);
        met.or_else(|| self.finished.clone()?.err())
    }

    pub(super) async fn to_node(&self, event: Event) {
        if let Some(making) = &self.making {
            // Fails if its database has failed, which it has told.
            let _ = making.inputs.send(Input::Event(event)).await;
        }
    }
}

fn network_config(
    roster: &Roster,
    seed: &Seed,
    listen: &[String],
) -> Result<NetworkConfig, FoundError> {
    Ok(NetworkConfig {
        identity_seed: seed.identity().seed(),
        session_id: roster.meeting_id(),
        me: roster.me(),
        instance: instance().map_err(FoundError::Randomness)?,
        guardians: addresses(roster),
        listen: listen.to_vec(),
    })
}

/// Where the guardians said that they are.
pub(super) fn addresses(roster: &Roster) -> Vec<GuardianAddress> {
    let codes = roster.codes().iter().map(|code| GuardianAddress {
        identity: code.guardian().identity.0,
        addresses: code.guardian().p2p.clone(),
    });
    codes.collect()
}

async fn listen(mut events: Events, inbox: Sender<Inbox>) {
    while let Some(event) = events.recv().await {
        if inbox.send(Inbox::Network(event)).await.is_err() {
            return;
        }
    }
}

async fn tick(inbox: Sender<Inbox>) {
    loop {
        task::sleep(REMINDER).await;
        if inbox.send(Inbox::Tick).await.is_err() {
            return;
        }
    }
}
