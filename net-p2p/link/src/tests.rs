use proptest::prelude::*;

use super::*;
use crate::outbox::REPLY_BYTES;
use crate::packet::cost_bytes;

const A: PeerId = PeerId(0);
const B: PeerId = PeerId(1);

fn link(me: PeerId, guardians: u16, open: u64) -> Link {
    Link::new(me, Quorum::new(guardians).unwrap(), Epoch(open))
}

fn frames(epoch: u64, first: u64, frames: &[&[u8]]) -> Packet {
    let frames = frames.iter().map(|frame| frame.to_vec()).collect();
    Packet::Frames {
        epoch: Epoch(epoch),
        first,
        frames,
    }
}

fn claim(committed: Option<u64>, sent: &[(u64, u64)], please_reply: bool) -> Packet {
    Packet::Status(Status {
        committed: committed.map(Epoch),
        sent: sent
            .iter()
            .map(|(epoch, frames)| (Epoch(*epoch), *frames))
            .collect(),
        received: vec![],
        please_reply,
    })
}

fn status_of(packet: &Packet) -> &Status {
    match packet {
        Packet::Status(status) => status,
        other => panic!("a status, not {other:?}"),
    }
}

#[test]
fn a_gap_that_closes_by_itself_is_not_asked_for() {
    let mut link = link(A, 2, 0);
    assert!(link
        .handle(B, frames(0, 1, &[b"b"]), 1_000)
        .deliver
        .is_empty());
    assert_eq!(link.next_wake_ms(), Some(1_100));
    assert!(link.tick(1_099).is_empty());
    assert_eq!(
        link.handle(B, frames(0, 0, &[b"a"]), 1_099).deliver,
        [b"a", b"b"]
    );
    assert!(link.tick(1_100).is_empty());
}

#[test]
fn a_status_shows_a_lost_last_frame() {
    let (mut sender, mut receiver) = (link(A, 2, 0), link(B, 2, 0));
    sender.push(b"lost".to_vec());
    let _lost = sender.flush();
    let output = receiver.handle(A, sender.status(false), 0);
    assert_eq!(output, Output::default());
    let asked = receiver.tick(100);
    assert_eq!(
        asked,
        [(
            A,
            Packet::Fetch {
                epoch: Epoch(0),
                first: 0
            }
        )]
    );
    let reply = sender.handle(B, asked[0].1.clone(), 100).reply;
    assert_eq!(reply, [frames(0, 0, &[b"lost"])]);
    assert_eq!(receiver.handle(A, reply[0].clone(), 100).deliver, [b"lost"]);
}

#[test]
fn nothing_is_told_of_frames_before_they_are_flushed() {
    let mut link = link(A, 2, 0);
    link.push(b"not on disk".to_vec());
    assert!(status_of(&link.status(false)).sent.is_empty());
    let fetch = Packet::Fetch {
        epoch: Epoch(0),
        first: 0,
    };
    assert!(link.handle(B, fetch.clone(), 0).reply.is_empty());
    let _sent = link.flush();
    assert_eq!(status_of(&link.status(false)).sent, [(Epoch(0), 1)]);
    assert_eq!(link.handle(B, fetch, 50).reply.len(), 1);
}

#[test]
fn what_is_taken_back_was_never_said() {
    let mut link = link(A, 2, 0);
    link.push(b"a".to_vec());
    assert_eq!(link.flush().len(), 1);
    link.push(b"b".to_vec());
    link.retract();
    assert_eq!(link.flush(), []);
    link.push(b"c".to_vec());
    assert_eq!(link.flush(), [frames(0, 1, &[b"c"])]);
}

#[test]
fn who_has_heard_more_of_us_than_we_have_said_is_noticed() {
    let mut link = link(A, 2, 5);
    link.push(b"a".to_vec());
    let mut heard = |epoch: u64, frames: u64| {
        let status = Packet::Status(Status {
            committed: None,
            sent: vec![],
            received: vec![(Epoch(epoch), vec![frames, 0])],
            please_reply: false,
        });
        link.handle(B, status, 1_000).heard_of_us
    };
    assert_eq!(heard(5, 1), None);
    assert_eq!(heard(5, 2), Some(Epoch(5)));
    assert_eq!(heard(7, 1), Some(Epoch(7)));
    assert_eq!(heard(4, 9), None, "that is over");
}

