//! The ceremony as it is remembered from one epoch to the next.

use guildmint_core::{encoding, ledger::View, PeerId, SessionId, Tagged};
use guildmint_tbs::{
    dkg::{
        Ceremony, EncryptionSecret, Event, Fault, Item, KeyPair, Params, ParamsError, Phase,
        Progress,
    },
    PublicKeySet, ShareIndex,
};
use zeroize::Zeroizing;

use super::{
    types::{EncodedKey, KeyGenerationJob, KeyGenerationSecret},
    LogEnd, LogItem,
};
use crate::Seed;

/// What the ceremony begins with.
pub(super) struct Start {
    params: Params,
    secret: EncryptionSecret,
    dealing: Zeroizing<[u8; 32]>,
}

/// Everything up to some place in the log.
pub(super) struct Memory {
    ceremony: Ceremony,
    end: (u32, [u8; 32]),
    /// This guardian's dealing or verdict, which takes long to make, and the phase that it is for.
    due: Option<(Phase, Option<Item>)>,
    /// The phase in which the epoch at hand began. ⚠ Not whether its job was named: an epoch may be computed more than once.
    before: Phase,
}

impl Start {
    pub(super) fn new(params: Params, secret: &KeyGenerationSecret, session: SessionId) -> Self {
        let seed = Seed::new(secret.seed);
        Self {
            params,
            secret: seed.key_encryption(),
            dealing: seed.key_dealing(session),
        }
    }

    pub(super) fn memory(&self) -> Result<Memory, ParamsError> {
        let (params, secret) = (self.params.clone(), self.secret.clone());
        Ok(Memory {
            ceremony: Ceremony::new(params, secret, &self.dealing)?,
            end: (0, [0; 32]),
            due: None,
            before: Phase::Dealing,
        })
    }
}

impl Memory {
    pub(super) fn me(&self) -> ShareIndex {
        self.ceremony.me()
    }

    /// Makes sure that it has seen exactly the items that are rows.
    pub(super) fn follow(&mut self, start: &Start, agreed: &View<'_, '_>) {
        let end = agreed.get(&LogEnd).unwrap_or((0, [0; 32]));
        if self.end == end {
            return;
        }
        // Never fails: it has not failed before.
        let Ok(mut again) = start.memory() else {
            return;
        };
        for (_, (author, bytes)) in agreed.scan::<LogItem>() {
            let index = super::index(author);
            let Some((from, item)) = index.zip(encoding::read(&bytes).ok()) else {
                continue;
            };
            again.end = next_end(again.end, author, &bytes);
            let _ = again.ceremony.handle(from, item);
        }
        again.begin();
        *self = again;
    }

    /// Takes an item, and writes it down if it counts.
    pub(super) fn take(
        &mut self,
        view: &mut View<'_, '_>,
        author: PeerId,
        from: ShareIndex,
        item: Item,
    ) -> Vec<Event> {
        let mut bytes = Vec::new();
        encoding::write(&mut bytes, &item);
        let events = self.ceremony.handle(from, item);
        let counts = |event: &Event| matches!(event, Event::Accepted(..));
        if events.iter().any(counts) {
            view.put(&LogItem(self.end.0), &(author, bytes.clone()));
            self.end = next_end(self.end, author, &bytes);
            view.put(&LogEnd, &self.end);
        }
        events
    }

    /// What this guardian has to say now.
    pub(super) fn due(
        &mut self,
        close: impl Fn() -> Option<Item>,
        confirm: impl Fn() -> Option<Item>,
    ) -> Option<Item> {
        let progress = self.ceremony.progress();
        let (me, phase) = (self.me(), progress.phase);
        if !matches!(&self.due, Some((of, _)) if *of == phase) {
            self.due = Some((phase, self.ceremony.due()));
        }
        let waits = progress.waiting_for.contains(&me);
        match (&self.due, phase) {
            (Some((_, Some(item))), _) if waits => Some(item.clone()),
            (_, Phase::Dealing) if !progress.closing.contains(&me) => close(),
            (_, Phase::Confirming) if waits => confirm(),
            _ => None,
        }
    }

    /// An epoch begins.
    pub(super) fn begin(&mut self) {
        self.before = self.ceremony.progress().phase;
    }

    /// What the outside world has to do if the epoch has brought a new phase.
    pub(super) fn new_job(&self) -> Option<KeyGenerationJob> {
        match self.before == self.ceremony.progress().phase {
            true => None,
            false => self.job(),
        }
    }

    /// What the outside world has to do in the present phase.
    pub(super) fn job(&self) -> Option<KeyGenerationJob> {
        let phase = self.ceremony.progress().phase;
        match (phase, self.ceremony.outcome()) {
            (_, Some(Ok(pairs))) => Some(KeyGenerationJob::Finish {
                keys: pairs.iter().map(|(public, _)| encoded(public)).collect(),
                shares: pairs.iter().map(share).collect(),
            }),
            (_, Some(Err(failure))) => Some(KeyGenerationJob::GiveUp {
                failure: failure.to_string(),
            }),
            (Phase::Confirming, None) => Some(KeyGenerationJob::MakeConfig {
                keys: self.ceremony.public_keys()?.map(encoded).collect(),
            }),
            _ => None,
        }
    }

    pub(super) fn progress(&self) -> Progress {
        self.ceremony.progress()
    }

    pub(super) fn faults(&self) -> impl Iterator<Item = &Fault> {
        self.ceremony.faults().iter()
    }

    pub(super) fn failure(&self) -> Option<String> {
        let outcome = self.ceremony.outcome()?;
        outcome.err().map(|failure| failure.to_string())
    }
}

fn next_end((count, hash): (u32, [u8; 32]), author: PeerId, item: &[u8]) -> (u32, [u8; 32]) {
    let hash = Tagged::new("guildmint/key-generation/log")
        .add(hash)
        .add(author.0.to_le_bytes())
        .field(item)
        .finish();
    (count + 1, hash)
}

fn encoded(key: &PublicKeySet) -> EncodedKey {
    let mut bytes = Vec::new();
    encoding::write(&mut bytes, key);
    EncodedKey(bytes)
}

fn share((_, share): &KeyPair) -> [u8; 32] {
    *share.to_bytes()
}
