//! A node of the network, behind the port.

use std::{
    sync::MutexGuard,
    time::{Duration, UNIX_EPOCH},
};

use lightning_invoice::{Bolt11Invoice, Currency, InvoiceBuilder, PaymentSecret};
use secp256k1::{hashes::Hash as _, Secp256k1};

use super::{
    super::{
        Balances, ChainTxid, Channel, ChannelChange, ChannelId, ChannelOrder, Closing, Command,
        Delivery, HeldHtlcs, InvoiceOrder, LightningNode, NodeState, OwnInvoiceOrder,
        OwnOfferOrder, PaymentHash, PaymentOrder, Peer, Preimage, Refusal, SentPayment, SentState,
        Wake, Withdrawal, MAX_LISTED,
    },
    channel_of,
    member::{Ending, Issued, Sent},
    world::World,
    FakeNode,
};

impl FakeNode {
    /// The world, unless the node is down.
    fn up(&self) -> Result<MutexGuard<'_, World>, Refusal> {
        let world = self.lightning.world();
        match world.members[self.place].is_down {
            true => Err(Refusal::Stopped),
            false => Ok(world),
        }
    }

    /// The hash of a preimage that the node knows, and nobody else.
    fn draw(&self, world: &mut World) -> PaymentHash {
        let member = &mut world.members[self.place];
        let mut bytes = [0xa5; 32];
        bytes[..8].copy_from_slice(&(member.known.len() as u64).to_be_bytes());
        bytes[8..16].copy_from_slice(&(self.place as u64).to_be_bytes());
        let preimage = Preimage(bytes);
        let hash = preimage.hash();
        member.known.insert(hash, preimage);
        hash
    }

    fn pay(&self, world: &mut World, order: PaymentOrder) -> Result<(), Refusal> {
        let invoice = read_invoice(&order)?;
        let is_known = world.members[self.place].sent.contains_key(&order.hash);
        if !is_known && invoice.would_expire(Duration::from_secs(world.now_s)) {
            return Err(Refusal::Expired);
        }
        let payee = invoice.get_payee_pub_key().serialize();
        let is_payee = |member: &super::member::Member| member.id.0 == payee;
        let payee = world.members.iter().position(is_payee);
        world.pay(self.place, payee, order)
    }

    fn settle(
        &self,
        world: &mut World,
        command: &Command,
        hash: PaymentHash,
    ) -> Result<(), Refusal> {
        let received = world.members[self.place].received.get(&hash);
        let end = received.ok_or(Refusal::NothingHeld(hash))?.end;
        match (command, end) {
            (Command::Claim { preimage }, None) => world.claim(self.place, preimage),
            (_, None) => world.give_back(self.place, hash),
            (Command::Claim { .. }, Some(Ending::Claimed)) => {
                let amount_msat = received.map_or(0, |received| received.held.amount_msat);
                world.members[self.place].tell(super::super::Event::Claimed { hash, amount_msat });
            }
            (Command::Fail { .. }, Some(Ending::Returned)) => {
                world.members[self.place].tell(super::super::Event::Returned { hash });
            }
            (_, Some(Ending::Claimed)) => return Err(Refusal::Settled(hash, "claimed".into())),
            (_, Some(Ending::Returned)) => return Err(Refusal::Settled(hash, "returned".into())),
        }
        Ok(())
    }
}

/// Reads an invoice as the node that is to pay it.
fn read_invoice(order: &PaymentOrder) -> Result<Bolt11Invoice, Refusal> {
    let invoice: Bolt11Invoice =
        order
            .invoice
            .parse()
            .map_err(
                |error: lightning_invoice::ParseOrSemanticError| Refusal::Malformed {
                    what: "the invoice".into(),
                    reason: error.to_string(),
                },
            )?;
    if invoice.currency() != Currency::Regtest {
        return Err(Refusal::OtherNetwork(format!("{:?}", invoice.currency())));
    }
    let hash = PaymentHash(invoice.payment_hash().to_byte_array());
    if hash != order.hash {
        let (invoice, order) = (hash, order.hash);
        return Err(Refusal::OtherHash { invoice, order });
    }
    match invoice.amount_milli_satoshis() {
        Some(invoice_msat) if invoice_msat != order.amount_msat => Err(Refusal::OtherAmount {
            invoice_msat,
            order_msat: order.amount_msat,
        }),
        _ => Ok(invoice),
    }
}

fn sent_payment((hash, sent): (&PaymentHash, &Sent)) -> SentPayment {
    SentPayment {
        hash: *hash,
        amount_msat: sent.order.amount_msat,
        state: sent.state.clone(),
    }
}

/// Whether a hash comes after the last one of the page before.
fn is_after(hash: &PaymentHash, after: Option<PaymentHash>) -> bool {
    after.is_none_or(|after| *hash > after)
}

impl LightningNode for FakeNode {
    fn command(&self, command: Command) -> Result<(), Refusal> {
        {
            let mut world = self.up()?;
            match (command.held_hash(), command) {
                (Some(hash), command) => self.settle(&mut world, &command, hash)?,
                (_, Command::Pay(order)) => self.pay(&mut world, order)?,
                (_, Command::Fetch(order)) => world.fetch(self.place, order),
                (_, Command::PayFetched { request, hash }) => {
                    world.pay_fetched(self.place, request, hash)?;
                }
                (_, Command::Abandon { request }) => {
                    world.members[self.place].fetched.remove(&request);
                }
                (None, Command::Claim { .. } | Command::Fail { .. }) => {}
            }
        }
        self.lightning.wake_all();
        Ok(())
    }