#[test]
fn the_last_committed_epoch_is_still_served_after_the_next_has_opened() {
    let mut link = link(A, 2, 0);
    link.push(b"term".to_vec());
    assert!(link.commit(Epoch(1)).is_empty());
    // What was pushed just before the commit still goes out.
    assert_eq!(link.flush(), [frames(0, 0, &[b"term"])]);
    let output = link.handle(B, claim(None, &[], true), 0);
    assert_eq!(status_of(&output.reply[0]).sent, [(Epoch(0), 1)]);
    assert!(!output.peer_behind);
    let fetch = Packet::Fetch {
        epoch: Epoch(0),
        first: 0,
    };
    assert_eq!(link.handle(B, fetch, 0).reply, [frames(0, 0, &[b"term"])]);
}

#[test]
fn a_peer_in_a_forgotten_epoch_is_behind() {
    let mut link = link(A, 2, 7);
    let fetch = |epoch| Packet::Fetch {
        epoch: Epoch(epoch),
        first: 0,
    };
    assert!(link.handle(B, fetch(6), 0).peer_behind);
    assert!(!link.handle(B, fetch(7), 0).peer_behind);
    assert!(!link.handle(B, fetch(8), 0).peer_behind);
    assert!(link.handle(B, claim(Some(3), &[], false), 0).peer_behind);
    assert!(!link.handle(B, claim(Some(6), &[], false), 0).peer_behind);
}

#[test]
fn a_peer_beyond_our_epoch_is_ahead() {
    let mut link = link(A, 2, 7);
    assert_eq!(
        link.handle(B, claim(Some(6), &[], false), 0).peer_ahead,
        None
    );
    assert_eq!(
        link.handle(B, claim(Some(7), &[], false), 0).peer_ahead,
        Some(Epoch(7))
    );
    assert_eq!(link.handle(B, frames(7, 0, &[b"a"]), 0).peer_ahead, None);
    let far = link.handle(B, frames(100, 0, &[b"a"]), 0);
    assert_eq!((far.peer_ahead, link.held_bytes()), (Some(Epoch(99)), 0));
}

#[test]
fn who_hears_of_a_later_epoch_only_asks_what_it_missed() {
    let mut link = link(A, 2, 0);
    assert!(link.handle(B, frames(1, 0, &[b"a"]), 0).deliver.is_empty());
    let asked = link.tick(link.next_wake_ms().unwrap());
    assert!(asked.len() == 1 && status_of(&asked[0].1).please_reply);
}

#[test]
fn who_speaks_in_the_next_epoch_needs_no_reminder() {
    let mut link = link(A, 2, 0);
    let _none_early = link.commit(Epoch(1));
    let _ = link.handle(B, frames(1, 0, &[b"a"]), 0);
    let _none_early = link.commit(Epoch(2));
    let _ = link.handle(B, frames(2, 0, &[b"a"]), 0);
    assert!(link
        .peers
        .values()
        .all(|peer| peer.committed == link.committed()));
}

#[test]
fn frames_of_the_next_epochs_wait_for_them() {
    let mut link = link(A, 2, 0);
    let last = limits::MAX_EPOCHS_AHEAD;
    assert!(link
        .handle(B, frames(last, 0, &[b"x"]), 0)
        .deliver
        .is_empty());
    assert!(link
        .handle(B, frames(1, 0, &[b"a", b"b"]), 0)
        .deliver
        .is_empty());
    assert!(link
        .handle(B, frames(last + 1, 0, &[b"y"]), 0)
        .deliver
        .is_empty());
    assert_eq!(link.held_bytes(), 3 * cost_bytes(b"x"));
    assert_eq!(
        link.commit(Epoch(1)),
        [(B, vec![b"a".to_vec(), b"b".to_vec()])]
    );
    assert!(link.commit(Epoch(1)).is_empty());
    assert!(link
        .handle(B, frames(0, 0, &[b"late"]), 0)
        .deliver
        .is_empty());
    assert_eq!(link.commit(Epoch(last)), [(B, vec![b"x".to_vec()])]);
    assert!(link.commit(Epoch(last + 9)).is_empty());
    assert_eq!(link.held_bytes(), 0);
}

#[test]
fn a_restart_continues_both_streams() {
    let mut before = link(A, 2, 4);
    before.push(b"first".to_vec());
    assert_eq!(
        before
            .handle(B, frames(4, 0, &[b"a", b"b"]), 0)
            .deliver
            .len(),
        2
    );
    let sent = before.flush();

    let mut after = link(A, 2, 4);
    after.push(b"first".to_vec());
    after.restore(B);
    after.restore(B);
    assert_eq!(after.flush(), sent);
    assert_eq!(after.status(false), before.status(false));
    assert_eq!(
        after.handle(B, frames(4, 1, &[b"b", b"c"]), 0).deliver,
        [b"c"]
    );
}

