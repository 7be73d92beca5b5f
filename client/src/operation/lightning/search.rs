//! Which gateway to use: listed by f + 1 guardians, affordable, and at work at this moment. ⚠ It is asked before any money is locked (SPEC LN-6).

use bitcoin::secp256k1::{PublicKey, XOnlyPublicKey};
use guildmint_core::{Amount, FederationId};
use guildmint_ln::{Announcement, ClockAnswer, GatewayAnswer, GatewayInfo, GatewaysAnswer, KIND};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::{
    api::{ApiRequest, RequestError},
    ask::{Finding, Rule},
    error::ClientError,
    federation::Federation,
    gateway::GatewayCall,
    inquiry::Question,
    operation::{Desk, Happening},
    watch::Topic,
};

/// Gateways that are asked one after the other before the search is given up.
const MAX_TRIES: usize = 5;

/// The path of the list.
pub(crate) const LIST: &str = "gateways";

/// What a gateway is wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Wants {
    /// To pay this to that node.
    Send(Amount, PublicKey),
    /// To have an invoice of this fetched, and to pay it.
    Fetch(Amount),
    /// To receive this.
    Receive(Amount),
}

/// How far the search is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Step {
    /// Guardians are asked for the list.
    Listing,
    /// They are asked for the agreed clock.
    Clock(Vec<Announcement>),
    /// The first of these is asked, at this height.
    Asking(u32, Vec<Announcement>),
}

/// A search for a gateway.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Search {
    wants: Wants,
    /// This one or none.
    only: Option<XOnlyPublicKey>,
    step: Step,
    /// Why the last one that was asked will not do. Hostile text.
    trouble: Option<String>,
}

/// What a search needs next, or has led to.
#[allow(clippy::large_enum_variant)] // one at a time
pub(crate) enum Seek {
    /// Guardians' answer.
    Ask(Question),
    /// A gateway's.
    Call(String, GatewayCall),
    /// This one is at work; and the agreed clock.
    Found(Announcement, u32),
    /// None will do.
    Lost(ClientError),
}

/// Announcements that their gateways have signed for this federation. ⚠ Guardians have checked them; a signature says more.
pub(crate) fn listed(fact: &Json, federation: FederationId) -> Vec<GatewayAnswer> {
    let answer: Option<GatewaysAnswer> = serde_json::from_value(fact.clone()).ok();
    let all = answer.map_or_else(Vec::new, |answer| answer.gateways);
    let is_signed = |one: &GatewayAnswer| one.signed.verify(federation).is_ok();
    all.into_iter().filter(is_signed).collect()
}

impl Search {
    pub(crate) fn new(wants: Wants, only: Option<XOnlyPublicKey>) -> Self {
        Self {
            wants,
            only,
            step: Step::Listing,
            trouble: None,
        }
    }

    /// What it waits for, once more.
    pub(crate) fn next(&self) -> Seek {
        match &self.step {
            Step::Listing => {
                let request = ApiRequest::Module {
                    kind: KIND,
                    path: LIST.to_owned(),
                    parameters: [].into(),
                };
                Seek::Ask((request, Rule::Same, whole))
            }
            Step::Clock(_) => Seek::Ask((Topic::Clock.request(), Rule::Number, clock)),
            Step::Asking(_, left) => match left.first() {
                Some(gateway) => Seek::Call(gateway.api_url.clone(), GatewayCall::Info),
                None => Seek::Lost(self.lost()),
            },
        }
    }

    fn lost(&self) -> ClientError {
        let reason = self.trouble.clone();
        ClientError::NoGateway(reason.unwrap_or_else(|| "none is listed that could".to_owned()))
    }

    /// What a happening is to an operation that searches.
    pub(super) fn step(self, happening: Happening, desk: &Desk<'_>) -> Option<(Self, Seek)> {
        match happening {
            Happening::Resume | Happening::Time => {
                let next = self.next();
                Some((self, next))
            }
            Happening::Found(finding) => Some(self.found(finding, desk.federation)),
            Happening::Gateway(result) => Some(self.heard(result, desk.federation.id)),
            _ => None,
        }
    }

