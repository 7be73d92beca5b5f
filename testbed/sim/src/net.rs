//! What can go wrong between guardians and in them.

use std::collections::BTreeSet;

use guildmint_core::PeerId;

/// How bad the world is. All probabilities are in percent.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    /// Messages lost.
    pub loss: u32,
    /// Messages that arrive twice.
    pub duplication: u32,
    /// The longest delay of a message, in milliseconds; messages overtake each other within it.
    pub max_delay_ms: u64,
    /// A guardian whose disk is slow, and the longest that it takes for one thing, in milliseconds.
    pub slow_disk: Option<(PeerId, u64)>,
    /// How long guardians are busy with something else at most, in milliseconds: what comes meanwhile they take in together.
    pub busy_ms: u64,
    /// Crashes, spread over the time of the run.
    pub crashes: u32,
    /// How long a crashed guardian stays away at most, in milliseconds.
    pub max_outage_ms: u64,
    /// The guardians that are Byzantine: what they say is tampered with.
    pub byzantine: BTreeSet<PeerId>,
    /// By how much guardians' clocks differ at most, in milliseconds. It is another at each start.
    pub clock_skew_ms: u64,
    /// A partition: these guardians do not reach the others, between two times in milliseconds.
    pub partition: Option<(BTreeSet<PeerId>, u64, u64)>,
    /// Who does not hear the agreement messages of whom: the speaker, then the listener.
    pub deaf: BTreeSet<(PeerId, PeerId)>,
}

impl Faults {
    /// A network that loses, repeats and reorders this percentage of messages.
    #[must_use]
    pub fn lossy(percent: u32) -> Self {
        Self {
            loss: percent,
            duplication: percent,
            max_delay_ms: 150,
            ..Self::default()
        }
    }

    /// Makes a guardian's disk slow.
    #[must_use]
    pub fn with_slow_disk(mut self, peer: PeerId, longest_ms: u64) -> Self {
        self.slow_disk = Some((peer, longest_ms));
        self
    }

    /// Makes guardians busy, so that they take in much at a time.
    #[must_use]
    pub fn with_busy_guardians(mut self, longest_ms: u64) -> Self {
        self.busy_ms = longest_ms;
        self
    }

    /// Adds crashes.
    #[must_use]
    pub fn with_crashes(mut self, crashes: u32, max_outage_ms: u64) -> Self {
        self.crashes = crashes;
        self.max_outage_ms = max_outage_ms;
        self
    }

    /// Makes a guardian Byzantine.
    #[must_use]
    pub fn with_a_liar(mut self, liar: PeerId) -> Self {
        self.byzantine.insert(liar);
        self
    }

    /// Makes guardians' clocks differ.
    #[must_use]
    pub fn with_clocks_apart(mut self, longest_ms: u64) -> Self {
        self.clock_skew_ms = longest_ms;
        self
    }

    /// All agreement messages of one guardian to another are lost. What they ask each other still arrives.
    #[must_use]
    pub fn with_frames_lost(mut self, from: PeerId, to: PeerId) -> Self {
        self.deaf.insert((from, to));
        self
    }

    /// Adds a partition.
    #[must_use]
    pub fn with_partition(
        mut self,
        side: impl IntoIterator<Item = PeerId>,
        from_ms: u64,
        to_ms: u64,
    ) -> Self {
        self.partition = Some((side.into_iter().collect(), from_ms, to_ms));
        self
    }

    /// Whether two guardians cannot reach each other now.
    pub(crate) fn cut(&self, a: PeerId, b: PeerId, now_ms: u64) -> bool {
        self.partition.as_ref().is_some_and(|(side, from, to)| {
            (*from..*to).contains(&now_ms) && side.contains(&a) != side.contains(&b)
        })
    }
}
