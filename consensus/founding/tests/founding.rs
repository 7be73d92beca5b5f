//! Four strangers found a federation: from setup codes to a genesis config with which all of them can start.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use bitcoin::{hashes::Hash, BlockHash, Network};
use guildmint_core::{
    founding::{Founders, ModuleTerms},
    ledger::{Ledger, Memory, Scope, Space},
    module::{At, Fault, Federation as Place, Query, Registry, ServerModule as _},
    Epoch, FederationId, GenesisConfig, ModuleId, PeerId, Wire as _,
};
use guildmint_engine::{Coin, Federation};
use guildmint_founding::{
    key_generation::{
        KeyGeneration, KeyGenerationConfig, KeyGenerationJob, KeyGenerationNews,
        KeyGenerationSecret, KeyGenerationVote,
    },
    Agreed, Meeting, MeetingAction, Proposal, Roster, Seed, SetupCode, KEY_GENERATION,
};
use guildmint_mint::{Mint, MintTerms};
use guildmint_tbs::dkg::Item;
use guildmint_wallet::{server::Wallet, Block, WalletTerms};

const GUARDIANS: u8 = 4;

fn founders() -> Arc<Founders> {
    Arc::new(Founders::default().with::<Mint>().with::<Wallet>())
}

fn proposal() -> Proposal {
    let start = Block {
        height: 0,
        hash: BlockHash::all_zeros(),
    };
    let mint = MintTerms {
        denominations: MintTerms::default()
            .denominations
            .into_iter()
            .take(3)
            .collect(),
        ..MintTerms::default()
    };
    let wallet = WalletTerms::new(Network::Regtest, start);
    let terms = [("mint", mint.encode()), ("wallet", wallet.encode())];
    let modules = terms.map(|(kind, terms)| ModuleTerms {
        kind: kind.to_owned(),
        terms,
    });
    Proposal {
        name: "test".into(),
        network: Network::Regtest,
        epoch_floor_ms: 50,
        modules: (0..).map(ModuleId).zip(modules).collect(),
    }
}

/// Lets all guardians meet, and gives each what it agreed on.
fn meet() -> Vec<(Roster, Seed, Agreed)> {
    let seeds: Vec<_> = (1..=GUARDIANS).map(|byte| Seed::new([byte; 32])).collect();
    let code = |seed: &Seed| {
        SetupCode::new(seed, "somebody".into(), vec!["/x".into()], String::new()).unwrap()
    };
    let codes: Vec<_> = seeds.iter().map(code).collect();
    let mut meetings: BTreeMap<PeerId, (Meeting, Seed)> = BTreeMap::new();
    for seed in seeds {
        let roster = Roster::new(codes.clone(), &code(&seed)).unwrap();
        let me = roster.me();
        let (meeting, _) = Meeting::new(roster, seed.clone(), founders(), []).unwrap();
        meetings.insert(me, (meeting, seed));
    }
    let mut under_way = VecDeque::new();
    let post = |from: PeerId, actions: Vec<MeetingAction>, under_way: &mut VecDeque<_>| {
        for action in actions {
            if let MeetingAction::Send { to, bytes } = action {
                under_way.push_back((from, to, bytes));
            }
        }
    };
    let proposer = &mut meetings.get_mut(&PeerId(0)).unwrap().0;
    let (session, actions) = proposer.propose(proposal()).unwrap();
    post(PeerId(0), actions, &mut under_way);
    let mut confirmed = false;
    loop {
        while let Some((from, to, bytes)) = under_way.pop_front() {
            let actions = meetings.get_mut(&to).unwrap().0.take(from, &bytes);
            post(to, actions, &mut under_way);
        }
        if std::mem::replace(&mut confirmed, true) {
            break;
        }
        for (peer, (meeting, _)) in &mut meetings {
            let actions = meeting.confirm(session).unwrap();
            post(*peer, actions, &mut under_way);
        }
    }
    let agreed = |(meeting, seed): (Meeting, Seed)| {
        let agreed = meeting.agreed().unwrap().clone();
        (meeting.roster().clone(), seed, agreed)
    };
    meetings.into_values().map(agreed).collect()
}

const AGREED: Scope = Scope::module(Space::Agreed, KEY_GENERATION);
const LOCAL: Scope = Scope::module(Space::Local, KEY_GENERATION);