    /// Guardians have answered.
    pub(crate) fn found(self, finding: Finding, federation: &Federation) -> (Self, Seek) {
        let fact = match finding {
            Finding::Fact(fact) => fact,
            Finding::Refused(problem) => return (self, Seek::Lost(problem.into())),
            Finding::TooFew { answered, needed } => {
                return (
                    self,
                    Seek::Lost(ClientError::TooFewGuardians { answered, needed }),
                )
            }
        };
        let step = match self.step {
            Step::Listing => {
                let vouchers = federation.quorum.one_honest();
                Step::Clock(self.rank(listed(&fact, federation.id), vouchers))
            }
            Step::Clock(ranked) => {
                let height = fact.as_u64().and_then(|height| u32::try_from(height).ok());
                Step::Asking(height.unwrap_or(u32::MAX), ranked)
            }
            asking @ Step::Asking(..) => asking,
        };
        let search = Self { step, ..self };
        let next = search.next();
        (search, next)
    }

    /// The gateway has answered, or not; then the next is asked.
    pub(crate) fn heard(
        self,
        result: Result<Json, RequestError>,
        federation: FederationId,
    ) -> (Self, Seek) {
        let Step::Asking(height, left) = &self.step else {
            let next = self.next();
            return (self, next);
        };
        let height = *height;
        let Some(gateway) = left.first().cloned() else {
            let next = self.next();
            return (self, next);
        };
        match works(result, federation, &gateway) {
            Ok(()) => (self, Seek::Found(gateway, height)),
            Err(trouble) => self.passed_over(&trouble),
        }
    }

    /// The one that was asked will not do for this reason; then the next is asked.
    pub(crate) fn passed_over(mut self, trouble: &str) -> (Self, Seek) {
        if let Step::Asking(_, left) = &mut self.step {
            if !left.is_empty() {
                let gateway = left.remove(0);
                self.trouble = Some(format!("{}: {trouble}", gateway.api_url));
            }
        }
        let next = self.next();
        (self, next)
    }

    /// Those that f + 1 guardians vouch for first, one of whom is honest; then the cheapest. ⚠ Last of all, for who wants to be paid, those whose
    /// invoices nobody outside can pay.
    fn rank(&self, gateways: Vec<GatewayAnswer>, vouchers: usize) -> Vec<Announcement> {
        let chosen = |one: &GatewayAnswer| {
            let gateway = &one.signed.announcement;
            self.wants.can_be_done_by(gateway) && self.only.is_none_or(|only| only == gateway.key)
        };
        let mut ranked: Vec<_> = gateways
            .into_iter()
            .filter(chosen)
            .filter_map(|one| {
                let fee = self.wants.fee(&one.signed.announcement)?;
                let vouched = one.vouched_by.len() >= vouchers;
                let announcement = one.signed.announcement;
                let (narrow, far) = self.wants.reach(&announcement);
                Some(((narrow, !vouched, far, fee), announcement))
            })
            .collect();
        ranked.sort_by(|(one, a), (other, b)| (one, a.key).cmp(&(other, b.key)));
        let ranked = ranked.into_iter().map(|(_, gateway)| gateway);
        ranked.take(MAX_TRIES).collect()
    }
}

impl Wants {
    fn can_be_done_by(&self, gateway: &Announcement) -> bool {
        match self {
            Self::Send(_, payee) => gateway.can_pay(payee),
            Self::Fetch(_) => gateway.has_node(),
            Self::Receive(_) => gateway.node_key.is_some(),
        }
    }

    /// Whether nobody outside could pay its invoices, though that is wanted; and whether it is not itself the payee. ⚠ That it is, it may just say, so
    /// this brings it before cheaper ones, and not before those that guardians know.
    fn reach(&self, gateway: &Announcement) -> (bool, bool) {
        match self {
            Self::Send(_, payee) => (false, gateway.node_key.as_ref() != Some(payee)),
            Self::Fetch(_) => (false, false),
            Self::Receive(_) => (!gateway.has_node(), false),
        }
    }

    fn fee(&self, gateway: &Announcement) -> Option<Amount> {
        match self {
            Self::Send(amount, _) | Self::Fetch(amount) => gateway.send_fees.fee(*amount),
            Self::Receive(amount) => gateway.receive_fees.fee(*amount),
        }
    }
}

/// Whether a gateway says that it works for this federation.
fn works(
    result: Result<Json, RequestError>,
    federation: FederationId,
    gateway: &Announcement,
) -> Result<(), String> {
    let answer = result.map_err(|error| error.to_string())?;
    let info: GatewayInfo =
        serde_json::from_value(answer).map_err(|_| "it gave an answer that cannot be read")?;
    info.serves(federation, &gateway.key)
}

#[allow(clippy::unnecessary_wraps)]
fn whole(answer: &Json) -> Option<Json> {
    Some(answer.clone())
}

fn clock(answer: &Json) -> Option<Json> {
    let answer: ClockAnswer = serde_json::from_value(answer.clone()).ok()?;
    Some(Json::from(answer.height))
}
