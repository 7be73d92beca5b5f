//! One guardian's state machine.

use std::collections::{BTreeMap, BTreeSet};

use zeroize::Zeroizing;

use super::complaint::{complain, judge};
use super::dealing::{CheckedDealing, Secrets};
use super::items::{Complaint, Dealing, Item, ItemKind, Verdict};
use super::sum::{add_up, Dealt};
use super::transcript::Transcript;
use super::{ComplaintError, EncryptionSecret, Failure, Fault, FaultReason, Params, ParamsError};
use crate::wire::Bytes;
use crate::{PublicKeySet, SecretKeyShare, ShareIndex};

const LOG_TAG: &[u8] = b"guildmint-tbs/dkg/log/1";

/// Faults that are kept for each guardian. More are reported when they happen, and forgotten.
const MAX_FAULTS: usize = 64;

/// A key, and this guardian's share of it.
pub type KeyPair = (PublicKeySet, SecretKeyShare);

/// How far a ceremony is. Phases follow each other in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// Guardians deal.
    Dealing,
    /// Guardians say what they found.
    Verdicts,
    /// The keys are known; guardians confirm the configuration with them.
    Confirming,
    /// The keys may be used.
    Done,
    /// There are no keys.
    Failed,
}

impl std::fmt::Display for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Dealing => "dealing",
            Self::Verdicts => "verdicts",
            Self::Confirming => "confirming",
            Self::Done => "completion",
            Self::Failed => "failure",
        })
    }
}

impl ItemKind {
    /// The phase that it belongs to.
    pub fn phase(self) -> Phase {
        match self {
            Self::Dealing | Self::Close => Phase::Dealing,
            Self::Verdict => Phase::Verdicts,
            Self::Confirm => Phase::Confirming,
        }
    }
}

/// What an item has brought about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A guardian's item was taken in. Its content may still be at fault.
    Accepted(ShareIndex, ItemKind),
    /// A guardian did something wrong.
    Fault(Fault),
    /// A new phase has begun: ask what is [due](Ceremony::due).
    Phase(Phase),
}

/// What to show to operators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The phase.
    pub phase: Phase,
    /// Who has not yet done its part of the phase.
    pub waiting_for: Vec<ShareIndex>,
    /// Who has dealt, and rightly as far as is known.
    pub dealers: Vec<ShareIndex>,
    /// Who wants to wait for no more dealings.
    pub closing: Vec<ShareIndex>,
}

/// A guardian's part in a ceremony. See the [module](super).
pub struct Ceremony {
    params: Params,
    me: ShareIndex,
    secret: EncryptionSecret,
    seed: Zeroizing<[u8; 32]>,
    phase: Phase,
    /// Of what was accepted while guardians dealt.
    log: Transcript,
    /// The hash of each item that was accepted.
    accepted: BTreeMap<(ItemKind, ShareIndex), [u8; 32]>,
    /// Valid dealings, while they are needed: those of dealers found out stay until the last verdict.
    dealings: BTreeMap<ShareIndex, Dealt>,
    found_out: BTreeSet<ShareIndex>,
    dealers: Vec<ShareIndex>,
    confirmed: Option<(ShareIndex, [u8; 32])>,
    faults: Vec<Fault>,
    result: Result<Vec<KeyPair>, Failure>,
}

/// Without secrets.
impl std::fmt::Debug for Ceremony {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ceremony")
            .field("me", &self.me)
            .field("phase", &self.phase)
            .field("dealers", &self.dealers)
            .finish_non_exhaustive()
    }
}

impl Ceremony {
    /// Takes part as the guardian whose encryption secret this is.
    ///
    /// The seed is uniform and kept secret, and for this ceremony only. Whoever knows it, or the encryption secret, can
    /// compute this guardian's shares from the log.
    ///
    /// # Errors
    /// If the secret belongs to none of the guardians.
    pub fn new(
        params: Params,
        secret: EncryptionSecret,
        seed: &[u8; 32],
    ) -> Result<Self, ParamsError> {
        Ok(Self {
            me: params.find(&secret.public_key())?,
            log: Transcript::new(LOG_TAG).with(params.context()),
            params,
            secret,
            seed: Zeroizing::new(*seed),
            phase: Phase::Dealing,
            accepted: BTreeMap::new(),
            dealings: BTreeMap::new(),
            found_out: BTreeSet::new(),
            dealers: Vec::new(),
            confirmed: None,
            faults: Vec::new(),
            result: Ok(Vec::new()),
        })
    }

    /// This guardian's index.
    pub fn me(&self) -> ShareIndex {
        self.me
    }

    /// The parameters.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// This guardian's dealing, always the same. Takes about as long as reading one.
    pub fn deal(&self) -> Dealing {
        Secrets::derive(&self.params, self.me, &self.seed).deal(&self.params, self.me)
    }

