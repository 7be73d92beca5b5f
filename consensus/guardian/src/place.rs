//! Where this guardian says that it is, and where the others were at first (SPEC NET-4).

use std::collections::BTreeMap;

use async_std::future::timeout;
use guildmint_core::{Announcement, InviteCode, PeerId, Place};
use guildmint_engine::node::{Reply, Request};

use crate::{
    backend::{Handle, PATIENCE},
    config::Config,
    files::invite,
};

impl Config {
    /// Where the others were when the file of the federation was written.
    pub(crate) fn p2p_addresses(&self) -> BTreeMap<PeerId, Vec<String>> {
        let guardians = self.federation.guardians.iter();
        let addresses = guardians.map(|guardian| guardian.p2p.clone());
        (0..).map(PeerId).zip(addresses).collect()
    }

    /// Where this guardian says that it is: what its settings say, else the file of the federation.
    pub(crate) fn place(&self) -> Place {
        let entry = self.federation.guardians.get(usize::from(self.me.0));
        let (p2p, api) = entry.map_or_else(Default::default, |entry| {
            (entry.p2p.clone(), entry.api.clone())
        });
        Place {
            p2p: self.settings.p2p_address.clone().unwrap_or(p2p),
            api: self.settings.api_url.clone().unwrap_or(api),
        }
    }
}

/// Where clients reach guardians, as far as this one knows.
pub(crate) struct Apis {
    /// By what each has said last, or else by the file of the federation.
    pub(crate) urls: BTreeMap<PeerId, String>,
    /// Those who are surely there: this guardian, and then those who have said so.
    sure: Vec<PeerId>,
}

impl Apis {
    fn new(file: &BTreeMap<PeerId, String>, me: PeerId, own: &str, said: &[Announcement]) -> Self {
        let mut urls = file.clone();
        let others = said.iter().filter(|one| one.guardian != me);
        let mut sure = vec![me];
        for one in others.clone() {
            urls.insert(one.guardian, one.place.api.clone());
            sure.push(one.guardian);
        }
        urls.insert(me, own.to_owned());
        Self { urls, sure }
    }
}

impl Handle {
    /// Where clients reach the guardians now. One that has just started with an empty database knows its own place, and so names
    /// itself; it is the one that gives the answer, so it can be reached.
    pub(crate) async fn apis(&self) -> Apis {
        let said = match timeout(PATIENCE, self.ask(Request::Announcements)).await {
            Ok(Ok(Reply::Announcements(answer))) => answer.announcements,
            _ => Vec::new(),
        };
        let inner = &self.0;
        Apis::new(&inner.config.apis, inner.me, &inner.own_api, &said)
    }

    /// What wallets join with now.
    pub(crate) async fn invite(&self) -> InviteCode {
        let apis = self.apis().await;
        invite(self.0.config.federation, &apis.urls, &apis.sure)
    }
}

#[cfg(test)]
mod tests {
    use guildmint_core::{FederationId, IdentityKey, SessionId};

    use super::*;

    fn announcement(guardian: u16, api: &str) -> Announcement {
        let place = Place {
            p2p: vec!["/dns4/a.example/tcp/1".into()],
            api: api.into(),
        };
        let (session, key) = (SessionId([0; 32]), IdentityKey::from_seed(&[7; 32]));
        Announcement::sign(place, PeerId(guardian), 1, None, session, &key)
    }

    #[test]
    fn invites_name_this_guardian_and_those_who_have_said_where_they_are() {
        let file = (0..4).map(|i| (PeerId(i), format!("http://{i}.old")));
        let file: BTreeMap<_, _> = file.collect();
        let code = |said: &[Announcement]| {
            let apis = Apis::new(&file, PeerId(1), "http://1.new", said);
            assert_eq!(apis.urls.len(), 4);
            invite(FederationId([0; 32]), &apis.urls, &apis.sure).apis
        };
        let named = |apis: BTreeMap<PeerId, String>| apis.into_values().collect::<Vec<_>>();
        // It has just started, and knows where it is itself.
        assert_eq!(named(code(&[])), ["http://0.old", "http://1.new"]);
        let said = [
            announcement(1, "http://1.before"),
            announcement(3, "http://3.new"),
        ];
        assert_eq!(named(code(&said)), ["http://1.new", "http://3.new"]);
    }
}
