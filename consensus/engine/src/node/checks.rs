//! Which transactions are being checked and which hold: each is checked once, whoever brings it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use guildmint_core::{module::Reject, Epoch, PayloadHash, Tagged, Transaction, TxId, Wire};

use super::{
    event::{Action, CheckJob, CheckResult, Ticket},
    Node,
};
use crate::{rows::Pooled, Checked};

/// Inputs that are checked as one batch, if they are of more than one transaction. ⚠ The open epoch may wait for this
/// check, and if many are wrong it is done again and again to find them.
const MAX_BATCHED_INPUTS: usize = 64;

/// How long submissions may wait for others that come while an epoch is being agreed on, in milliseconds. They are too late
/// for that epoch, and together they cost much less than one by one.
const MAX_GATHER_MS: u64 = 100;

/// A transaction in short, with its signatures: its id alone would not tell a good copy from a bad one (SPEC TX-5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Print([u8; 32]);

impl Print {
    pub(super) fn of(transaction: &Transaction) -> Self {
        let hash = Tagged::new("guildmint/checked").field(transaction.encode());
        Self(hash.finish())
    }
}

/// A transaction that may be pooled once it is checked.
pub(super) struct Submission {
    /// Of the client who submitted it; none if it was in the pool before a restart.
    pub(super) ticket: Option<Ticket>,
    pub(super) print: Print,
    pub(super) transaction: Transaction,
    /// When it came.
    pub(super) since_ms: u64,
}

/// Checks under way, and what they have found lately.
#[derive(Default)]
pub(super) struct Checks {
    jobs: BTreeMap<Ticket, Job>,
    known: BTreeMap<Print, State>,
    /// What was known before the last commit: some hear of a transaction only after that.
    known_before: BTreeMap<Print, State>,
    queue: VecDeque<Submission>,
    submissions_under_way: bool,
}

#[derive(Clone)]
enum State {
    UnderWay,
    Holds(Checked),
}

/// Whom a check is for.
enum Job {
    /// They may be pooled; whose they are as in [`Submission`].
    Submissions(Vec<(Print, TxId, Option<Ticket>)>),
    /// They are in a payload of this epoch.
    Payload(Epoch, PayloadHash, Vec<Print>),
}

/// What is known of a payload's transactions.
enum Finding {
    /// All hold.
    Good(Vec<Checked>),
    /// They cannot all be accepted, whatever they are.
    Bad,
    /// Others have them checked.
    Waiting,
    /// These must be checked.
    Unknown(Vec<Print>, Vec<Transaction>),
}

impl Checks {
    /// How many submissions wait.
    pub(super) fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// Whether submissions are being checked.
    pub(super) fn are_submissions_under_way(&self) -> bool {
        self.submissions_under_way
    }

    pub(super) fn enqueue(&mut self, submission: Submission) {
        self.queue.push_back(submission);
    }

    /// An epoch has ended: what holds is remembered until the end of the next.
    pub(super) fn turn(&mut self) {
        let known = std::mem::take(&mut self.known);
        let under_way = |(print, state): (&Print, &State)| {
            matches!(state, State::UnderWay).then(|| (*print, state.clone()))
        };
        self.known = known.iter().filter_map(under_way).collect();
        self.known_before = known;
    }

    fn state(&self, print: Print) -> Option<&State> {
        let before = || self.known_before.get(&print);
        self.known
            .get(&print)
            .or_else(|| before().filter(|state| matches!(state, State::Holds(_))))
    }

    fn begin(&mut self, ticket: Ticket, job: Job, prints: impl IntoIterator<Item = Print>) {
        let under_way = prints.into_iter().map(|print| (print, State::UnderWay));
        self.known.extend(under_way);
        self.jobs.insert(ticket, job);
    }

    fn found(&mut self, print: Print, checked: Option<&Checked>) {
        match checked {
            Some(checked) => self.known.insert(print, State::Holds(checked.clone())),
            None => {
                let holds = matches!(self.known.get(&print), Some(State::Holds(_)));
                (!holds).then(|| self.known.remove(&print)).flatten()
            }
        };
    }

