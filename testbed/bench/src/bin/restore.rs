//! A wallet from its words alone, in a federation that has signed 100,000 notes of others: processor time and bytes, of the
//! wallet and of one guardian. Everything is real but the network and the disks.

use std::collections::{BTreeMap, VecDeque};

use anyhow::{bail, Context, Result};
use bitcoin::{hashes::Hash, BlockHash, Network};
use cpu_time::ThreadTime;
use guildmint_client::{
    join, unrestored, Action, ApiRequest, ChainNews, Client, Command, Event, MasterSeed, Membership,
    Millis, OperationId, Phase, Ticket,
};
use guildmint_core::{
    api::AnnouncementsAnswer,
    ledger::{Ledger, Memory, Scope, Space},
    module::{At, Federation, Later, Query, ServerModule},
    Epoch, GenesisConfig, GuardianKeys, IdentityPublicKey, ModuleConfig, ModuleId, OutPoint, PeerId,
    Quorum, SessionId, TxId, Wire,
};
use guildmint_mint::{
    client::{MintClient, NoteRequest},
    dealer, Denomination, Mint, MintConfig, Note,
};
use guildmint_wallet::Block;
use rand_chacha::{rand_core::SeedableRng, ChaCha20Rng};
use serde_json::{json, Value as Json};

const MINT: ModuleId = ModuleId(1);
const SCOPE: Scope = Scope::module(Space::Agreed, MINT);
const AT: At = At {
    epoch: Epoch(1),
    height: 1,
    version: 1,
};

/// Notes of others, half of which are spent.
const FOREIGN: u64 = 100_000;
/// Notes of the wallet that is restored, four fifths of which are spent; so many for each of 20 denominations.
const OWN: u64 = 25;

struct World {
    genesis: GenesisConfig,
    guardians: Vec<Mint>,
    rows: Memory,
    seconds: f64,
    requests: BTreeMap<String, (u64, u64, f64)>,
}

impl World {
    fn found() -> Result<(Self, MintConfig)> {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let quorum = Quorum::new(4)?;
        let (mint, secrets) = dealer::deal(quorum, Denomination::all(), &mut rng)?;
        let start = Block {
            height: 1,
            hash: BlockHash::all_zeros(),
        };
        let (wallet, _) = guildmint_wallet::dealer::deal(Network::Regtest, start, quorum, &mut rng);
        let module = |kind: &str, config| ModuleConfig {
            kind: kind.to_owned(),
            config,
        };
        let keys = |peer: PeerId| GuardianKeys {
            name: peer.to_string(),
            identity: IdentityPublicKey([peer.0 as u8 + 1; 32]),
        };
        let genesis = GenesisConfig {
            name: "bench".into(),
            session: SessionId([3; 32]),
            network: Network::Regtest,
            guardians: quorum.peers().map(keys).collect(),
            coin: Vec::new(),
            epoch_floor_ms: 50,
            modules: [
                (MINT, module("mint", mint.encode())),
                (ModuleId(2), module("wallet", wallet.encode())),
            ]
            .into(),
        };
        let guardians = quorum.peers().zip(secrets).map(|(me, secret)| {
            let told = Federation {
                id: genesis.id(),
                quorum,
                network: Network::Regtest,
                me,
            };
            Mint::new(told, mint.clone(), secret)
        });
        let world = Self {
            guardians: guardians.collect::<Result<_, _>>()?,
            genesis,
            rows: Memory::default(),
            seconds: 0.0,
            requests: BTreeMap::new(),
        };
        Ok((world, mint))
    }

    /// Signs notes of a wallet, and spends some: what matters is that they are in the lists.
    fn live(&mut self, client: &MintClient, requests: &[(NoteRequest, bool)]) -> Result<()> {
        let all: Vec<NoteRequest> = requests.iter().map(|(request, _)| *request).collect();
        let outputs = client.blinded(&all);
        let mut ledger = Ledger::new(&self.rows);
        for (output, (request, spent)) in outputs.iter().zip(requests) {
            let out_point = OutPoint {
                txid: TxId::default(),
                index: 0,
            };
            let mut view = ledger.view(SCOPE);
            self.guardians[0].accept(&mut view, output, out_point, AT)?;
            if *spent {
                // Nobody looks at the signature at this stage.
                let note = Note {
                    denomination: request.denomination,
                    nonce: client.nonce(request),
                    signature: guildmint_mint::Bytes([0; 48]),
                };
                self.guardians[0].spend(&mut view, &note, AT)?;
            }
        }
        let changes = ledger.finish().ok().context("rows are missing")?;
        self.rows.apply(changes);
        Ok(())
    }

