//! A guardian's view of its federation, with every part in it.

use std::collections::BTreeMap;

use guildmint_api::{
    BackupFacts, Check, CoinFacts, DatabaseFacts, FederationFacts, GuardianFacts, Overview,
    PayoutFacts, WalletFacts,
};
use guildmint_core::{
    api::{AuditAnswer, ChangeReport, ProposalReport, RevisionReport, StatusAnswer},
    Audit, Epoch, FederationId, PeerId, RevisionHash,
};

/// Where the connection to the second guardian ends, which is nobody else's business.
pub const ADDRESS: &str = "/ip4/192.0.2.7/tcp/8173";

/// Everything that a stranger can name is called `name`.
pub fn overview(name: &str) -> Overview {
    Overview {
        ready: true,
        checks: vec![Check {
            name: "network".into(),
            ok: true,
            detail: name.into(),
        }],
        federation: FederationFacts {
            warning: Some("None may fail.".into()),
            name: name.into(),
            id: FederationId([1; 32]),
            network: "regtest".into(),
            threshold: 3,
            invite: "guild1qqqq".into(),
        },
        revisions: Some(RevisionReport {
            approves: None,
            number: 2,
            from: Some(Epoch(5)),
            signed_by: vec![PeerId(0), PeerId(1), PeerId(2)],
            needed: 3,
            present: name.into(),
            proposals: vec![ProposalReport {
                number: 3,
                hash: RevisionHash([0xab; 32]),
                changes: vec![ChangeReport {
                    value: "guardians.1".into(),
                    from: name.into(),
                    to: name.into(),
                }],
                approved_by: vec![PeerId(1)],
            }],
        }),
        status: Some(status(name)),
        uptime_seconds: 300,
        last_epoch_seconds: Some(7),
        guardians: (0..4).map(|number| guardian(number, name)).collect(),
        audit: Some(audit()),
        wallet: Some(wallet(name)),
        database: DatabaseFacts {
            place: "sqlite".into(),
            bytes: Some(40_960),
            busy_ms: 0,
        },
        backup: Some(BackupFacts {
            age_seconds: 172_800,
        }),
    }
}

fn status(name: &str) -> StatusAnswer {
    StatusAnswer {
        peer: PeerId(0),
        version: "1.2.3".into(),
        committed: Some(Epoch(7)),
        height: 800_000,
        pool: 3,
        not_ready: None,
        catching_up: None,
        runs_twice: Vec::new(),
        versions: Default::default(),
        revision: 2,
        halted: Some(name.into()),
    }
}

fn guardian(number: u16, name: &str) -> GuardianFacts {
    GuardianFacts {
        guardian: PeerId(number),
        name: name.into(),
        api: name.into(),
        is_self: number == 0,
        connected: number != 3,
        address: (number == 1).then(|| ADDRESS.into()),
        round_trip_ms: (number == 1).then_some(42),
        slowed_ms: if number == 2 { 61_000 } else { 0 },
        runs_twice: number == 2,
        faults: u64::from(number == 2),
        last_fault: (number == 2).then(|| format!("wrong share {name}")),
    }
}

fn audit() -> AuditAnswer {
    let part = |assets_msat, liabilities_msat| Audit {
        assets_msat,
        liabilities_msat,
    };
    AuditAnswer {
        epoch: Some(Epoch(7)),
        assets_msat: 1_234_567_000,
        liabilities_msat: 1_234_000_000,
        net_msat: 567_000,
        modules: BTreeMap::from([
            ("mint".into(), part(0, 1_234_000_000)),
            ("wallet".into(), part(1_234_567_000, 0)),
        ]),
        certificate: None,
    }
}

fn wallet(name: &str) -> WalletFacts {
    WalletFacts {
        agreed_height: 799_990,
        agreed_hash: "0f".repeat(32),
        tip_height: Some(800_000),
        fee_rate_sat_per_kvb: Some(2_000),
        source: name.into(),
        source_ok: true,
        coins: vec![CoinFacts {
            outpoint: format!("{}:1", "ab".repeat(32)),
            amount_sat: 1_234_567,
            confirmed: true,
        }],
        more_coins: true,
        queued: 2,
        payouts: vec![PayoutFacts {
            txid: "cd".repeat(32),
            recipients: 2,
            fee_sat: 500,
            state: "signing".into(),
            signers: 1,
            built_at: 799_991,
        }],
    }
}
