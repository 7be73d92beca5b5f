//! Transactions written by hand, of real notes and real deposits, and what becomes of them.

use bitcoin::OutPoint;
use guildmint_client::{MasterSeed, NotesString};
use guildmint_core::{
    api::TransactionStatus, Amount, FederationId, Item, ModuleId, PeerId, Transaction, TxId, Wire,
};
use guildmint_engine::{
    node::{Reply, Request},
    Contribution,
};
use guildmint_kit::play::{self, Burn};
use guildmint_mint::{
    client::{MintClient, NoteRequest, SpendableNote},
    Denomination, MintConfig, MintOutcome,
};
use guildmint_sim::{UserId, World};
use guildmint_wallet::{client::WalletClient, MerkleBranch, PegInProof, WalletConfig};
use secp256k1::{Keypair, Message, SECP256K1};

/// The number of the mint.
pub const MINT: ModuleId = ModuleId(0);
/// The number of the wallet.
pub const WALLET: ModuleId = ModuleId(1);

/// Who signs an input.
#[derive(Clone)]
pub enum Owner {
    /// Nobody does.
    Nobody,
    /// The key of a note.
    Note(SpendableNote),
    /// This key.
    Key(Keypair),
}

/// A transaction that is not signed yet.
#[derive(Clone, Default)]
pub struct Draft {
    /// Where the money comes from, and who signs that.
    pub inputs: Vec<(Item, Owner)>,
    /// Where it goes.
    pub outputs: Vec<Item>,
}

impl Draft {
    /// Signs it for a federation.
    pub fn sign(&self, federation: FederationId) -> Transaction {
        let mut transaction = Transaction {
            inputs: self.inputs.iter().map(|(item, _)| item.clone()).collect(),
            outputs: self.outputs.clone(),
            signatures: Vec::new(),
        };
        let id = transaction.id(federation);
        let owners = self.inputs.iter().map(|(_, owner)| owner);
        let signatures = owners.map(|owner| match owner {
            Owner::Nobody => None,
            Owner::Note(note) => Some(note.sign(id)),
            Owner::Key(key) => {
                let message = Message::from_digest(id.0);
                Some(SECP256K1.sign_schnorr_no_aux_rand(&message, key))
            }
        });
        transaction.signatures = signatures.collect();
        transaction
    }
}

/// Somebody who has keys and no program.
pub struct Scribe {
    /// The federation.
    pub federation: FederationId,
    mint: MintClient,
    wallet: WalletClient,
    next_index: u64,
}

impl Scribe {
    /// A scribe whose keys all follow from `seed`.
    pub fn new(world: &World, seed: u8) -> Self {
        let genesis = world.genesis();
        let (federation, quorum) = (genesis.id(), genesis.quorum().unwrap());
        let config = |module| genesis.modules[&module].config.as_slice();
        let mint = MintConfig::decode(config(MINT)).unwrap();
        let wallet = WalletConfig::decode(config(WALLET)).unwrap();
        let words = MasterSeed::new([seed; 64]);
        Self {
            federation,
            mint: MintClient::new(federation, MINT, quorum, mint, &words).unwrap(),
            wallet: WalletClient::new(federation, WALLET, quorum, wallet, &[seed; 64]).unwrap(),
            next_index: 0,
        }
    }

    /// Notes to ask for: of 2^`exponent` msat each.
    pub fn requests(&mut self, exponents: &[u8]) -> Vec<NoteRequest> {
        let request = |exponent: &u8| {
            self.next_index += 1;
            NoteRequest::new(Denomination::new(*exponent).unwrap(), self.next_index)
        };
        exponents.iter().map(request).collect()
    }

    /// Outputs that ask for notes.
    pub fn outputs(&self, requests: &[NoteRequest]) -> Vec<Item> {
        self.mint.outputs(requests)
    }

    /// An input that spends a note.
    pub fn note(&self, note: &SpendableNote) -> (Item, Owner) {
        (self.mint.input(note), Owner::Note(note.clone()))
    }

    /// A transaction that exchanges notes for those that are asked for.
    pub fn exchange(&self, notes: &[SpendableNote], requests: &[NoteRequest]) -> Draft {
        Draft {
            inputs: notes.iter().map(|note| self.note(note)).collect(),
            outputs: self.outputs(requests),
        }
    }

