//! What the user can want.

use guildmint_core::Amount;
use guildmint_mint::client::NotesString;

use super::{Asker, Client};
use crate::{
    errand,
    error::ClientError,
    event::{Command, Ticket},
    inquiry::Inquiry,
    operation::{
        check_notes, peg_out, Deposit, Desk, Errand, Happening, Operation, OperationId, Phase,
        Receive, Restore, Send, Withdraw,
    },
    reply::Reply,
    rows::{ErrandRow, OperationRow, Unrestored},
};

impl Client {
    pub(super) fn command(&mut self, ticket: Ticket, command: Command) {
        if let Err(error) = self.check_restored(&command) {
            return self.reply(ticket, Err(error));
        }
        let started = match command {
            command @ (Command::Gateways | Command::LnQuote { .. } | Command::LnFetch { .. }) => {
                return self.lightning_inquiry(ticket, command);
            }
            command @ (Command::LnPay { .. }
            | Command::LnInvoice { .. }
            | Command::LnRefund { .. }) => self.lightning_command(command),
            Command::Restore { gap } => self
                .restore(gap)
                .map(|operation| Reply::Started { operation }),
            Command::Info => {
                let (inquiry, question) = Inquiry::info();
                return self.ask(Asker::Command(ticket, inquiry), question);
            }
            Command::Validate { notes } => return self.validate(ticket, notes),
            Command::Quote { address, amount } => return self.quote(ticket, &address, amount),
            Command::Deposits { operation } => self.look_for_deposits(operation),
            Command::Resume { operation } => self.resume(operation),
            Command::Reclaim { operation } => self.reclaim(operation),
            Command::Cancel { operation } => self.cancel(operation),
            Command::Receive { notes } => self.receive(&notes),
            Command::Refresh => self.refresh(),
            Command::Errand(errand) => self.errand_of(*errand),
            Command::Ask(question) => {
                let (whom, rule, reader) = question.parts();
                return self.ask_them(Asker::Command(ticket, Inquiry::Plain), whom, rule, reader);
            }
            Command::DepositAddress => self
                .open(|desk| Deposit::start(desk).map(Operation::Deposit))
                .map(|operation| Reply::Started { operation }),
            Command::Send {
                amount,
                reclaim_after_ms,
            } => self
                .open(|desk| Send::start(amount, reclaim_after_ms, desk).map(Operation::Send))
                .map(|operation| Reply::Started { operation }),
            Command::Withdraw {
                address,
                amount,
                fee,
            } => self
                .open(|desk| Withdraw::start(&address, amount, fee, desk).map(Operation::Withdraw))
                .map(|operation| Reply::Started { operation }),
        };
        self.reply(ticket, started);
    }

    /// ⚠ Whatever takes a new index waits until the old ones are known: one that is used twice is refused, or worse, shows
    /// that two notes are of one wallet (SPEC MIN-6).
    fn check_restored(&self, command: &Command) -> Result<(), ClientError> {
        let is_address = matches!(command, Command::DepositAddress);
        let takes_notes = matches!(
            command,
            Command::Send { .. }
                | Command::Receive { .. }
                | Command::Withdraw { .. }
                | Command::Cancel { .. }
                | Command::LnPay { .. }
                | Command::LnInvoice { .. }
                | Command::Errand(_)
        );
        let under_way = self.restoring();
        let open = under_way.as_ref().map(|(_, restore)| restore.has_notes());
        let unrestored = self.rows.get(&Unrestored(())).is_some() || open == Some(false);
        if (is_address && (unrestored || open.is_some())) || (takes_notes && unrestored) {
            return Err(ClientError::NotRestored);
        }
        Ok(())
    }

    /// The search that is under way.
    fn restoring(&self) -> Option<(OperationId, Restore)> {
        let operations = self.rows.scan::<OperationRow>().into_iter();
        let mut restores = operations.filter_map(|(OperationRow(id), record)| {
            let Operation::Restore(restore) = record.operation else {
                return None;
            };
            (!restore.is_over()).then_some((id, restore))
        });
        restores.next()
    }

    /// One search at a time.
    fn restore(&mut self, gap: u64) -> Result<OperationId, ClientError> {
        if let Some((operation, _)) = self.restoring() {
            self.happenings.push_back((operation, Happening::Resume));
            return Ok(operation);
        }
        self.open(|desk| Ok(Operation::Restore(Restore::start(gap, desk))))
    }

