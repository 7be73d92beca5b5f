//! Messages about offers, and word of answers to ours.

use std::sync::{mpsc::SyncSender, Arc};

use lightning::{
    blinded_path::message::OffersContext,
    onion_message::{
        messenger::{MessageSendInstructions, Responder, ResponseInstruction},
        offers::{OffersMessage, OffersMessageHandler},
    },
};

use crate::types::Manager;

/// LDK's manager, as the one who hears of offers. ⚠ It notes an invoice that was asked for, and wakes nobody: it would be told when something else wakes
/// LDK, half a minute later at the worst.
pub(crate) struct Offers {
    manager: Arc<Manager>,
    answered: SyncSender<()>,
}

impl Offers {
    /// `answered` hears when there may be something to be told. Once is enough, however many answers there are.
    pub(crate) fn new(manager: Arc<Manager>, answered: SyncSender<()>) -> Self {
        Self { manager, answered }
    }
}

impl OffersMessageHandler for Offers {
    fn handle_message(
        &self,
        message: OffersMessage,
        context: Option<OffersContext>,
        responder: Option<Responder>,
    ) -> Option<(OffersMessage, ResponseInstruction)> {
        let is_question = matches!(message, OffersMessage::InvoiceRequest(_));
        let reply = self.manager.handle_message(message, context, responder);
        if !is_question {
            // If it is full, whoever is to hear of it has not looked yet.
            let _ = self.answered.try_send(());
        }
        reply
    }

    fn release_pending_messages(&self) -> Vec<(OffersMessage, MessageSendInstructions)> {
        self.manager.release_pending_messages()
    }
}