struct Guardian {
    roster: Roster,
    seed: Seed,
    agreed: Agreed,
    module: KeyGeneration,
    rows: Memory,
    genesis: Option<GenesisConfig>,
    shares: Option<Vec<[u8; 32]>>,
    gave_up: Option<String>,
}

impl Guardian {
    fn new((roster, seed, agreed): (Roster, Seed, Agreed)) -> Self {
        Self {
            module: Self::module(&roster, &seed, &agreed),
            roster,
            seed,
            agreed,
            rows: Memory::default(),
            genesis: None,
            shares: None,
            gave_up: None,
        }
    }

    fn module(roster: &Roster, seed: &Seed, agreed: &Agreed) -> KeyGeneration {
        let (genesis, secrets) = agreed.key_generation(roster, seed, &founders()).unwrap();
        let place = Place {
            id: FederationId([0; 32]),
            quorum: roster.quorum(),
            network: Network::Regtest,
            me: roster.me(),
        };
        let config = KeyGenerationConfig::decode(&genesis.modules[&KEY_GENERATION].config);
        let secret = KeyGenerationSecret::decode(&secrets[&KEY_GENERATION]);
        KeyGeneration::new(place, config.unwrap(), secret.unwrap()).unwrap()
    }

    /// Forgets all but its rows, as a process that is killed.
    fn restart(&mut self) {
        self.module = Self::module(&self.roster, &self.seed, &self.agreed);
        let (mut agreed, mut local) = (Ledger::new(&self.rows), Ledger::new(&self.rows));
        let jobs = self.module.resume(&agreed.view(AGREED), &local.view(LOCAL));
        self.work(jobs);
    }

    fn vote(&self) -> Option<KeyGenerationVote> {
        let (mut agreed, mut local) = (Ledger::new(&self.rows), Ledger::new(&self.rows));
        self.module.vote(&agreed.view(AGREED), &local.view(LOCAL))
    }

    fn epoch(&mut self, votes: &[(PeerId, KeyGenerationVote)], is_kept: bool) -> Vec<Fault> {
        let at = At {
            epoch: Epoch(0),
            height: 0,
        };
        let mut ledger = Ledger::new(&self.rows);
        let faults = self
            .module
            .tally(&mut ledger.view(AGREED), votes.to_vec(), at);
        let jobs = self.module.settle(&mut ledger.view(AGREED), at);
        if is_kept {
            let changes = ledger.finish().unwrap();
            self.rows.apply(changes);
            self.work(jobs);
        }
        faults
    }

    fn work(&mut self, jobs: Vec<KeyGenerationJob>) {
        for job in jobs {
            match &job {
                KeyGenerationJob::MakeConfig { keys } => {
                    let keys: Vec<_> = keys.iter().map(|key| key.0.clone()).collect();
                    let made = self.agreed.federation(&self.roster, &founders(), &keys);
                    let made = made.unwrap();
                    let mut ledger = Ledger::new(&self.rows);
                    let news = KeyGenerationNews::Confirm(made.id().0);
                    self.module.sighted(&mut ledger.view(LOCAL), news);
                    let changes = ledger.finish().unwrap();
                    self.rows.apply(changes);
                    self.genesis = Some(made);
                }
                KeyGenerationJob::Finish { shares, .. } => self.shares = Some(shares.clone()),
                KeyGenerationJob::GiveUp { failure } => self.gave_up = Some(failure.clone()),
            }
        }
    }

    fn progress(&self) -> serde_json::Value {
        let (mut agreed, mut local) = (Ledger::new(&self.rows), Ledger::new(&self.rows));
        let query = Query {
            path: "progress".into(),
            parameters: BTreeMap::new(),
        };
        let views = (agreed.view(AGREED), local.view(LOCAL));
        self.module
            .query(&views.0, &views.1, &query)
            .unwrap()
            .unwrap()
    }
}

fn votes(guardians: &[Guardian]) -> Vec<(PeerId, KeyGenerationVote)> {
    let vote = |guardian: &Guardian| Some((guardian.roster.me(), guardian.vote()?));
    guardians.iter().filter_map(vote).collect()
}

