//! Publishing what the gateway says of itself (SPEC LN-6).

use guildmint_client::ErrandState;
use guildmint_core::module::Reject;
use guildmint_gateway::federation::News;
use guildmint_ln::{LnOutput, SignedAnnouncement};

use super::Happening;
use crate::{desk::Desk, names::Purpose};

pub(crate) struct Announce {
    signed: SignedAnnouncement,
}

impl Announce {
    pub(super) fn new(signed: SignedAnnouncement) -> Self {
        Self { signed }
    }

    pub(super) fn step(&mut self, happening: Happening, desk: &mut Desk<'_>) {
        let number = self.signed.announcement.number;
        match happening {
            Happening::Time => self.resume(desk),
            Happening::Errand(_, ErrandState::Pending) => {}
            Happening::Errand(_, ErrandState::Accepted { .. }) => {
                desk.tell(News::Announced { number });
            }
            Happening::Errand(_, ErrandState::Rejected(reject)) => refused(number, &reject, desk),
            Happening::NotBegun(error) => {
                let reason = error.to_string();
                desk.tell(News::NotAnnounced { number, reason });
            }
            Happening::Answer(_) => {}
        }
    }

    fn resume(&mut self, desk: &mut Desk<'_>) {
        let number = self.signed.announcement.number;
        let purpose = Purpose::Announce(number);
        match desk.last(purpose) {
            None => self.begin(0, desk),
            Some((attempt, ErrandState::Pending)) => desk.follow(purpose, attempt),
            Some((_, ErrandState::Accepted { .. })) => desk.tell(News::Announced { number }),
            Some((attempt, ErrandState::Rejected(reject))) => match is_final(&reject) {
                true => refused(number, &reject, desk),
                false => self.begin(attempt.saturating_add(1), desk),
            },
        }
    }

    fn begin(&self, attempt: u32, desk: &mut Desk<'_>) {
        let output = LnOutput::Announcement(self.signed.clone());
        let purpose = Purpose::Announce(self.signed.announcement.number);
        desk.begin_output((purpose, attempt), &output, false);
    }
}

fn refused(number: u64, reject: &Reject, desk: &mut Desk<'_>) {
    let reason = reject.message.clone();
    desk.tell(News::NotAnnounced { number, reason });
}

/// Whether the same announcement is refused by whatever it is carried.
fn is_final(reject: &Reject) -> bool {
    reject.code.contains("announcement")
}
