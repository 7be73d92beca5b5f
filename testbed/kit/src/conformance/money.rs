//! Where money goes in an epoch, step by step.

use guildmint_core::{
    ledger::{Key, Ledger, Scope, Space, View},
    module::{At, DynModule},
    Amount, Item, ModuleId, OutPoint, PeerId, Transaction,
};
use guildmint_engine::Federation;

use super::story::Turn;

/// An epoch done again by hand, with the books open.
pub struct Books<'a> {
    rules: &'a Federation,
    ledger: Ledger<'a>,
    at: At,
}

impl<'a> Books<'a> {
    /// Before the epoch.
    pub fn open(rules: &'a Federation, turn: &'a Turn, at: At) -> Self {
        Self {
            rules,
            ledger: Ledger::new(&turn.before),
            at,
        }
    }

    fn module(&self, id: ModuleId) -> &'a dyn DynModule {
        let module = self.rules.module(id);
        module.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Does something in a module, and checks that assets less liabilities change by just as much.
    fn book<T>(
        &mut self,
        id: ModuleId,
        what: &str,
        step: impl FnOnce(&dyn DynModule, &mut View<'_, '_>) -> (T, i128),
    ) -> T {
        let module = self.module(id);
        let mut view = self.ledger.view(Scope::module(Space::Agreed, id));
        let before_msat = net_msat(module, &view);
        let (value, expected_msat) = step(module, &mut view);
        let change_msat = net_msat(module, &view) - before_msat;
        assert_eq!(
            change_msat,
            expected_msat,
            "the {} module's assets less liabilities change by the wrong amount when it {what}",
            module.kind()
        );
        value
    }

    /// Votes move no money.
    pub fn tally(&mut self, turn: &Turn) {
        let modules: Vec<ModuleId> = self.rules.modules().map(|(id, _)| id).collect();
        for id in modules {
            let statements = turn.output.effective.statements.iter();
            let votes: Vec<(PeerId, &[u8])> = statements
                .filter_map(|(peer, one)| Some((*peer, one.votes.get(&id)?.0.as_slice())))
                .collect();
            if !votes.is_empty() {
                let at = self.at;
                self.book(id, "counts votes", |module, view| {
                    (module.tally(view, &votes, at), 0)
                });
            }
        }
    }

    /// Inputs bring what they say, and outputs take what they say.
    pub fn apply(&mut self, transaction: &Transaction) {
        let at = self.at;
        for Item { module, bytes } in &transaction.inputs {
            self.book(*module, "spends an input", |module, view| {
                let spent = module.spend(view, bytes, at);
                ((), msat(spent.unwrap_or_else(|e| panic!("{e}")).amount))
            });
        }
        let txid = self.rules.txid(transaction);
        for (index, Item { module, bytes }) in (0..).zip(&transaction.outputs) {
            let out_point = OutPoint { txid, index };
            self.book(*module, "accepts an output", |module, view| {
                let charge = module.accept(view, bytes, out_point, at);
                ((), -msat(charge.unwrap_or_else(|e| panic!("{e}")).amount))
            });
        }
    }

    /// Nothing is due to anybody outside the federation, unless `pays_outside`.
    pub fn settle(&mut self, pays_outside: bool) {
        let modules: Vec<ModuleId> = self.rules.modules().map(|(id, _)| id).collect();
        let at = self.at;
        for id in modules {
            let settle = |module: &dyn DynModule, view: &mut View<'_, '_>| {
                let before_msat = net_msat(module, view);
                module.settle(view, at);
                let change_msat = net_msat(module, view) - before_msat;
                ((), if pays_outside { change_msat } else { 0 })
            };
            self.book(id, "settles", settle);
        }
    }

    /// After the epoch: modules must have changed the rows that they changed in the epoch, or it was another one.
    pub fn close(self, turn: &Turn) {
        let changes = self.ledger.finish();
        let changes = changes.unwrap_or_else(|obstacle| panic!("{obstacle:?}"));
        let modules = |key: &Key| key.0.get(2..4) != Some(&[0xff; 2][..]);
        let mut expected = turn.output.agreed.clone();
        expected.retain(|key, _| modules(key));
        assert_eq!(changes, expected, "the same steps change other rows");
    }
}

fn msat(amount: Amount) -> i128 {
    amount.msat().into()
}

fn net_msat(module: &dyn DynModule, view: &View<'_, '_>) -> i128 {
    let audit = module.audit(view);
    i128::from(audit.assets_msat) - i128::from(audit.liabilities_msat)
}