    /// Forgets a transaction that holds alone but was not pooled. ⚠ Anyone can make as many of these as they like.
    pub(super) fn forget(&mut self, transaction: &Transaction) {
        let print = Print::of(transaction);
        for known in [&mut self.known, &mut self.known_before] {
            if matches!(known.get(&print), Some(State::Holds(_))) {
                known.remove(&print);
            }
        }
    }

    /// How many transactions are being checked or are known to hold.
    pub(super) fn remembered(&self) -> usize {
        self.known.len() + self.known_before.len()
    }

    /// Submissions to be checked next, if that may begin and none are under way; and those that hold already.
    fn due(&mut self, may_begin: bool) -> (Vec<Submission>, Vec<(Option<Ticket>, Checked)>) {
        let (mut due, mut done, mut later) = (Vec::new(), Vec::new(), VecDeque::new());
        let mut inputs = 0;
        for submission in std::mem::take(&mut self.queue) {
            let more = inputs + submission.transaction.inputs.len();
            let full = !due.is_empty() && more > MAX_BATCHED_INPUTS;
            match self.state(submission.print) {
                Some(State::Holds(checked)) => done.push((submission.ticket, checked.clone())),
                None if may_begin && !full && !self.submissions_under_way => {
                    inputs = more;
                    due.push(submission);
                }
                _ => later.push_back(submission),
            }
        }
        self.queue = later;
        (due, done)
    }
}

impl Node {
    /// Starts the checks that are due, and goes on with what needs none.
    pub(super) fn check(&mut self) {
        self.check_payloads();
        self.check_submissions();
    }

    fn start_check(&mut self, job: Job, prints: Vec<Print>, work: CheckJob) {
        let ticket = self.disk.ticket();
        self.checks.begin(ticket, job, prints);
        self.out.push(Action::Check { ticket, job: work });
    }

    /// When submissions are checked; none if none wait.
    pub(super) fn check_submissions_at_ms(&self) -> Option<u64> {
        let first_ms = self.checks.queue.front()?.since_ms;
        match self.round.has_contributed(self.me()) {
            true => Some(first_ms.saturating_add(MAX_GATHER_MS)),
            false => Some(first_ms),
        }
    }

    fn check_submissions(&mut self) {
        let at_ms = self.check_submissions_at_ms();
        let (due, done) = self
            .checks
            .due(at_ms.is_some_and(|at_ms| at_ms <= self.now_ms));
        for (ticket, checked) in done {
            self.dry_run(ticket, checked);
        }
        if due.is_empty() {
            return;
        }
        self.checks.submissions_under_way = true;
        let whose = |one: &Submission| {
            let id = self.federation.txid(&one.transaction);
            (one.print, id, one.ticket)
        };
        let whose = due.iter().map(whose).collect();
        let prints = due.iter().map(|one| one.print).collect();
        let transactions = due.into_iter().map(|one| one.transaction).collect();
        self.start_check(
            Job::Submissions(whose),
            prints,
            CheckJob::Each(transactions, self.versions()),
        );
    }

    /// Has the transactions of received payloads checked, except those that are known to hold or are under way.
    fn check_payloads(&mut self) {
        let epoch = self.round.epoch;
        let mut begun = BTreeSet::new();
        let payloads = self.round.unchecked();
        let findings: Vec<_> = payloads
            .map(|(payload, transactions)| (payload, self.look_at(transactions, &mut begun)))
            .collect();
        for (payload, finding) in findings {
            match finding {
                Finding::Good(checked) => self.round.checked(payload, Some(checked)),
                Finding::Bad => self.round.checked(payload, None),
                Finding::Waiting => {}
                Finding::Unknown(prints, unknown) => {
                    let job = Job::Payload(epoch, payload, prints.clone());
                    let work = CheckJob::All(unknown, self.versions());
                    self.start_check(job, prints, work);
                }
            }
        }
    }