    /// Strangers pay to an address of the scribe; the payment waits for a block.
    pub fn pay(&self, world: &mut World, address: u64, sat: u64) -> OutPoint {
        let script = self.wallet.script_pubkey(address).unwrap();
        world.chain().pay(script, sat)
    }

    /// What proves a deposit that is in a block.
    pub fn proof(&self, world: &mut World, address: u64, deposit: OutPoint) -> PegInProof {
        let chain = world.chain();
        let place = chain.place(deposit.txid).unwrap();
        let merkle = MerkleBranch::of(&chain.txids(place.height), place.position).unwrap();
        let header = chain.block(place.height).unwrap().header;
        let transaction = chain.transaction(deposit.txid).unwrap();
        let proof = self
            .wallet
            .peg_in(address, transaction, deposit.vout, header, merkle);
        proof.unwrap()
    }

    /// An input that claims a deposit.
    pub fn claim(&self, address: u64, proof: &PegInProof) -> (Item, Owner) {
        let key = self.wallet.deposit_key(address).unwrap();
        (Item::new(WALLET, proof), Owner::Key(key))
    }

    /// Has a transaction accepted by all guardians.
    pub fn accept(&self, world: &mut World, draft: &Draft) -> TxId {
        let txid = world.submit(draft.sign(self.federation));
        world.run_until_settled(60_000);
        txid
    }

    /// The notes that an accepted transaction brought, whose first outputs ask for them.
    pub fn collect(
        &self,
        world: &mut World,
        txid: TxId,
        requests: &[NoteRequest],
    ) -> Vec<SpendableNote> {
        let peers = honest(world);
        let answers = statuses(world, &peers, txid);
        let note = |(place, request): (usize, &NoteRequest)| {
            let share = |(peer, status): (&PeerId, &TransactionStatus)| {
                let TransactionStatus::Accepted { outcomes, .. } = status else {
                    panic!("{peer} has not accepted {txid}: {status:?}");
                };
                let outcome: MintOutcome = serde_json::from_value(outcomes[place].clone()).unwrap();
                (*peer, outcome.share)
            };
            let shares = peers.iter().zip(&answers).map(share).collect();
            self.mint.finalize(request, &shares).unwrap().note
        };
        requests.iter().enumerate().map(note).collect()
    }

    /// Makes fresh notes of those that somebody gave, worth the same.
    pub fn take(
        &mut self,
        world: &mut World,
        notes: &NotesString,
        exponents: &[u8],
    ) -> Vec<SpendableNote> {
        let requests = self.requests(exponents);
        let draft = self.exchange(notes.notes(), &requests);
        let txid = self.accept(world, &draft);
        self.collect(world, txid, &requests)
    }

    /// A user deposits and hands it all to the scribe, who makes notes of it.
    pub fn fund(
        &mut self,
        world: &mut World,
        user: UserId,
        exponents: &[u8],
    ) -> Vec<SpendableNote> {
        let worth_msat = exponents.iter().map(|exponent| 1 << exponent).sum();
        let worth = Amount::from_msat(worth_msat).unwrap();
        let (_, notes) = world.send(user, worth).unwrap();
        self.take(world, &notes, exponents)
    }

    /// Notes as they are given away.
    pub fn string(&self, notes: &[SpendableNote]) -> NotesString {
        NotesString::new(self.federation, None, notes.to_vec()).unwrap()
    }
}

/// The powers of two that make up an amount.
pub fn exponents(amount: Amount) -> Vec<u8> {
    (0..64)
        .filter(|exponent| amount.msat() >> exponent & 1 == 1)
        .collect()
}

/// Play money that comes from nowhere, once under each name.
pub fn mint(name: u64, amount: Amount, owner: Option<Keypair>) -> (Item, Owner) {
    let mint = play::Mint {
        name,
        amount,
        key: owner.map(|key| key.x_only_public_key().0),
        honest: true,
    };
    let owner = owner.map_or(Owner::Nobody, Owner::Key);
    (Item::new(play::MODULE, &mint), owner)
}

/// Play money that goes nowhere.
pub fn burn(amount: Amount) -> Item {
    let padding = Vec::new();
    Item::new(play::MODULE, &Burn { amount, padding })
}

/// Changes an item.
pub fn change<T: Wire>(item: &mut Item, change: impl FnOnce(&mut T)) {
    let mut changed = T::decode(&item.bytes).unwrap();
    change(&mut changed);
    item.bytes = changed.encode();
}