    fn events(&self, limit: usize) -> Result<Vec<Delivery>, Refusal> {
        Ok(self.up()?.deliver(self.place, limit.min(MAX_LISTED)))
    }

    fn handled(&self, number: u64) -> Result<(), Refusal> {
        self.up()?.handled(self.place, number);
        self.lightning.wake_all();
        Ok(())
    }

    fn wake_with(&self, wake: Wake) {
        self.lightning.world().members[self.place].wake = Some(wake);
    }

    fn state(&self) -> NodeState {
        let world = self.lightning.world();
        let member = &world.members[self.place];
        let channel = Channel {
            id: channel_of(self.place),
            peer: member.id,
            funding: None,
            capacity_sat: 1_000_000_000,
            outbound_msat: member.outbound_msat,
            inbound_msat: 1_000_000_000_000_u64.saturating_sub(member.outbound_msat),
            ready: true,
            usable: !member.is_down,
            public: true,
        };
        NodeState {
            node_id: Some(member.id),
            swap_only: false,
            height: world.height,
            synced_at_ms: Some(world.now_s * 1000),
            trouble: member.is_down.then(|| "it was stopped".to_owned()),
            balances: Balances {
                channels_msat: member.outbound_msat,
                ..Balances::default()
            },
            channels: vec![channel],
            peers: 1,
        }
    }

    fn sent(&self, hash: PaymentHash) -> Result<Option<SentPayment>, Refusal> {
        let world = self.up()?;
        let sent = world.members[self.place].sent.get_key_value(&hash);
        Ok(sent.map(sent_payment))
    }

    fn in_flight(&self, after: Option<PaymentHash>) -> Result<Vec<SentPayment>, Refusal> {
        let world = self.up()?;
        let sent = world.members[self.place].sent.iter();
        let open =
            sent.filter(|(hash, sent)| sent.state == SentState::InFlight && is_after(hash, after));
        Ok(open.take(MAX_LISTED).map(sent_payment).collect())
    }

    fn held(&self, after: Option<PaymentHash>) -> Result<Vec<HeldHtlcs>, Refusal> {
        let world = self.up()?;
        let received = world.members[self.place].received.values();
        let open = received
            .filter(|received| received.end.is_none() && is_after(&received.held.hash, after));
        Ok(open
            .take(MAX_LISTED)
            .map(|received| received.held)
            .collect())
    }

    fn make_invoice(&self, order: &InvoiceOrder) -> Result<String, Refusal> {
        let mut world = self.up()?;
        let (now_s, member) = (world.now_s, &mut world.members[self.place]);
        let hash = secp256k1::hashes::sha256::Hash::from_byte_array(order.hash.0);
        let built = InvoiceBuilder::new(Currency::Regtest)
            .description(order.description.clone())
            .payment_hash(hash)
            .payment_secret(PaymentSecret([7; 32]))
            .timestamp(UNIX_EPOCH + Duration::from_secs(now_s))
            .min_final_cltv_expiry_delta(order.min_final_cltv_delta.into())
            .expiry_time(Duration::from_secs(order.expiry_s.into()))
            .amount_milli_satoshis(order.amount_msat)
            .basic_mpp()
            .build_signed(|message| {
                Secp256k1::signing_only().sign_ecdsa_recoverable(message, &member.key)
            });
        let invoice = built.map_err(|error| Refusal::Node(error.to_string()))?;
        let issued = Issued {
            amount_msat: order.amount_msat,
            final_cltv_delta: order.min_final_cltv_delta.into(),
        };
        member.issued.insert(order.hash, issued);
        Ok(invoice.to_string())
    }

    fn make_own_invoice(&self, order: &OwnInvoiceOrder) -> Result<String, Refusal> {
        let hash = self.draw(&mut *self.up()?);
        self.make_invoice(&InvoiceOrder {
            hash,
            amount_msat: order.amount_msat.unwrap_or(1),
            description: order.description.clone(),
            expiry_s: order.expiry_s,
            min_final_cltv_delta: 18,
        })
    }

    /// ⚠ As all offers here, one for the fake network alone, which is paid once.
    fn make_own_offer(&self, order: &OwnOfferOrder) -> Result<String, Refusal> {
        let mut world = self.up()?;
        let hash = self.draw(&mut world);
        Ok(world.offer(self.place, hash, order.amount_msat.unwrap_or(1)))
    }

    fn peers(&self) -> Result<Vec<Peer>, Refusal> {
        Ok(Vec::new())
    }

    fn new_address(&self) -> Result<String, Refusal> {
        Ok("bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080".to_owned())
    }

    fn withdraw(&self, order: &Withdrawal) -> Result<ChainTxid, Refusal> {
        Err(Refusal::Funds {
            spendable_sat: 0,
            reserved_sat: 0,
            needed_sat: order.amount_sat,
        })
    }

    fn connect(&self, _: &Peer) -> Result<(), Refusal> {
        Ok(())
    }

    fn open_channel(&self, _: &ChannelOrder) -> Result<ChannelId, Refusal> {
        Ok(channel_of(self.place))
    }

    /// It stays: there is no other way to the network. But it is told.
    fn close_channel(&self, channel: ChannelId, _: Closing) -> Result<(), Refusal> {
        {
            let mut world = self.up()?;
            let member = &mut world.members[self.place];
            let (peer, reason) = (member.id, "closed by its operator".to_owned());
            let change = ChannelChange::Closed {
                reason,
                stale: false,
            };
            member.tell(super::super::Event::Channel {
                channel,
                peer,
                change,
            });
        }
        self.lightning.wake_all();
        Ok(())
    }
}
