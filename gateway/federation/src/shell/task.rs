//! The loop around a carrier.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use async_std::{
    channel::{Receiver, Sender},
    future::timeout,
    task,
};
use futures::{channel::oneshot, select_biased, FutureExt as _};
use guildmint_client::{Alarm, Client, ClientError, Command, Millis, Reply, RequestId, Ticket};
use guildmint_client_http::{ChainSource, Gateways, Guardians};
use guildmint_core::FederationId;
use guildmint_gateway::federation::{News, Order};

use crate::{Action, Carrier, Disk, DiskError, Event};

type Answer = Result<Reply, ClientError>;

/// What a handle asks of the task.
pub(super) enum Message {
    Order(Box<Order>),
    Command(Command, oneshot::Sender<Answer>),
    Look(Box<dyn FnOnce(&Client) + Send>),
}

/// What the loop waits for.
enum Incoming {
    Halt,
    Event(guildmint_client::Event),
    Message(Message),
}

/// Why the loop ends.
enum End {
    Stopped,
    Disk(DiskError),
    /// Nobody takes the news.
    Deaf,
}

impl From<DiskError> for End {
    fn from(error: DiskError) -> Self {
        Self::Disk(error)
    }
}

pub(super) struct Task<D> {
    id: FederationId,
    carrier: Carrier,
    guardians: Guardians,
    gateways: Gateways,
    chain: Option<Arc<dyn ChainSource>>,
    disk: D,
    news: Sender<(FederationId, News)>,
    halted: Receiver<()>,
    answers: Sender<guildmint_client::Event>,
    alarm: Alarm,
    replies: BTreeMap<Ticket, oneshot::Sender<Answer>>,
    last_ticket: u64,
}

impl<D: Disk> Task<D> {
    pub(super) fn new(
        carrier: Carrier,
        chain: Option<Arc<dyn ChainSource>>,
        disk: D,
        (news, halted): (Sender<(FederationId, News)>, Receiver<()>),
        answers: Sender<guildmint_client::Event>,
    ) -> Self {
        Self {
            id: carrier.client().genesis().id(),
            guardians: Guardians::new(carrier.client().apis().clone()),
            gateways: Gateways::new(),
            carrier,
            chain,
            disk,
            news,
            halted,
            answers,
            alarm: Alarm::default(),
            replies: BTreeMap::new(),
            last_ticket: 0,
        }
    }

    pub(super) async fn run(
        mut self,
        messages: Receiver<Message>,
        answers: Receiver<guildmint_client::Event>,
    ) {
        let federation = self.id;
        match self.work(&messages, &answers).await {
            Ok(()) | Err(End::Stopped) => {
                tracing::info!(%federation, "the federation's client has stopped");
            }
            Err(End::Deaf) => {
                tracing::info!(%federation, "nobody takes the federation's news, so its client has stopped");
            }
            Err(End::Disk(error)) => {
                tracing::error!(%federation, %error, "the federation's client has stopped");
            }
        }
    }

    async fn work(
        &mut self,
        messages: &Receiver<Message>,
        answers: &Receiver<guildmint_client::Event>,
    ) -> Result<(), End> {
        self.time().await?;
        loop {
            let wake = self.alarm.wait_ms(now()).unwrap_or(3_600_000);
            let incoming = {
                let next = async {
                    select_biased! {
                        _ = self.halted.recv().fuse() => Incoming::Halt,
                        event = answers.recv().fuse() => event.map_or(Incoming::Halt, Incoming::Event),
                        // All handles are gone.
                        message = messages.recv().fuse() => message.map_or(Incoming::Halt, Incoming::Message),
                    }
                };
                timeout(Duration::from_millis(wake), next).await
            };
            match incoming {
                Err(_) => self.time().await?,
                Ok(Incoming::Halt) => return Err(End::Stopped),
                Ok(Incoming::Message(message)) => self.message(message).await?,
                Ok(Incoming::Event(event)) => self.feed(Event::Client(event)).await?,
            }
        }
    }

