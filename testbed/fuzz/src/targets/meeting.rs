//! A meeting of guardians that hears anything.

use std::sync::{Arc, OnceLock};

use guildmint_core::{founding::Founders, PeerId, Wire as _};
use guildmint_founding::{Meeting, MeetingAction, Proposal, Roster, Said, Seed, SetupCode, PACKET_VERSION};
use guildmint_mint::Mint;
use serde_json::json;

use crate::canonical::wire;

/// The bytes as a packet from another guardian, and as what was saved before.
pub fn target(bytes: &[u8]) {
    let saved = wire::<Said>(bytes);
    let Some(mut meeting) = begin(saved) else {
        return;
    };
    for bytes in [bytes, &[&[PACKET_VERSION], bytes].concat()] {
        for from in [PeerId(0), PeerId(3), PeerId(9)] {
            let _ = meeting.take(from, bytes);
        }
    }
    let _ = meeting.progress();
}

/// A meeting of four, as the first of them has it.
pub fn begin(saved: Option<Said>) -> Option<Meeting> {
    static ROSTER: OnceLock<Option<Roster>> = OnceLock::new();
    let roster = ROSTER.get_or_init(roster).clone()?;
    let founders = Arc::new(founders());
    let (meeting, _) = Meeting::new(roster, Seed::new([1; 32]), founders, saved).ok()?;
    Some(meeting)
}

fn founders() -> Founders {
    Founders::default().with::<Mint>()
}

fn roster() -> Option<Roster> {
    let codes: Option<Vec<_>> = (1..=4).map(code).collect();
    Roster::new(codes?, &code(1)?).ok()
}

/// The setup code of a guardian.
pub fn code(byte: u8) -> Option<SetupCode> {
    let (seed, p2p) = (Seed::new([byte; 32]), vec!["/dns4/a/tcp/8173".to_owned()]);
    SetupCode::new(&seed, "guardian".into(), p2p, "https://a".into()).ok()
}

/// Packets and statements that an honest guardian makes.
pub fn honest() -> Vec<Vec<u8>> {
    let Some(mut meeting) = begin(None) else {
        return Vec::new();
    };
    let terms = json!({ "denominations": [0], "input_fee": 0, "output_fee": 0 });
    let proposal = json!({
        "name": "a", "network": "regtest", "epoch_floor_ms": 50,
        "modules": [{ "kind": "mint", "terms": terms }],
    });
    let mut packets = Vec::new();
    let proposed = Proposal::from_json(proposal, &founders()).ok();
    let actions = proposed.and_then(|proposal| meeting.propose(proposal).ok());
    for action in actions.into_iter().flat_map(|(_, actions)| actions) {
        packets.push(match action {
            MeetingAction::Save(said) => said.encode(),
            MeetingAction::Send { bytes, .. } => bytes,
        });
    }
    for peer in (0..4).map(PeerId) {
        for action in meeting.remind(peer, true) {
            if let MeetingAction::Send { bytes, .. } = action {
                packets.push(bytes);
            }
        }
    }
    packets.dedup();
    packets
}