    /// What is known of a payload's transactions. Those that are not are added to those whose check has begun.
    fn look_at<'a>(
        &self,
        transactions: impl Iterator<Item = (Print, TxId, &'a Transaction)>,
        begun: &mut BTreeSet<Print>,
    ) -> Finding {
        let mut ids = BTreeSet::new();
        let (mut holding, mut unknown, mut is_waiting) = (Vec::new(), Vec::new(), false);
        for (print, id, transaction) in transactions {
            // ⚠ Two copies may differ in their signatures, and which is stored must not depend on who has seen which.
            if !ids.insert(id) {
                return Finding::Bad;
            }
            match (self.checks.state(print), self.pool.checked(id, transaction)) {
                (Some(State::Holds(checked)), _) | (_, Some(checked)) => holding.push(checked),
                (None, None) if !begun.contains(&print) => unknown.push((print, transaction)),
                (Some(State::UnderWay) | None, None) => is_waiting = true,
            }
        }
        if !unknown.is_empty() {
            begun.extend(unknown.iter().map(|(print, _)| print));
            let unknown = unknown.into_iter();
            let (prints, unknown) = unknown.map(|(print, one)| (print, one.clone())).unzip();
            return Finding::Unknown(prints, unknown);
        }
        match is_waiting {
            true => Finding::Waiting,
            false => Finding::Good(holding.into_iter().cloned().collect()),
        }
    }

    /// Has the pooled transactions checked again: what is stored is not proof.
    pub(super) fn restore_pool(&mut self) {
        for (_, transaction) in self.disk.scan::<Pooled>() {
            self.checks.enqueue(Submission {
                ticket: None,
                print: Print::of(&transaction),
                transaction,
                since_ms: self.now_ms,
            });
        }
    }

    pub(super) fn on_checked(&mut self, ticket: Ticket, result: CheckResult) {
        if let CheckResult::Outcomes(outcomes) = result {
            return self.outcomes_computed(ticket, outcomes);
        }
        match (self.checks.jobs.remove(&ticket), result) {
            (Some(Job::Submissions(submissions)), CheckResult::Each(results)) => {
                self.checks.submissions_under_way = false;
                for ((print, id, ticket), result) in submissions.into_iter().zip(results) {
                    self.checks.found(print, result.as_ref().ok());
                    self.submission_checked(id, ticket, result);
                }
            }
            (Some(Job::Payload(epoch, payload, prints)), CheckResult::All(result)) => {
                let good: Vec<Option<&Checked>> = match &result {
                    Ok(checked) => checked.iter().map(Some).collect(),
                    Err(_) => vec![None; prints.len()],
                };
                for (print, checked) in prints.into_iter().zip(good) {
                    self.checks.found(print, checked);
                }
                if result.is_err() && epoch == self.round.epoch {
                    self.round.checked(payload, None);
                }
            }
            _ => {}
        }
    }

    /// A submitted transaction was checked alone. A failure makes no verdict for its id: the same id may come again with
    /// other signatures (SPEC TX-5).
    fn submission_checked(
        &mut self,
        id: TxId,
        ticket: Option<Ticket>,
        result: Result<Checked, Reject>,
    ) {
        match (result, ticket) {
            (Ok(checked), ticket) => self.dry_run(ticket, checked),
            (Err(reject), Some(ticket)) => self.refuse(ticket, &reject),
            // It was pooled under other rules, those of an older version perhaps.
            (Err(_), None) if !self.pool.contains(id) => self.disk.remove(&Pooled(id)),
            (Err(_), None) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn submission(name: u8) -> Submission {
        let transaction = Transaction {
            inputs: vec![guildmint_core::Item {
                module: guildmint_core::ModuleId(0),
                bytes: vec![name],
            }],
            outputs: vec![],
            signatures: vec![None],
        };
        Submission {
            ticket: Some(Ticket(name.into())),
            print: Print::of(&transaction),
            transaction,
            since_ms: 0,
        }
    }

    #[test]
    fn submissions_wait_for_each_other_but_not_those_that_hold() {
        let mut checks = Checks::default();
        let known = submission(0);
        checks.found(
            known.print,
            Some(&Checked::unchecked(known.transaction.clone())),
        );
        for one in [submission(1), known, submission(2)] {
            checks.enqueue(one);
        }
        let (due, done) = checks.due(false);
        assert_eq!((due.len(), done.len(), checks.waiting()), (0, 1, 2));
        let (due, _) = checks.due(true);
        assert_eq!((due.len(), checks.waiting()), (2, 0));
    }
}