    fn answer(&mut self, peer: PeerId, request: &ApiRequest) -> Result<Vec<u8>> {
        if *request == ApiRequest::Announcements {
            return Ok(serde_json::to_vec(&AnnouncementsAnswer {
                announcements: Vec::new(),
            })?);
        }
        let ApiRequest::Module {
            kind,
            path,
            parameters,
        } = request
        else {
            bail!("asked for {request:?}");
        };
        if *kind != "mint" {
            return Ok(serde_json::to_vec(&json!({"count": 0, "from": 0, "prefixes": ""}))?);
        }
        let query = Query {
            path: path.clone(),
            parameters: parameters.clone(),
        };
        let start = ThreadTime::now();
        let (mut agreed, nothing) = (Ledger::new(&self.rows), Memory::default());
        let mut local = Ledger::new(&nothing);
        let agreed = agreed.view(SCOPE);
        let mint = &self.guardians[usize::from(peer.0)];
        let answer = mint.query(&agreed, &local.view(SCOPE), &query);
        let answer = answer.or_else(|| Some(mint.slow_query(&agreed, &query)?.map(Later::get)));
        let bytes = serde_json::to_vec(&answer.context("no such path")??)?;
        let seconds = start.elapsed().as_secs_f64();
        self.seconds += seconds;
        let entry = self.requests.entry(path.clone()).or_default();
        *entry = (entry.0 + 1, entry.1 + bytes.len() as u64, entry.2 + seconds);
        Ok(bytes)
    }
}

struct Shell {
    client: Client,
    now: Millis,
    wake: Option<Millis>,
    events: VecDeque<Event>,
    saves: (u64, u64),
    seconds: f64,
}

impl Shell {
    fn feed(&mut self, event: Event, world: &mut World) -> Result<()> {
        let start = ThreadTime::now();
        let mut actions = self.client.handle(Event::Time { now: self.now });
        actions.extend(self.client.handle(event));
        self.seconds += start.elapsed().as_secs_f64();
        for action in actions {
            match action {
                Action::Save { save, changes } => {
                    let bytes = changes.values().flatten().map(Vec::len).sum::<usize>();
                    self.saves = (self.saves.0 + 1, self.saves.1 + bytes as u64);
                    self.events.push_front(Event::Saved { save });
                }
                Action::Request {
                    request,
                    peer,
                    body,
                } => {
                    let bytes = world.answer(peer, &body)?;
                    let start = ThreadTime::now();
                    let result = Ok(serde_json::from_slice::<Json>(&bytes)?);
                    self.seconds += start.elapsed().as_secs_f64();
                    self.events.push_back(Event::Answer { request, result });
                }
                Action::FindDeposits { operation, .. } => {
                    let news = ChainNews {
                        tip_height: 100,
                        deposits: Vec::new(),
                    };
                    let result = Ok(news);
                    self.events.push_back(Event::Chain { operation, result });
                }
                Action::WakeAt { at } => self.wake = Some(at),
                Action::Reply { .. }
                | Action::Progress { .. }
                | Action::UseAddresses { .. }
                | Action::AskGateway { .. } => {}
            }
        }
        Ok(())
    }

    fn run(&mut self, world: &mut World, operation: OperationId) -> Result<Json> {
        loop {
            let event = match self.events.pop_front() {
                Some(event) => event,
                None => {
                    let wake = self.wake.take().context("nothing more happens")?;
                    self.now = self.now.max(wake);
                    Event::Time { now: self.now }
                }
            };
            self.feed(event, world)?;
            if let Ok(view) = self.client.operation(operation) {
                if view.phase == Phase::Done {
                    return Ok(json!(view));
                }
            }
        }
    }
}

fn main() -> Result<()> {
    let (mut world, config) = World::found()?;
    let quorum = Quorum::new(4)?;
    let client = |seed: u8| {
        let seed = MasterSeed::new([seed; 64]);
        MintClient::new(world.genesis.id(), MINT, quorum, config.clone(), &seed)
    };
    let (ours, theirs) = (client(1)?, client(2)?);
    let value = |number: u64| Denomination::new((number % 20) as u8 + 10);
    let parts = OWN;
    for part in 0..parts {
        let many = FOREIGN / parts;
        let foreign = (part * many..(part + 1) * many)
            .map(|number| Ok((NoteRequest::new(value(number)?, number / 20), number % 2 == 0)));
        world.live(&theirs, &foreign.collect::<Result<Vec<_>>>()?)?;
        let own = (0..20).map(|number| Ok((NoteRequest::new(value(number)?, part), part % 5 != 0)));
        world.live(&ours, &own.collect::<Result<Vec<_>>>()?)?;
    }
    let mut rows = Memory::default();
    rows.apply(unrestored());
    rows.apply(join(&Membership {
        genesis: world.genesis.encode(),
        apis: BTreeMap::new(),
        announcements: Vec::new(),
    }));
    let mut shell = Shell {
        client: Client::load(rows, &MasterSeed::new([1; 64]), [0; 32])?,
        now: Millis(1),
        wake: None,
        events: VecDeque::new(),
        saves: (0, 0),
        seconds: 0.0,
    };
    let gap = Command::RESTORE_GAP;
    let ticket = Ticket(1);
    let command = Command::Restore { gap };
    shell.feed(Event::Command { ticket, command }, &mut world)?;
    let view = shell.run(&mut world, OperationId(1))?;
    println!("{FOREIGN} notes of others, {} of ours, 40 denominations, gap {gap}", OWN * 20);
    println!("found {} notes, {} of them spent", view["notes"], view["spent_notes"]);
    println!("the wallet: {:.2} s of processor, {} saves, {} bytes saved", shell.seconds, shell.saves.0, shell.saves.1);
    println!("all guardians together: {:.2} s of processor", world.seconds);
    println!("question               times      bytes   seconds");
    for (path, (times, bytes, seconds)) in &world.requests {
        println!("{path:<20}{times:>8}{bytes:>11}{seconds:>10.3}");
    }
    Ok(())
}
