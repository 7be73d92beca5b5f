//! What users do: whatever their rows want is done, perhaps twice, and whatever happens is told to them in any order.

use guildmint_core::{Item, Wire};
use guildmint_kit::rand::Rng;
use guildmint_ln::{
    client::{Pay, PayEffect, PayEvent, Receive, ReceiveEffect, ReceiveEvent},
    ContractId, Witness,
};

use crate::{
    gateway::{Ask, Reply},
    world::{Story, World, LN, NETWORK},
};

impl World {
    pub fn want_pay(&mut self, user: usize, effects: Vec<PayEffect>) {
        for effect in effects {
            match effect {
                PayEffect::Fund(output) => {
                    let Story::Pay(pay) = &self.users[user].story else {
                        continue;
                    };
                    let price = pay.contract.amount.msat();
                    let output = Item::new(LN, &output);
                    self.submit_once(user, "fund", (None, Some(output)), (0, price));
                }
                PayEffect::Refund(input) => {
                    let Story::Pay(pay) = &self.users[user].story else {
                        continue;
                    };
                    let price = pay.contract.amount.msat();
                    // A refund of another kind is another transaction.
                    let purpose = match input.witness {
                        Witness::TimedOut => "time-out",
                        _ => "forfeit",
                    };
                    let input = Item::new(LN, &input);
                    self.submit_once(user, purpose, (Some(input), None), (price, 0));
                }
                PayEffect::Ask { request, .. } => self.gateway.asked(Ask::Pay(user, request)),
                PayEffect::Watch(_) | PayEffect::WakeAt(_) => {}
            }
        }
    }

    pub fn want_receive(&mut self, user: usize, effects: Vec<ReceiveEffect>) {
        for effect in effects {
            match effect {
                ReceiveEffect::Ask { request, .. } => {
                    self.gateway.asked(Ask::Invoice(user, request));
                }
                ReceiveEffect::Claim(input) => {
                    let amount = self.contract(input.contract).account.unwrap().amount;
                    let input = Item::new(LN, &input);
                    self.submit_once(user, "claim", (Some(input), None), (amount.msat(), 0));
                }
                ReceiveEffect::Watch(_) | ReceiveEffect::WakeAt(_) => {}
            }
        }
    }

    /// Makes a transaction, saves it, and sends it; or sends the one that was saved.
    pub fn submit_once(
        &mut self,
        user: usize,
        purpose: &str,
        (input, output): (Option<Item>, Option<Item>),
        money: (u64, u64),
    ) {
        if !self.users[user].saved.contains_key(purpose) {
            let wallet = self.wallet(u8::try_from(user).unwrap());
            let signs = |txid| match purpose {
                "claim" => wallet.sign_claim(0, txid).unwrap(),
                _ => wallet.sign_refund(0, txid).unwrap(),
            };
            let made = self.transaction((input, &signs), output, money);
            self.users[user].saved.insert(purpose.to_owned(), made);
        }
        let transaction = self.users[user].saved[purpose].clone();
        self.send(purpose, &transaction);
    }

    /// All but the row is gone.
    pub fn restart(&mut self, user: usize) {
        match &self.users[user].story {
            Story::Pay(pay) => {
                let row = Pay::decode(&pay.encode()).unwrap();
                let (pay, effects) = row
                    .step(&self.users[user].wallet, PayEvent::Resume)
                    .unwrap();
                self.users[user].story = Story::Pay(pay);
                self.want_pay(user, effects);
            }
            Story::Receive(receive) => {
                let row = Receive::decode(&receive.encode()).unwrap();
                let wallet = &self.users[user].wallet;
                let (receive, effects) = row.step(wallet, NETWORK, ReceiveEvent::Resume).unwrap();
                self.users[user].story = Story::Receive(receive);
                self.want_receive(user, effects);
            }
        }
    }

    pub fn tell_payer(&mut self, user: usize, replies: Vec<Reply>) {
        let mut events: Vec<PayEvent> = Vec::new();
        events.extend(replies.into_iter().filter_map(Reply::for_payer));
        if let Some(fund) = self.users[user].saved.get("fund") {
            let contract = ContractId::new(self.out_point(fund));
            if self.was_accepted(fund) {
                events.push(PayEvent::Funded(self.out_point(fund)));
                events.push(PayEvent::Contract(self.contract(contract)));
            } else if self.was_refused(fund) {
                events.push(PayEvent::FundingRejected);
            }
        }
        events.push(PayEvent::Height(self.height()));
        while !events.is_empty() {
            let next = self.rng.gen_range(0..events.len());
            let event = events.swap_remove(next);
            let Story::Pay(pay) = &self.users[user].story else {
                return;
            };
            let stepped = pay.clone().step(&self.users[user].wallet, event);
            let (pay, effects) = stepped.unwrap();
            self.users[user].story = Story::Pay(pay);
            self.want_pay(user, effects);
        }
    }

    pub fn tell_payee(&mut self, user: usize, replies: Vec<Reply>) {
        let Story::Receive(receive) = &self.users[user].story else {
            return;
        };
        let offer = receive.offer.offer.id(self.federation);
        let mut events: Vec<ReceiveEvent> = Vec::new();
        events.extend(replies.into_iter().filter_map(Reply::for_payee));
        events.push(ReceiveEvent::Funding(self.funding(offer), self.height()));
        events.push(ReceiveEvent::Height(self.height()));
        while !events.is_empty() {
            let next = self.rng.gen_range(0..events.len());
            let event = events.swap_remove(next);
            let Story::Receive(receive) = &self.users[user].story else {
                return;
            };
            let stepped = receive
                .clone()
                .step(&self.users[user].wallet, NETWORK, event);
            let (receive, effects) = stepped.unwrap();
            self.users[user].story = Story::Receive(receive);
            self.want_receive(user, effects);
        }
    }
}