#[test]
fn an_idle_link_is_silent_and_an_active_one_is_not() {
    let mut link = link(A, 3, 0);
    assert_eq!(link.next_wake_ms(), None);
    assert!(link.tick(1_000_000).is_empty());
    link.push(b"a".to_vec());
    for due_ms in [1_002_000, 1_004_000, 1_006_000] {
        assert_eq!(link.next_wake_ms(), Some(due_ms));
        let packets = link.tick(due_ms);
        assert!(packets
            .iter()
            .all(|(_, packet)| status_of(packet).please_reply));
        assert_eq!(packets.len(), 2);
    }
}

#[test]
fn a_commit_is_announced_and_those_who_may_have_missed_it_are_reminded_a_few_times() {
    let mut link = link(A, 3, 0);
    let _none_early = link.commit(Epoch(1));
    let announced = link.tick(100);
    assert_eq!(announced.len(), 2);
    assert!(announced
        .iter()
        .all(|(_, packet)| !status_of(packet).please_reply));
    let _ = link.handle(B, claim(Some(0), &[], false), 200);
    let mut reminded = 0;
    while let Some(due_ms) = link.next_wake_ms() {
        for (peer, packet) in link.tick(due_ms) {
            assert!(peer == PeerId(2) && status_of(&packet).please_reply);
            reminded += 1;
        }
    }
    assert_eq!(reminded, REMINDERS);
}

#[test]
fn answers_to_one_peer_are_rare() {
    let mut link = link(A, 2, 0);
    link.push(b"a".to_vec());
    let _sent = link.flush();
    let fetch = Packet::Fetch {
        epoch: Epoch(0),
        first: 0,
    };
    let mut replies = 0;
    for step in 0..10_000 {
        for packet in [fetch.clone(), claim(None, &[], true)] {
            replies += link.handle(B, packet, step / 10).reply.len();
        }
    }
    assert_eq!(replies, 2 * 1_000 / 50);
}

#[test]
fn what_no_honest_peer_sends_is_a_fault() {
    let mut link = link(A, 2, 0);
    let large = vec![0; limits::MAX_FRAME_BYTES + 1];
    let marks = |marks: usize| {
        let received = vec![(Epoch(0), vec![0; marks])];
        Packet::Status(Status {
            committed: None,
            sent: vec![],
            received,
            please_reply: true,
        })
    };
    let rows = [
        (A, frames(0, 0, &[b"a"]), LinkFault::NotAPeer(A)),
        (
            PeerId(2),
            frames(0, 0, &[b"a"]),
            LinkFault::NotAPeer(PeerId(2)),
        ),
        (B, frames(0, 0, &[b"a", b""]), LinkFault::FrameSize(0)),
        (
            B,
            frames(0, 0, &[&large]),
            LinkFault::FrameSize(large.len()),
        ),
        (
            B,
            frames(0, u64::MAX, &[b"a"]),
            LinkFault::FrameNumber(u64::MAX),
        ),
        (
            B,
            frames(0, 1 << 16, &[b"a"]),
            LinkFault::FrameNumber((1 << 16) + 1),
        ),
        (
            B,
            claim(None, &[(0, 1 << 17)], true),
            LinkFault::FrameNumber(1 << 17),
        ),
        (
            B,
            claim(None, &[(0, 1); 4], true),
            LinkFault::StatusEpochs(4),
        ),
        (B, marks(1), LinkFault::StatusMarks(1)),
        (B, marks(3), LinkFault::StatusMarks(3)),
    ];
    for (from, packet, fault) in rows {
        let ignored = Output {
            fault: Some(fault),
            ..Output::default()
        };
        assert_eq!(link.handle(from, packet, 0), ignored);
    }
    assert_eq!((link.next_wake_ms(), link.held_bytes()), (None, 0));
}

#[test]
fn a_federation_of_one_keeps_no_more_than_two_epochs() {
    let mut link = link(A, 1, 0);
    for epoch in 1..100 {
        link.push(vec![0; 100]);
        assert_eq!(link.flush().len(), 1);
        assert!(link.commit(Epoch(epoch)).is_empty());
    }
    assert_eq!(link.outbox_bytes(), cost_bytes(&[0; 100]));
}

/// Numbers near every bound that a link knows.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![
        0..12u64,
        MAX_FRAMES_PER_EPOCH - 3..MAX_FRAMES_PER_EPOCH + 3,
        u64::MAX - 3..=u64::MAX
    ]
}

