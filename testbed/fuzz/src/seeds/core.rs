//! Encodings of the core's own.

use std::collections::BTreeMap;

use guildmint_core::{
    api::{
        AnnouncementsAnswer, AuditAnswer, ConfigAnswer, Problem, RevisionsAnswer, StatusAnswer,
        TransactionAnswer, TransactionStatus, VersionReport,
    },
    module::{Query, Reject},
    Announcement, Audit, Certificate, Conditions, Epoch, InviteCode, Latest, PeerId, Place,
    Revision, SignedRevision, TxId, Values, Wire,
};
use guildmint_engine::RevisionVote;
use serde::Serialize;
use serde_json::json;

use super::{genesis, identity, quorum, story::Story, Seeds, MINT, WALLET};
use crate::targets;

pub fn seeds(story: &Story) -> Seeds {
    let invite = invite();
    BTreeMap::from([
        (
            "amount",
            texts(&["1000msat", "25 sats", "0.001btc", "21000000BTC"]),
        ),
        ("announcement", vec![announcement().encode()]),
        ("api", api(story)),
        ("certificate", vec![certificate(story).encode()]),
        ("genesis", vec![genesis().encode()]),
        (
            "invite",
            vec![invite.encode(), invite.to_string().into_bytes()],
        ),
        ("meeting", targets::meeting::honest()),
        ("revision", vec![revision().encode(), revision_vote()]),
        ("setup_code", setup_code()),
        (
            "transaction",
            story.transactions.iter().map(Wire::encode).collect(),
        ),
    ])
}

fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

pub fn invite() -> InviteCode {
    InviteCode {
        federation: genesis().id(),
        apis: (0..2)
            .map(|n| (PeerId(n), format!("https://{n}.example.org")))
            .collect(),
    }
}

fn announcement() -> Announcement {
    let place = Place {
        p2p: vec!["/dns4/mint.example/tcp/8173".into()],
        api: "https://mint.example".into(),
    };
    let (me, session) = (PeerId(1), genesis().session);
    Announcement::sign(place, me, 1_700_000_000_000, None, session, &identity(me))
}

fn revision() -> SignedRevision {
    let names = genesis().guardians.into_iter();
    let revision = Revision {
        number: 1,
        previous: Latest::founding(&genesis()).hash,
        values: Values {
            name: "a new name".into(),
            guardians: names
                .map(|keys| format!("{} the second", keys.name))
                .collect(),
            conditions: [(MINT, Conditions(vec![1, 2, 3]))].into(),
        },
    };
    let sign = |peer| (peer, revision.sign(genesis().session, &identity(peer)));
    SignedRevision {
        signatures: quorum().peers().take(3).map(sign).collect(),
        revision,
    }
}

fn revision_vote() -> Vec<u8> {
    RevisionVote::Approves(Some(revision().revision)).encode()
}

fn certificate(story: &Story) -> Certificate {
    let result = story.history[0].1;
    let sign = |peer| (peer, result.sign(genesis().session, &identity(peer)));
    Certificate {
        result,
        signatures: quorum().peers().take(3).map(sign).collect(),
    }
}

fn written(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap()
}

fn api(story: &Story) -> Vec<Vec<u8>> {
    let certificate = certificate(story);
    let outcomes = vec![json!(story.share), json!(null)];
    let status = |status| TransactionAnswer {
        txid: TxId([7; 32]),
        status,
    };
    let epoch = Epoch(5);
    let reject = Reject::permanent("note_spent", "the note has been spent");
    let config = ConfigAnswer {
        federation: genesis().id(),
        genesis: vec![1, 2, 3],
        apis: invite().apis,
    };
    let node = StatusAnswer {
        peer: PeerId(1),
        version: "0.1.0".into(),
        committed: Some(epoch),
        height: 100,
        pool: 3,
        not_ready: None,
        catching_up: None,
        runs_twice: Vec::new(),
        versions: [(
            "mint".to_owned(),
            VersionReport {
                agreed: 1,
                known: vec![1, 2],
            },
        )]
        .into(),
        revision: 1,
        halted: Some("it was told to".into()),
    };
    let part = Audit {
        assets_msat: 7,
        liabilities_msat: 5,
    };
    let audit = AuditAnswer {
        epoch: Some(epoch),
        assets_msat: 7,
        liabilities_msat: 5,
        net_msat: 2,
        modules: [("mint".to_owned(), part)].into(),
        certificate: Some(certificate.clone()),
    };
    vec![
        written(&status(TransactionStatus::Pending)),
        written(&status(TransactionStatus::Accepted { epoch, outcomes })),
        written(&status(TransactionStatus::Rejected(reject))),
        written(&AnnouncementsAnswer {
            announcements: vec![announcement()],
        }),
        written(&config),
        written(&node),
        written(&audit),
        written(&Problem::new(
            404,
            "not_found",
            "there is no such path",
            false,
        )),
        written(&query()),
        written(&certificate),
        written(&genesis()),
        written(&story.transactions[0]),
        written(&story.share),
        story.ask(MINT, "denominations"),
        story.ask(WALLET, "chain"),
        story.ask(WALLET, "utxos"),
        story.ask(WALLET, "peg-outs"),
        story.ask(WALLET, "peg-out-quote"),
        written(&RevisionsAnswer {
            latest: 1,
            revisions: vec![revision()],
        }),
    ]
}

fn setup_code() -> Vec<Vec<u8>> {
    let code = targets::meeting::code(1);
    let encodings = code.map(|code| vec![code.encode(), code.to_string().into_bytes()]);
    encodings.unwrap_or_default()
}

fn query() -> Query {
    Query {
        path: "spent".into(),
        parameters: [("nonces".to_owned(), "00".to_owned())].into(),
    }
}
