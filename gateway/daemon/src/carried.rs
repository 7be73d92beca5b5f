//! Federations as they are: each by a client of its own, whose rows are in the gateway's database.

use std::sync::Arc;

use async_trait::async_trait;
use guildmint_client::{unrestored, Client, ClientError, Command, MasterSeed, OperationId, Reply};
use guildmint_client_http::{ChainSource, Electrum, UrlError};
use guildmint_core::{ledger::Memory, FederationId, InviteCode};
use guildmint_gateway::{federation::Order, Keys};
use guildmint_gateway_federation::{
    CommandError, Federation as Carrier, Settings as ClientSettings, Stopped,
};
use guildmint_gateway_store::GatewayStore;
use serde_json::{json, Value as Json};

use crate::{
    config::Settings,
    federations::{
        EcashError, Federation, Federations, FederationsError, Look, NewsSender, Started,
    },
    place::Place,
};

/// All federations of a gateway.
pub struct Carried {
    store: GatewayStore,
    seed: MasterSeed,
    keys: Keys,
    chain: Option<Arc<dyn ChainSource>>,
    used_before: bool,
}

impl Carried {
    /// Those whose rows are in a gateway's database, and others that it joins.
    ///
    /// # Errors
    /// If the Electrum server's URL is none.
    pub fn new(place: &Place, settings: &Settings) -> Result<Self, UrlError> {
        let chain = match &settings.electrum {
            Some(url) => Some(Arc::new(Electrum::new(&[url])?) as Arc<dyn ChainSource>),
            None => None,
        };
        Ok(Self {
            store: place.store.clone(),
            seed: MasterSeed::new(*place.seed.ecash()),
            keys: Keys::new(&place.seed.gateway()),
            chain,
            used_before: place.used_before,
        })
    }

    fn settings(&self) -> ClientSettings {
        ClientSettings {
            seed: self.seed.clone(),
            keys: self.keys.clone(),
            chain: self.chain.clone(),
        }
    }

    async fn run(
        &self,
        id: FederationId,
        rows: Memory,
        news: NewsSender,
    ) -> Result<Started, FederationsError> {
        let failed = |error: &dyn std::fmt::Display| FederationsError::Start(id, error.to_string());
        let client = Carrier::start(rows, self.settings(), self.store.shelf(id), news);
        let client = client.map_err(|error| failed(&error))?;
        let seen = client.look(|client| (client.genesis().network, client.is_unrestored()));
        let (network, is_unrestored) = seen.await.map_err(|error| failed(&error))?;
        if is_unrestored {
            // It goes on by itself, over restarts too, and until it has found all nothing is begun here.
            let gap = Command::RESTORE_GAP;
            let begun = client.command(Command::Restore { gap }).await;
            begun.map_err(|error| failed(&error))?;
        }
        Ok(Started {
            id,
            network,
            federation: Arc::new(client),
        })
    }
}

/// Whether these rows are those of a federation that was about to be joined, and was not.
fn is_begun_only(rows: &Memory) -> bool {
    let mut begun = Memory::default();
    begun.apply(unrestored());
    *rows == begun
}

#[async_trait]
impl Federations for Carried {
    async fn start(&self, news: NewsSender) -> Result<Vec<Started>, FederationsError> {
        let shelves = self.store.shelves();
        let shelves = shelves.map_err(|lost| FederationsError::Store(lost.to_string()))?;
        let mut started = Vec::new();
        let joined = shelves.into_iter().filter(|(_, rows)| !is_begun_only(rows));
        for (id, rows) in joined {
            started.push(self.run(id, rows, news.clone()).await?);
        }
        Ok(started)
    }

    fn named(&self, invite: &str) -> Result<FederationId, FederationsError> {
        Ok(parsed(invite)?.federation)
    }

    async fn join(&self, invite: &str, news: NewsSender) -> Result<Started, FederationsError> {
        let invite = parsed(invite)?;
        let shelf = self.store.shelf(invite.federation);
        let mut rows = Memory::default();
        if self.used_before {
            // ⚠ First, so that no crash leaves a wallet that thinks its words are new: it would use a note's index a second time (SPEC MIN-6).
            let marked = shelf.begin(unrestored()).await;
            marked.map_err(|lost| FederationsError::Store(lost.to_string()))?;
            rows.apply(unrestored());
        }
        let joined = Carrier::join(&invite, &self.seed, shelf).await;
        let joined = joined.map_err(|error| FederationsError::Join(error.to_string()))?;
        rows.0.extend(joined.rows.0);
        self.run(joined.federation, rows, news).await
    }
}

fn parsed(invite: &str) -> Result<InviteCode, FederationsError> {
    let parsed = invite.trim().parse::<InviteCode>();
    parsed.map_err(|error| FederationsError::Invite(error.to_string()))
}

#[async_trait]
impl Federation for Carrier {
    fn order(&self, order: Order) {
        Carrier::order(self, order);
    }

    async fn command(&self, command: Command) -> Result<Reply, EcashError> {
        Ok(Carrier::command(self, command).await?)
    }

    async fn look(&self) -> Look {
        let looked = Carrier::look(self, |client| {
            let balance = client.balance();
            Look {
                name: client.federation().name,
                available: balance.spendable,
                pending: balance.pending,
            }
        });
        // Without its client there is nothing to see.
        looked.await.unwrap_or_default()
    }

    async fn operations(&self, operation: Option<&str>) -> Result<Json, EcashError> {
        let wanted: Option<OperationId> = match operation {
            None => None,
            Some(name) => Some(name.parse().map_err(|_| EcashError {
                code: "operation_not_found".to_owned(),
                message: "this is no operation's name, such as op-1".to_owned(),
                retryable: false,
            })?),
        };
        let seen = Carrier::look(self, move |client: &Client| match wanted {
            Some(id) => client.operation(id).map(|view| json!(view)),
            None => Ok(json!({ "operations": client.operations() })),
        });
        Ok(seen.await??)
    }

    async fn stop(&self) {
        self.clone().stop().await;
    }
}

impl From<ClientError> for EcashError {
    fn from(error: ClientError) -> Self {
        Self {
            code: error.code(),
            message: error.to_string(),
            retryable: error.retryable(),
        }
    }
}

impl From<Stopped> for EcashError {
    fn from(stopped: Stopped) -> Self {
        Self {
            code: "stopping".to_owned(),
            message: stopped.to_string(),
            retryable: true,
        }
    }
}

impl From<CommandError> for EcashError {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::Client(error) => error.into(),
            // ⚠ It may have begun before the client stopped: who says it again may pay twice.
            CommandError::Stopped(stopped) => Self {
                message: format!(
                    "{stopped}. It may have been done all the same: look at the operations before you say it again"
                ),
                retryable: false,
                ..stopped.into()
            },
        }
    }
}