/// A key that is nobody's.
pub fn key(byte: u8) -> Keypair {
    Keypair::from_seckey_slice(SECP256K1, &[byte; 32]).unwrap()
}

/// All guardians.
pub fn everyone(world: &World) -> Vec<PeerId> {
    (0..world.size()).map(PeerId).collect()
}

/// All guardians but the liar.
pub fn honest(world: &World) -> Vec<PeerId> {
    let mut peers = everyone(world);
    peers.retain(|peer| Some(*peer) != world.liar());
    peers
}

/// What guardians say became of a transaction.
pub fn statuses(world: &mut World, peers: &[PeerId], txid: TxId) -> Vec<TransactionStatus> {
    let wait_ms = 0;
    let answers = world.question(peers, &Request::Transaction { txid, wait_ms });
    let status = |answer| match answer {
        Reply::Transaction(answer) => answer.status,
        other => panic!("no status: {other:?}"),
    };
    answers.into_iter().map(status).collect()
}

/// The code with which guardians do not take what was submitted, or what they say instead.
pub fn code(reply: &Reply) -> String {
    match reply {
        Reply::Problem(problem) => problem.code.clone(),
        Reply::Transaction(answer) => code_of(&answer.status),
        other => panic!("no answer to a submission: {other:?}"),
    }
}

/// The code of a rejection, or what it is instead.
pub fn code_of(status: &TransactionStatus) -> String {
    match status {
        TransactionStatus::Pending => "(pending)".into(),
        TransactionStatus::Accepted { .. } => "(accepted)".into(),
        TransactionStatus::Unknown => "(unknown)".into(),
        TransactionStatus::Rejected(reject) => reject.code.clone(),
    }
}

/// How far a transaction gets that is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// It is wrong whatever happened before: whoever proposes it is to blame.
    Alone,
    /// It cannot be after what happened before: anyone may propose it.
    Ordered,
}

/// `what` is wrong with a transaction. The liar proposes it, and then its owner submits it to every guardian: all refuse it
/// with this code, and no agreed row changes on any disk.
pub fn refuse(world: &mut World, what: &str, transaction: &Transaction, code: &str, stage: Stage) {
    // A guardian with nothing to say joins another's epoch after ten seconds at most.
    world.run(15_000);
    let before = world.agreed_rows();
    let unchanged =
        |world: &World| assert!(world.agreed_rows() == before, "{what}: it left a trace");
    propose(world, what, transaction, code, stage);
    unchanged(world);
    let peers = everyone(world);
    let replies = world.question(&peers, &Request::Submit(transaction.encode()));
    for reply in &replies {
        assert_eq!(self::code(reply), code, "{what}: {reply:?}");
    }
    world.run(1_000);
    unchanged(world);
    for peer in peers {
        assert_eq!(world.pooled(peer), 0, "{what}");
    }
}

/// The liar contributes a transaction until everybody has refused it.
fn propose(world: &mut World, what: &str, transaction: &Transaction, code: &str, stage: Stage) {
    let txid = world.txid(transaction);
    let (liar, peers) = (world.liar().unwrap(), honest(world));
    let blames = |world: &World| {
        let wrong = |kind: &&&str| kind.contains("transaction that is wrong");
        world.blamed().iter().filter(wrong).count()
    };
    let blames_before = blames(world);
    world.liar_contributes(Contribution {
        transactions: vec![transaction.clone()],
        ..Contribution::default()
    });
    // A reason for an epoch, for the liar alone.
    let news = u32::try_from(world.now_ms()).unwrap();
    world.sees(liar, news);
    let expected = match stage {
        Stage::Alone => "(unknown)",
        Stage::Ordered => code,
    };
    let deadline_ms = world.now_ms() + 60_000;
    loop {
        world.run(200);
        let said = statuses(world, &peers, txid);
        let refused = said.iter().all(|status| code_of(status) == expected);
        let blamed = blames(world) - blames_before;
        if refused && (stage == Stage::Ordered || blamed >= peers.len()) {
            break;
        }
        assert!(world.now_ms() < deadline_ms, "{what}: {said:?}");
    }
    assert_eq!(
        blames(world) > blames_before,
        stage == Stage::Alone,
        "{what}: a proposer is to blame for what it can know"
    );
    world.liar_contributes(Contribution::default());
    world.run(1_000);
}