    /// This guardian's verdict, always the same; nothing but in the phase of verdicts.
    pub fn verdict(&self) -> Option<Verdict> {
        let complain = |(dealer, dealt): (&ShareIndex, &Dealt)| -> Option<Complaint> {
            let dealing = (*dealer, &dealt.public);
            let complaint = || complain(&self.params, dealing, self.me, &self.secret);
            dealt.own.is_err().then(complaint)
        };
        (self.phase == Phase::Verdicts).then(|| Verdict {
            transcript: Bytes(self.log.digest()),
            complaints: self.dealings.iter().filter_map(complain).collect(),
        })
    }

    /// What this guardian has to send now, if it has not come back through the log yet: its dealing or its verdict. Made anew
    /// by each call, so ask after the log was replayed, and then once in each phase.
    ///
    /// A closing mark is never due, it is the operator's decision. Nor is a confirmation: in the phase of confirming, make
    /// the configuration with the [public keys](Self::public_keys), and send [`Item::Confirm`] with its hash.
    pub fn due(&self) -> Option<Item> {
        let sent = |kind| self.accepted.contains_key(&(kind, self.me));
        match self.phase {
            Phase::Dealing if !sent(ItemKind::Dealing) => Some(Item::Dealing(self.deal())),
            Phase::Verdicts if !sent(ItemKind::Verdict) => self.verdict().map(Item::Verdict),
            _ => None,
        }
    }

    /// The keys, as soon as they are known: from the phase of confirming on.
    pub fn public_keys(&self) -> Option<impl Iterator<Item = &PublicKeySet>> {
        let known = matches!(self.phase, Phase::Confirming | Phase::Done);
        let keys = self.result.as_ref().ok().filter(|_| known)?;
        Some(keys.iter().map(|(public, _)| public))
    }

    /// How it ended, once it has: the keys in order with this guardian's shares, or why there are none.
    ///
    /// Nothing may be stored for use before this says so.
    pub fn outcome(&self) -> Option<Result<&[KeyPair], Failure>> {
        match self.phase {
            Phase::Done | Phase::Failed => Some(self.result.as_deref().map_err(Clone::clone)),
            Phase::Dealing | Phase::Verdicts | Phase::Confirming => None,
        }
    }

