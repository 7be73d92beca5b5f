//! A carrier with a network, a disk and a clock: a task for each federation, so that what is wrong with one stops no other.

mod join;
mod task;

use std::sync::Arc;

use async_std::channel::{bounded, unbounded, Receiver, Sender};
use futures::channel::oneshot;
use guildmint_client::{Client, ClientError, Command, LoadError, MasterSeed, Reply};
use guildmint_client_http::ChainSource;
use guildmint_core::{ledger::Memory, FederationId};
use guildmint_gateway::{
    federation::{News, Order},
    Keys,
};
use thiserror::Error;

use crate::{Carrier, CarrierError, Disk};

pub use join::{JoinError, Joined};
use task::{Message, Task};

/// Answers that may wait. Whoever brings more waits with them.
const QUEUE: usize = 256;

/// Why a federation's client cannot be started.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum StartError {
    /// Its rows make no wallet.
    #[error(transparent)]
    Rows(#[from] LoadError),
    /// The federation is of no use.
    #[error(transparent)]
    Federation(#[from] CarrierError),
    /// There is no randomness.
    #[error("the system gives no random numbers: {0}")]
    Random(String),
}

/// The task has ended: it was stopped, or its rows could not be saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the client of federation {0} has stopped; start the gateway again")]
pub struct Stopped(pub FederationId);

/// Why a command gave nothing.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum CommandError {
    /// The wallet says why.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// There is no wallet.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// What a federation's client is started with.
pub struct Settings {
    /// All of its e-cash follows from this. Another one than that of [`Settings::keys`] is best, and what a gateway has in all federations
    /// may follow from one: the federation is in each path.
    pub seed: MasterSeed,
    /// The gateway's keys.
    pub keys: Keys,
    /// Where deposits are seen; without one none is.
    pub chain: Option<Arc<dyn ChainSource>>,
}

/// A federation's client at work. Clones are the same one; it works until it is stopped, or all clones are dropped.
#[derive(Debug, Clone)]
pub struct Federation {
    id: FederationId,
    messages: Sender<Message>,
    /// One word on it ends the task, also while nobody takes its news.
    halt: Sender<()>,
    /// Nothing is ever sent: it closes when the task ends.
    ended: Receiver<()>,
}

impl Federation {
    /// Starts the client whose rows these are. News come in their order and none is left out, while somebody takes them; if nobody does, the
    /// client waits.
    ///
    /// # Errors
    /// If the rows make no wallet, or the federation has no Lightning.
    pub fn start<D: Disk>(
        rows: Memory,
        settings: Settings,
        disk: D,
        news: Sender<(FederationId, News)>,
    ) -> Result<Self, StartError> {
        let mut random = [0; 32];
        getrandom::getrandom(&mut random).map_err(|error| StartError::Random(error.to_string()))?;
        let client = Client::load(rows, &settings.seed, random)?;
        let id = client.genesis().id();
        let carrier = Carrier::new(client, settings.keys)?;
        // Orders are as many as the gateway has under way, which has a limit of its own.
        let (messages, incoming) = unbounded();
        let (answers, answered) = bounded(QUEUE);
        let (running, ended) = bounded(1);
        let (halt, halted) = bounded(1);
        let task = Task::new(carrier, settings.chain, disk, (news, halted), answers);
        async_std::task::spawn(async move {
            task.run(incoming, answered).await;
            drop(running);
        });
        Ok(Self {
            id,
            messages,
            halt,
            ended,
        })
    }

    /// The federation.
    #[must_use]
    pub fn id(&self) -> FederationId {
        self.id
    }

    /// Has an order carried out. Waits for nothing. What comes of it is told as news; ordered again, it is told again.
    pub fn order(&self, order: Order) {
        // Once the task has ended nothing is carried out any more, and a restarted gateway orders again.
        let _ = self.messages.try_send(Message::Order(Box::new(order)));
    }

    /// Gives the wallet a command and waits for its reply: the operator's deposits, withdrawals and notes.
    ///
    /// # Errors
    /// If the command fails.
    pub async fn command(&self, command: Command) -> Result<Reply, CommandError> {
        let (reply, answer) = oneshot::channel();
        let _ = self.messages.try_send(Message::Command(command, reply));
        let answer = answer.await.map_err(|_| Stopped(self.id))?;
        Ok(answer?)
    }

    /// Looks at the wallet.
    ///
    /// # Errors
    /// If there is none any more.
    pub async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Client) -> T + Send + 'static,
    ) -> Result<T, Stopped> {
        let (reply, answer) = oneshot::channel();
        let look = Box::new(move |client: &Client| {
            // Who asked may have gone.
            let _ = reply.send(look(client));
        });
        let _ = self.messages.try_send(Message::Look(look));
        answer.await.map_err(|_| Stopped(self.id))
    }

    /// Waits for the task's end: nobody else tells when its rows cannot be saved.
    pub async fn ended(&self) {
        // It ends by closing.
        let _ = self.ended.recv().await;
    }

    /// Ends the task, after what is being saved is saved. Whatever is under way goes on when it is started again.
    pub async fn stop(self) {
        // A second word is not needed.
        let _ = self.halt.try_send(());
        self.ended().await;
    }
}