/// Runs epochs until nobody has anything to say.
fn run(guardians: &mut [Guardian]) -> Vec<Fault> {
    let mut all = Vec::new();
    for _ in 0..20 {
        let votes = votes(guardians);
        if votes.is_empty() {
            return all;
        }
        for guardian in &mut *guardians {
            all.extend(guardian.epoch(&votes, true));
        }
    }
    panic!("no end");
}

#[test]
fn strangers_found_a_federation_in_which_all_can_start() {
    let mut guardians: Vec<_> = meet().into_iter().map(Guardian::new).collect();
    assert_eq!(run(&mut guardians), []);
    let genesis = guardians[0].genesis.clone().unwrap();
    let registry = Registry::default().with::<Mint>().with::<Wallet>();
    for guardian in &guardians {
        assert_eq!(guardian.genesis.as_ref(), Some(&genesis));
        let shares = guardian.shares.clone().unwrap();
        let shares: Vec<_> = shares.into_iter().map(Into::into).collect();
        let (roster, agreed) = (&guardian.roster, &guardian.agreed);
        let secrets = agreed.secrets(roster, &guardian.seed, &founders(), &shares);
        let secrets = secrets.unwrap();
        let plain = secrets.iter().map(|(id, secret)| (*id, secret.to_vec()));
        // It checks that this guardian's secrets are those of the config.
        Federation::new(genesis.clone(), roster.me(), &registry, &plain.collect()).unwrap();
        let coin = &agreed.coin;
        Coin::new(roster.quorum(), roster.me(), &genesis.coin, &coin.secret).unwrap();
        assert_eq!(guardian.progress()["phase"], "completion");
    }
    assert_eq!(genesis.session, guardians[0].agreed.session);
}

#[test]
fn guardians_that_restart_at_any_time_found_the_same() {
    let met = meet();
    let mut undisturbed: Vec<_> = met.iter().cloned().map(Guardian::new).collect();
    run(&mut undisturbed);
    let mut guardians: Vec<_> = met.into_iter().map(Guardian::new).collect();
    for _ in 0..20 {
        let votes = votes(&guardians);
        for (number, guardian) in guardians.iter_mut().enumerate() {
            if number == 1 {
                // Computed, and not committed.
                guardian.epoch(&votes, false);
            }
            guardian.epoch(&votes, true);
            if number >= 2 {
                guardian.restart();
            }
        }
        if votes.is_empty() {
            break;
        }
    }
    for (one, other) in guardians.iter().zip(&undisturbed) {
        assert_eq!(one.genesis, other.genesis);
        assert_eq!(one.shares, other.shares);
        assert!(one.shares.is_some());
    }
}

#[test]
fn who_deals_badly_is_named_and_the_others_found_without_its_dealing() {
    let mut guardians: Vec<_> = meet().into_iter().map(Guardian::new).collect();
    let mut votes = votes(&guardians);
    // Guardian 2 says what guardian 1 has dealt.
    votes[2].1 = votes[1].1.clone();
    for guardian in &mut guardians {
        let faults = guardian.epoch(&votes, true);
        assert!(
            faults.iter().all(|fault| fault.peer == PeerId(2)),
            "{faults:?}"
        );
        assert!(!faults.is_empty());
    }
    run(&mut guardians);
    let progress = guardians[0].progress();
    assert_eq!(progress["dealers"], serde_json::json!([0, 1, 3]));
    assert!(progress["faults"]["2"][0].is_string(), "{progress}");
    assert!(guardians.iter().all(|guardian| guardian.shares.is_some()));
}

#[test]
fn two_configs_end_in_none() {
    let mut guardians: Vec<_> = meet().into_iter().map(Guardian::new).collect();
    for _ in 0..20 {
        let mut votes = votes(&guardians);
        if let Some((_, vote)) = votes.get_mut(3) {
            if matches!(vote.0, Item::Confirm(_)) {
                vote.0 = Item::Confirm([9; 32]);
            }
        }
        if votes.is_empty() {
            break;
        }
        for guardian in &mut guardians {
            guardian.epoch(&votes, true);
        }
    }
    for guardian in &guardians {
        let why = guardian.gave_up.clone().unwrap();
        assert!(why.contains("0909"), "{why}");
        assert_eq!(guardian.shares, None);
    }
}