    /// Who did what wrong, in the order of the log; at most 64 faults of each guardian.
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }

    /// How far it is.
    pub fn progress(&self) -> Progress {
        let with = |kind| -> Vec<ShareIndex> {
            let sent = |guardian: &ShareIndex| self.accepted.contains_key(&(kind, *guardian));
            self.params.guardians().filter(sent).collect()
        };
        let kind = match self.phase {
            Phase::Dealing => Some(ItemKind::Dealing),
            Phase::Verdicts => Some(ItemKind::Verdict),
            Phase::Confirming => Some(ItemKind::Confirm),
            Phase::Done | Phase::Failed => None,
        };
        Progress {
            phase: self.phase,
            waiting_for: kind.map_or(Vec::new(), |kind| self.missing(kind).collect()),
            dealers: self.dealers.clone(),
            closing: with(ItemKind::Close),
        }
    }

    /// Takes the next item of the log, which `from` sent.
    ///
    /// Never fails: what is wrong with the item is reported, and what cannot be used is ignored.
    pub fn handle(&mut self, from: ShareIndex, item: Item) -> Vec<Event> {
        let mut events = Vec::new();
        let kind = item.kind();
        let digest = item.digest();
        if let Some(reason) = self.refusal(from, &item, digest) {
            self.blame(&mut events, from, reason);
            return events;
        }
        self.accepted.insert((kind, from), digest);
        events.push(Event::Accepted(from, kind));
        if self.phase == Phase::Dealing {
            self.log.add(&[from.get()]);
            self.log.add(&digest);
        }
        match item {
            Item::Dealing(dealing) => self.take_dealing(&mut events, from, dealing),
            Item::Close => {}
            Item::Verdict(verdict) => self.take_complaints(&mut events, from, &verdict.complaints),
            Item::Confirm(hash) => self.take_confirmation(&mut events, from, hash),
        }
        self.advance(&mut events);
        events
    }

    /// Why an item is not even looked into.
    fn refusal(&self, from: ShareIndex, item: &Item, digest: [u8; 32]) -> Option<FaultReason> {
        let (kind, phase) = (item.kind(), self.phase);
        if self.params.encryption_key(from).is_none() {
            return Some(FaultReason::Stranger);
        }
        match self.accepted.get(&(kind, from)) {
            Some(before) if *before == digest => return Some(FaultReason::Repetition(kind)),
            Some(_) => return Some(FaultReason::Equivocation(kind)),
            None => {}
        }
        if kind.phase() != phase {
            return Some(FaultReason::OutOfPhase { kind, phase });
        }
        match item {
            Item::Verdict(verdict) if verdict.transcript.0 != self.log.digest() => {
                Some(FaultReason::Transcript {
                    theirs: verdict.transcript.0,
                    ours: self.log.digest(),
                })
            }
            _ => None,
        }
    }

    fn take_dealing(&mut self, events: &mut Vec<Event>, from: ShareIndex, dealing: Dealing) {
        match CheckedDealing::new(&self.params, from, dealing) {
            Ok(public) => {
                let shared = self.secret.shared_point(&public.ephemeral);
                let own = public.open(&self.params, self.me, &shared);
                self.dealings.insert(from, Dealt { public, own });
                self.update_dealers();
            }
            Err(error) => self.blame(events, from, error.into()),
        }
    }

    fn take_complaints(
        &mut self,
        events: &mut Vec<Event>,
        from: ShareIndex,
        complaints: &[Complaint],
    ) {
        let mut last = None;
        for complaint in complaints {
            let dealer = complaint.dealer;
            let out_of_order = last.replace(dealer) >= Some(dealer);
            let error = |error| (from, FaultReason::Complaint { dealer, error });
            let (guilty, reason) = match self.dealings.get(&dealer) {
                _ if out_of_order => error(ComplaintError::Order),
                None => error(ComplaintError::NoDealer),
                Some(dealt) => judge(&self.params, &dealt.public, from, complaint),
            };
            if matches!(reason, FaultReason::WrongShare { .. }) {
                self.found_out.insert(guilty);
            }
            self.blame(events, guilty, reason);
        }
        self.update_dealers();
    }

    fn take_confirmation(&mut self, events: &mut Vec<Event>, from: ShareIndex, hash: [u8; 32]) {
        let (first, expected) = *self.confirmed.get_or_insert((from, hash));
        if hash != expected {
            self.fail(
                events,
                Failure::Disagreement((first, expected), (from, hash)),
            );
        }
    }

    /// Begins the next phase if this one is over.
    fn advance(&mut self, events: &mut Vec<Event>) {
        let threshold = usize::from(self.params.threshold());
        let waiting = |kind| self.missing(kind).count();
        let (dealers, need) = (self.dealers.len(), self.params.threshold());
        match self.phase {
            Phase::Dealing | Phase::Verdicts if dealers + self.dealers_to_come() < threshold => {
                let dealers = self.dealers.clone();
                self.fail(events, Failure::TooFewDealers { dealers, need });
            }
            Phase::Dealing => {
                let closing = self.params.guardians().count() - waiting(ItemKind::Close);
                let closed = closing >= threshold && dealers >= threshold;
                if closed || waiting(ItemKind::Dealing) == 0 {
                    self.enter(events, Phase::Verdicts);
                }
            }
            Phase::Verdicts if waiting(ItemKind::Verdict) == 0 => self.add_up(events),
            Phase::Confirming if waiting(ItemKind::Confirm) == 0 => {
                self.enter(events, Phase::Done);
            }
            _ => {}
        }
    }

    /// How many dealings can still come.
    fn dealers_to_come(&self) -> usize {
        match self.phase {
            Phase::Dealing => self.missing(ItemKind::Dealing).count(),
            _ => 0,
        }
    }

    fn add_up(&mut self, events: &mut Vec<Event>) {
        let Self {
            dealings,
            found_out,
            ..
        } = self;
        dealings.retain(|dealer, _| !found_out.contains(dealer));
        match add_up(&self.params, self.me, &self.dealings) {
            Ok(keys) => {
                self.result = Ok(keys);
                self.dealings.clear();
                self.enter(events, Phase::Confirming);
            }
            Err((key, error)) => self.fail(events, Failure::Keys { key, error }),
        }
    }

    fn missing(&self, kind: ItemKind) -> impl Iterator<Item = ShareIndex> + '_ {
        let missing = move |guardian: &ShareIndex| !self.accepted.contains_key(&(kind, *guardian));
        self.params.guardians().filter(missing)
    }

    fn update_dealers(&mut self) {
        let dealers = self.dealings.keys();
        let good = |dealer: &&ShareIndex| !self.found_out.contains(dealer);
        self.dealers = dealers.filter(good).copied().collect();
    }

    fn enter(&mut self, events: &mut Vec<Event>, phase: Phase) {
        self.phase = phase;
        events.push(Event::Phase(phase));
    }

    fn fail(&mut self, events: &mut Vec<Event>, failure: Failure) {
        self.result = Err(failure);
        self.dealings.clear();
        self.enter(events, Phase::Failed);
    }

    fn blame(&mut self, events: &mut Vec<Event>, guardian: ShareIndex, reason: FaultReason) {
        let fault = Fault { guardian, reason };
        let same = |kept: &&Fault| kept.guardian == guardian;
        if self.faults.iter().filter(same).count() < MAX_FAULTS {
            self.faults.push(fault.clone());
        }
        events.push(Event::Fault(fault));
    }
}
