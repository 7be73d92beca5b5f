//! What guardians see of the bitcoin network, and what they do there.

use guildmint_core::{ModuleId, PeerId, Wire};
use guildmint_engine::node::Event;
use guildmint_kit::chain::FakeChain;
use guildmint_wallet::{Block, Confirmation, Job, MerkleBranch, News, Watched};

use crate::world::{Delivery, World};

/// How often a guardian looks at the chain, in milliseconds.
const LOOK_MS: u64 = 1_000;

/// The number that simulated federations give to the wallet.
pub(crate) const WALLET: ModuleId = ModuleId(1);

/// The bitcoin network and what each guardian watches there.
pub(crate) struct Outside {
    pub(crate) chain: FakeChain,
    finality_blocks: u32,
    /// What each guardian watches, by index.
    watched: Vec<Option<(Block, Vec<Watched>)>>,
    /// What each guardian was last told, so that it is not told again.
    told: Vec<Vec<News>>,
    /// Broadcasts that get lost.
    pub(crate) lose_broadcasts: bool,
    /// Broadcasts that the network refused: a mistake of the federation.
    pub(crate) refused: Vec<String>,
}

impl Outside {
    pub(crate) fn new(guardians: u16, chain: FakeChain, finality_blocks: u32) -> Self {
        let guardians = usize::from(guardians);
        Self {
            chain,
            finality_blocks,
            watched: vec![None; guardians],
            told: vec![Vec::new(); guardians],
            lose_broadcasts: false,
            refused: Vec::new(),
        }
    }

    fn news(&self, agreed: Block, pending: &[Watched]) -> Vec<News> {
        let tip_height = self.chain.tip_height();
        let chain = News::of_chain(agreed, tip_height, self.finality_blocks, |height| {
            self.chain.hash(height)
        });
        let mut news: Vec<News> = chain.into_iter().collect();
        news.push(News::FeeRate {
            sat_per_kvb: self.chain.fee_rate_sat_per_kvb,
        });
        let confirmed = pending.iter().filter_map(|watched| {
            let place = self.chain.place(watched.txid)?;
            let block = self
                .chain
                .block(place.height)
                .filter(|_| place.height <= agreed.height)?;
            Some(News::Confirmed(Confirmation {
                txid: watched.txid,
                height: place.height,
                header: block.header,
                merkle: MerkleBranch::of(&self.chain.txids(place.height), place.position)?,
            }))
        });
        news.extend(confirmed);
        news
    }
}

impl World {
    /// The bitcoin network.
    pub fn chain(&mut self) -> &mut FakeChain {
        &mut self.outside.chain
    }

    /// Broadcasts that the network refused.
    #[must_use]
    pub fn refused_broadcasts(&self) -> &[String] {
        &self.outside.refused
    }

    /// From now on what guardians broadcast does, or does not, get lost.
    pub fn lose_broadcasts(&mut self, lose: bool) {
        self.outside.lose_broadcasts = lose;
    }

    /// A guardian asks something of the bitcoin network.
    pub(crate) fn work(&mut self, peer: PeerId, module: ModuleId, job: &[u8]) {
        if module != WALLET {
            return;
        }
        match Job::decode(job) {
            Ok(Job::Broadcast { transaction, .. }) if !self.outside.lose_broadcasts => {
                let refused = match bitcoin::consensus::deserialize(&transaction) {
                    Ok(transaction) => self
                        .outside
                        .chain
                        .broadcast(transaction)
                        .err()
                        .map(|e| format!("{e:?}")),
                    Err(error) => Some(error.to_string()),
                };
                self.outside.refused.extend(refused);
            }
            Ok(Job::Watch {
                agreed, pending, ..
            }) => {
                let first = self.outside.watched[usize::from(peer.0)].is_none();
                self.outside.watched[usize::from(peer.0)] = Some((agreed, pending));
                if first {
                    self.later(0, Delivery::Look(peer));
                }
            }
            _ => {}
        }
    }

    /// A guardian looks at the chain, and will again.
    pub(crate) fn look(&mut self, peer: PeerId) {
        let index = usize::from(peer.0);
        if let Some((agreed, pending)) = &self.outside.watched[index] {
            let news = self.outside.news(*agreed, pending);
            for one in &news {
                if !self.outside.told[index].contains(one) {
                    let event = Event::World {
                        module: WALLET,
                        news: one.encode(),
                    };
                    self.tell(peer, event);
                }
            }
            self.outside.told[index] = news;
        }
        self.later(LOOK_MS, Delivery::Look(peer));
    }

    /// A guardian that has just started has forgotten what it was told.
    pub(crate) fn forget_news(&mut self, peer: PeerId) {
        self.outside.told[usize::from(peer.0)].clear();
    }
}
