//! No node: a gateway that only swaps.

use super::{
    ChainTxid, ChannelId, ChannelOrder, Closing, Command, Delivery, HeldHtlcs, InvoiceOrder,
    LightningNode, NodeState, OwnInvoiceOrder, PaymentHash, Peer, Refusal, SentPayment, Wake,
    Withdrawal,
};

/// A node that is not there. It has nothing, hears nothing, and refuses everything.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoNode;

impl LightningNode for NoNode {
    fn command(&self, _: Command) -> Result<(), Refusal> {
        Err(Refusal::NoNode)
    }

    fn events(&self, _: usize) -> Result<Vec<Delivery>, Refusal> {
        Ok(Vec::new())
    }

    fn handled(&self, _: u64) -> Result<(), Refusal> {
        Ok(())
    }

    fn wake_with(&self, _: Wake) {}

    fn state(&self) -> NodeState {
        NodeState::default()
    }

    fn sent(&self, _: PaymentHash) -> Result<Option<SentPayment>, Refusal> {
        Ok(None)
    }

    fn in_flight(&self, _: Option<PaymentHash>) -> Result<Vec<SentPayment>, Refusal> {
        Ok(Vec::new())
    }

    fn held(&self, _: Option<PaymentHash>) -> Result<Vec<HeldHtlcs>, Refusal> {
        Ok(Vec::new())
    }

    fn make_invoice(&self, _: &InvoiceOrder) -> Result<String, Refusal> {
        Err(Refusal::NoNode)
    }

    fn make_own_invoice(&self, _: &OwnInvoiceOrder) -> Result<String, Refusal> {
        Err(Refusal::NoNode)
    }

    fn peers(&self) -> Result<Vec<Peer>, Refusal> {
        Ok(Vec::new())
    }

    fn new_address(&self) -> Result<String, Refusal> {
        Err(Refusal::NoNode)
    }

    fn withdraw(&self, _: &Withdrawal) -> Result<ChainTxid, Refusal> {
        Err(Refusal::NoNode)
    }

    fn connect(&self, _: &Peer) -> Result<(), Refusal> {
        Err(Refusal::NoNode)
    }

    fn open_channel(&self, _: &ChannelOrder) -> Result<ChannelId, Refusal> {
        Err(Refusal::NoNode)
    }

    fn close_channel(&self, _: ChannelId, _: Closing) -> Result<(), Refusal> {
        Err(Refusal::NoNode)
    }
}