    fn validate(&mut self, ticket: Ticket, notes: NotesString) {
        let (checked, _) = self.at_desk(OperationId(0), |desk| check_notes(&notes, desk));
        if let Err(error) = checked {
            return self.reply(ticket, Err(error));
        }
        let (inquiry, question) = Inquiry::validation(notes);
        self.ask(Asker::Command(ticket, inquiry), question);
    }

    fn quote(&mut self, ticket: Ticket, address: &str, amount: Amount) {
        let (checked, _) = self.at_desk(OperationId(0), |desk| {
            peg_out(address, amount, Amount::ZERO, desk)
        });
        match checked {
            Ok(peg_out) => {
                let module_fee = self.federation.wallet.config().peg_out_fee;
                let (inquiry, question) =
                    Inquiry::quote(peg_out.address, peg_out.amount_sat, module_fee);
                self.ask(Asker::Command(ticket, inquiry), question);
            }
            Err(error) => self.reply(ticket, Err(error)),
        }
    }

    /// The same notes given again, after a Ctrl-C perhaps, are the same operation.
    fn receive(&mut self, notes: &NotesString) -> Result<Reply, ClientError> {
        let known = self.rows.scan::<OperationRow>().into_iter().rev().find(
            |(_, record)| matches!(&record.operation, Operation::Receive(one) if one.is_of(notes)),
        );
        let operation = match known {
            Some((OperationRow(operation), _)) => operation,
            None => self.open(|desk| Receive::start(notes, desk).map(Operation::Receive))?,
        };
        Ok(Reply::Started { operation })
    }

    /// The same name ordered again is the same errand, also after its end (SPEC GW-7).
    fn errand_of(&mut self, errand: errand::Errand) -> Result<Reply, ClientError> {
        let row = ErrandRow(errand.name);
        let operation = match self.rows.get(&row) {
            Some(operation) => operation,
            None => {
                let start = |desk: &mut Desk<'_>| Errand::start(errand, desk);
                let operation = self.open(|desk| start(desk).map(Operation::Errand))?;
                self.rows.put(&row, &operation);
                operation
            }
        };
        Ok(Reply::Started { operation })
    }

    fn reclaim(&mut self, operation: OperationId) -> Result<Reply, ClientError> {
        let view = self.operation(operation)?;
        if view.kind != "send" {
            return Err(ClientError::WrongOperation {
                operation,
                problem: format!("is a {}; only a send can be reclaimed", view.kind),
            });
        }
        self.happenings.push_back((operation, Happening::Reclaim));
        Ok(Reply::Started { operation })
    }

    fn cancel(&mut self, operation: OperationId) -> Result<Reply, ClientError> {
        let view = self.operation(operation)?;
        let problem = match (view.kind, view.state) {
            ("withdraw", "submitted" | "cancelling") => {
                self.happenings.push_back((operation, Happening::Cancel));
                return Ok(Reply::Started { operation });
            }
            ("withdraw", state) => {
                format!("is {state}; a withdrawal can be given up only while guardians have not accepted it")
            }
            (kind, _) => format!("is a {kind}; only a withdrawal can be given up"),
        };
        Err(ClientError::WrongOperation { operation, problem })
    }

    fn look_for_deposits(&mut self, only: Option<OperationId>) -> Result<Reply, ClientError> {
        if let Some(operation) = only {
            let view = self.operation(operation)?;
            if view.kind != "deposit" {
                return Err(ClientError::WrongOperation {
                    operation,
                    problem: format!("is a {}, not a deposit", view.kind),
                });
            }
            self.happenings.push_back((operation, Happening::Resume));
            return Ok(Reply::Started { operation });
        }
        for view in self.operations() {
            if view.kind == "deposit" && view.phase == Phase::Pending {
                self.happenings
                    .push_back((view.operation, Happening::Resume));
            }
        }
        Ok(Reply::Done {})
    }

    fn resume(&mut self, only: Option<OperationId>) -> Result<Reply, ClientError> {
        if let Some(operation) = only {
            self.operation(operation)?;
        }
        let chosen = |operation: OperationId| only.is_none_or(|only| only == operation);
        let mut requests = Vec::new();
        for (txid, (operation, submission)) in &mut self.submissions {
            if chosen(*operation) {
                requests.push((*txid, submission.hurry(self.now)));
            }
        }
        for (txid, requests) in requests {
            self.send(super::Owner::Submission(txid), requests);
        }
        for view in self.operations() {
            let open = view.phase == Phase::Pending || only.is_some();
            if chosen(view.operation) && open {
                self.happenings
                    .push_back((view.operation, Happening::Resume));
            }
        }
        Ok(only.map_or(Reply::Done {}, |operation| Reply::Started { operation }))
    }
}