    async fn message(&mut self, message: Message) -> Result<(), End> {
        match message {
            Message::Order(order) => self.feed(Event::Order(*order)).await,
            Message::Look(look) => {
                look(self.carrier.client());
                Ok(())
            }
            Message::Command(command, reply) => {
                self.last_ticket += 1;
                let ticket = Ticket(self.last_ticket);
                self.replies.insert(ticket, reply);
                let event = guildmint_client::Event::Command { ticket, command };
                self.feed(Event::Client(event)).await
            }
        }
    }

    async fn time(&mut self) -> Result<(), End> {
        let actions = self.tell_time();
        self.act(actions).await
    }

    fn tell_time(&mut self) -> Vec<Action> {
        let now = now();
        self.alarm.told(now);
        let time = guildmint_client::Event::Time { now };
        self.carrier.handle(Event::Client(time))
    }

    async fn feed(&mut self, event: Event) -> Result<(), End> {
        let mut actions = self.tell_time();
        actions.extend(self.carrier.handle(event));
        self.act(actions).await
    }

    async fn act(&mut self, actions: Vec<Action>) -> Result<(), End> {
        let mut actions = VecDeque::from(actions);
        while let Some(action) = actions.pop_front() {
            match action {
                Action::Client(guildmint_client::Action::Save { save, changes }) => {
                    self.disk.save(changes).await?;
                    let saved = guildmint_client::Event::Saved { save };
                    actions.extend(self.carrier.handle(Event::Client(saved)));
                }
                Action::Client(action) => self.act_for_client(action),
                Action::News(news) => {
                    let told = self.news.send((self.id, news));
                    let told = async {
                        select_biased! {
                            told = told.fuse() => told.map_err(|_| End::Deaf),
                            _ = self.halted.recv().fuse() => Err(End::Stopped),
                        }
                    };
                    told.await?;
                }
                Action::WrongShare { guardian, contract } => {
                    let federation = self.id;
                    tracing::warn!(%federation, %guardian, %contract, "a guardian gave a wrong share of a preimage: it lies or is broken");
                }
            }
        }
        Ok(())
    }

    fn act_for_client(&mut self, action: guildmint_client::Action) {
        use guildmint_client::Action as Client;
        match action {
            Client::Request {
                request,
                peer,
                body,
            } => {
                let guardians = self.guardians.clone();
                self.later(async move { answer(request, guardians.ask(peer, &body).await) });
            }
            // The operator pays by another gateway.
            Client::AskGateway { request, url, call } => {
                let gateways = self.gateways.clone();
                self.later(async move {
                    let result = gateways.ask(&url, &call).await;
                    guildmint_client::Event::Gateway { request, result }
                });
            }
            Client::FindDeposits { operation, script } => {
                let chain = self.chain.clone();
                self.later(async move {
                    let result = match chain {
                        Some(chain) => task::spawn_blocking(move || chain.find(&script)).await,
                        None => Err("no Electrum server is known".to_owned()),
                    };
                    guildmint_client::Event::Chain { operation, result }
                });
            }
            Client::UseAddresses { apis } => self.guardians.use_addresses(apis),
            Client::WakeAt { at } => self.alarm.set(at),
            Client::Reply { ticket, result } => {
                if let Some(reply) = self.replies.remove(&ticket) {
                    // Who asked may have gone.
                    let _ = reply.send(result);
                }
            }
            Client::Progress { .. } | Client::Save { .. } => {}
        }
    }

    /// Brings back what comes of it.
    fn later(
        &self,
        work: impl std::future::Future<Output = guildmint_client::Event> + Send + 'static,
    ) {
        let answers = self.answers.clone();
        task::spawn(async move {
            // Nobody listens once the task has ended.
            let _ = answers.send(work.await).await;
        });
    }
}

fn answer(
    request: RequestId,
    result: Result<serde_json::Value, guildmint_client::RequestError>,
) -> guildmint_client::Event {
    guildmint_client::Event::Answer { request, result }
}

/// The time. Before 1970 it is 1970.
fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let ms = since.map_or(0, |since| since.as_millis());
    Millis(u64::try_from(ms).unwrap_or(u64::MAX))
}