fn epoch() -> impl Strategy<Value = Epoch> {
    number().prop_map(Epoch)
}

fn packet() -> impl Strategy<Value = Packet> {
    let sizes = prop_oneof![8 => 1..20usize, 4 => Just(limits::MAX_FRAME_BYTES), 1 => Just(0),
        1 => Just(limits::MAX_FRAME_BYTES + 1)];
    let frame = sizes.prop_map(|bytes| vec![0xab; bytes]);
    let frames = prop::collection::vec(frame, 0..40);
    let sent = prop::collection::vec((epoch(), number()), 0..5);
    let marks = prop_oneof![4 => Just(3), 1 => 0..6usize];
    let marks = marks.prop_map(|marks| vec![u64::MAX; marks]);
    let received = prop::collection::vec((epoch(), marks), 0..3);
    let status = (prop::option::of(epoch()), sent, received, any::<bool>());
    prop_oneof![
        4 => (epoch(), number(), frames)
            .prop_map(|(epoch, first, frames)| Packet::Frames { epoch, first, frames }),
        1 => (epoch(), number()).prop_map(|(epoch, first)| Packet::Fetch { epoch, first }),
        2 => status.prop_map(|(committed, sent, received, please_reply)| {
            Packet::Status(Status { committed, sent, received, please_reply })
        }),
    ]
}

#[derive(Debug, Clone)]
enum Step {
    Hostile(u16, Packet),
    Tick,
    Push,
    Commit(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => (0..5u16, packet()).prop_map(|(from, packet)| Step::Hostile(from, packet)),
        2 => Just(Step::Tick),
        2 => Just(Step::Push),
        1 => (0..12u64).prop_map(Step::Commit),
    ]
}

proptest! {
    /// Whatever a guardian sends, a link stays bounded, answers little, and still serves the honest guardian 1.
    #[test]
    fn hostile_packets_do_no_harm(
        steps in prop::collection::vec((step(), 0..300u64), 1..150),
        start in prop_oneof![0..3u64, u64::MAX - 3..u64::MAX],
    ) {
        let (mut link, mut now_ms) = (link(A, 3, start), 0);
        for (step, pause_ms) in steps {
            now_ms += pause_ms;
            match step {
                Step::Hostile(from, packet) => {
                    let from = PeerId(if from == B.0 { 2 } else { from });
                    let output = link.handle(from, packet, now_ms);
                    let reply = output.reply.iter().map(|packet| match packet {
                        Packet::Frames { frames, .. } => frames.iter().map(|f| cost_bytes(f)).sum(),
                        _ => 64,
                    });
                    prop_assert!(reply.sum::<usize>() <= REPLY_BYTES);
                    prop_assert!(output.fault.is_none() || output.deliver.is_empty());
                }
                // At most a fetch and a status to each peer.
                Step::Tick => prop_assert!(link.tick(now_ms).len() <= 4),
                Step::Push => {
                    link.push(vec![1; 30]);
                    prop_assert_eq!(link.flush().len(), 1);
                }
                Step::Commit(next) => {
                    let _early = link.commit(Epoch(start.saturating_add(next)));
                }
            }
            prop_assert!(link.held_bytes() <= limits::MAX_INBOX_BYTES);
        }
        let honest = Packet::Frames { epoch: link.open, first: 0, frames: vec![vec![7]] };
        prop_assert_eq!(link.handle(B, honest, now_ms).deliver, [[7]]);
    }

    /// Frames cut into any packets, repeated and in any order come out as they were.
    #[test]
    fn any_order_of_packets_gives_the_stream(
        cuts in prop::collection::vec((0..40u64, 1..8u64), 0..60),
        order in any::<prop::sample::Index>(),
    ) {
        let whole = |first: u64, end: u64| Packet::Frames {
            epoch: Epoch(0),
            first,
            frames: (first..end.min(40)).map(|number| vec![number as u8]).collect(),
        };
        let mut packets: Vec<_> = cuts.iter().map(|(first, len)| whole(*first, first + len)).collect();
        packets.insert(order.index(packets.len() + 1), whole(0, 40));
        let mut link = link(A, 2, 0);
        let deliver = packets.into_iter().flat_map(|packet| link.handle(B, packet, 0).deliver);
        prop_assert_eq!(deliver.collect::<Vec<_>>(), (0..40).map(|n| vec![n]).collect::<Vec<_>>());
    }
}
