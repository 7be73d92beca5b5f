//! The testbed's own key, which earns the block rewards and pays out of them: bitcoind is built without a wallet.

use bitcoin::{
    absolute::LockTime,
    hashes::{sha256, Hash},
    key::{CompressedPublicKey, PrivateKey},
    secp256k1::{Message, Secp256k1, SecretKey},
    sighash::{EcdsaSighashType, SighashCache},
    transaction::Version,
    Address, Amount, KnownHrp, Network, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut,
    Txid, WPubkeyHash, Witness,
};
use thiserror::Error;

use crate::rpc::{Rpc, RpcError, Unspent};

/// A block reward can be spent in the 100th block after it.
pub const COINBASE_MATURITY: u64 = 100;
/// What every transaction of the faucet pays, in satoshi per virtual byte.
const FEE_RATE_SAT_PER_VBYTE: u64 = 2;
/// Change below this is left to the miner, which is the faucet itself.
const DUST: Amount = Amount::from_sat(1000);
/// A signed P2WPKH input, rounded up, in virtual bytes.
const INPUT_VBYTES: u64 = 69;
/// Nodes do not relay transactions above 100,000 virtual bytes.
const LARGE_VBYTES: usize = 99_000;
/// A P2WPKH output, in bytes.
const OUTPUT_BYTES: usize = 31;

/// A purse of worthless coins.
#[derive(Clone, Debug)]
pub struct Faucet {
    rpc: Rpc,
    key: PrivateKey,
    public: CompressedPublicKey,
}

/// Why the faucet pays nothing.
#[derive(Debug, Error)]
pub enum FaucetError {
    /// bitcoind does not do its part.
    #[error(transparent)]
    Rpc(#[from] RpcError),
    /// It has too little.
    #[error("the faucet has {has} that can be spent and needs {needs}: `cargo testbed mine 100` earns more")]
    Empty {
        /// What it could spend now.
        has: Amount,
        /// What the payment takes.
        needs: Amount,
    },
    /// The amounts add up to more than there can be.
    #[error("the amounts add up to more than there can be")]
    TooMuch,
    /// A signature could not be made.
    #[error("cannot sign: {0}")]
    Signing(String),
}

impl Faucet {
    /// The faucet of the chain behind `rpc`. All testbeds' faucets have the same key.
    pub fn new(rpc: Rpc) -> Result<Self, FaucetError> {
        let signing = |error: &dyn std::fmt::Display| FaucetError::Signing(error.to_string());
        let seed = sha256::Hash::hash(b"guildmint testbed faucet").to_byte_array();
        let secret = SecretKey::from_slice(&seed).map_err(|error| signing(&error))?;
        let key = PrivateKey::new(secret, Network::Regtest);
        let public = CompressedPublicKey::from_private_key(&Secp256k1::new(), &key)
            .map_err(|error| signing(&error))?;
        Ok(Self { rpc, key, public })
    }

    /// Where the block rewards go.
    pub fn address(&self) -> Address {
        Address::p2wpkh(&self.public, KnownHrp::Regtest)
    }

    /// Mines blocks for the faucet.
    pub fn mine(&self, blocks: u64) -> Result<(), FaucetError> {
        self.rpc.mine(blocks, &self.address())?;
        Ok(())
    }

    /// Pays `amount` to `address`; the payment then waits to be mined.
    pub fn pay(&self, address: &Address, amount: Amount) -> Result<Txid, FaucetError> {
        self.pay_all(vec![TxOut {
            value: amount,
            script_pubkey: address.script_pubkey(),
        }])
    }

    /// Pays `amount` to `address` in one of the largest transactions that nodes relay, 99,000 virtual bytes, whose other
    /// outputs nobody can spend.
    pub fn pay_large(&self, address: &Address, amount: Amount) -> Result<Txid, FaucetError> {
        let filler = |i: usize| TxOut {
            value: DUST,
            script_pubkey: ScriptBuf::new_p2wpkh(&WPubkeyHash::hash(
                format!("filler {i}").as_bytes(),
            )),
        };
        let mut outputs = vec![TxOut {
            value: amount,
            script_pubkey: address.script_pubkey(),
        }];
        // Room for the change, the input and the counts.
        let room = LARGE_VBYTES - 10 * OUTPUT_BYTES;
        outputs.extend((0..room / OUTPUT_BYTES).map(filler));
        self.pay_all(outputs)
    }

    /// Pays several outputs in one transaction.
    pub fn pay_all(&self, outputs: Vec<TxOut>) -> Result<Txid, FaucetError> {
        let transaction = self.prepare(outputs)?;
        Ok(self.rpc.send(&transaction)?)
    }

    /// A signed transaction with these outputs and change, not yet sent.
    pub fn prepare(&self, outputs: Vec<TxOut>) -> Result<Transaction, FaucetError> {
        let paid = outputs
            .iter()
            .try_fold(Amount::ZERO, |sum, output| sum.checked_add(output.value));
        let paid = paid.ok_or(FaucetError::TooMuch)?;
        let (transaction, inputs) = choose(
            self.spendable()?,
            outputs,
            paid,
            self.address().script_pubkey(),
        )?;
        self.sign(transaction, &inputs)
    }

    /// What can be spent now, the largest first: mature, and not spent by a transaction that waits to be mined.
    fn spendable(&self) -> Result<Vec<Unspent>, FaucetError> {
        let next = self.rpc.tip()?.height + 1;
        let mut unspent = self.rpc.unspent(&self.address().script_pubkey())?;
        unspent.retain(|output| !output.coinbase || next - output.height >= COINBASE_MATURITY);
        let outpoints: Vec<OutPoint> = unspent.iter().map(|output| output.outpoint).collect();
        let spent = self.rpc.spent_in_mempool(&outpoints)?;
        let mut free: Vec<Unspent> = unspent
            .into_iter()
            .zip(spent)
            .filter(|(_, s)| !s)
            .map(|(o, _)| o)
            .collect();
        free.sort_by_key(|output| std::cmp::Reverse(output.amount));
        Ok(free)
    }

    fn sign(
        &self,
        mut transaction: Transaction,
        inputs: &[Unspent],
    ) -> Result<Transaction, FaucetError> {
        let (secp, script) = (Secp256k1::signing_only(), self.address().script_pubkey());
        let mut cache = SighashCache::new(&mut transaction);
        for (index, input) in inputs.iter().enumerate() {
            let sighash = cache
                .p2wpkh_signature_hash(index, &script, input.amount, EcdsaSighashType::All)
                .map_err(|error| FaucetError::Signing(error.to_string()))?;
            let signature = bitcoin::ecdsa::Signature::sighash_all(secp.sign_ecdsa(
                &Message::from_digest(sighash.to_byte_array()),
                &self.key.inner,
            ));
            if let Some(witness) = cache.witness_mut(index) {
                *witness = Witness::p2wpkh(&signature, &self.public.0);
            }
        }
        Ok(transaction)
    }
}

/// An unsigned transaction that pays the outputs, the fee and the change out of as few inputs as will do.
fn choose(
    spendable: Vec<Unspent>,
    mut outputs: Vec<TxOut>,
    paid: Amount,
    change_script: ScriptBuf,
) -> Result<(Transaction, Vec<Unspent>), FaucetError> {
    outputs.push(TxOut {
        value: Amount::ZERO,
        script_pubkey: change_script,
    });
    let mut transaction = Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: Vec::new(),
        output: outputs,
    };
    let (base, mut chosen, mut has) = (transaction.base_size() as u64, Vec::new(), Amount::ZERO);
    let mut needs = paid;
    for unspent in spendable {
        has += unspent.amount;
        chosen.push(unspent);
        let fee = (base + INPUT_VBYTES * chosen.len() as u64) * FEE_RATE_SAT_PER_VBYTE;
        needs = paid
            .checked_add(Amount::from_sat(fee))
            .ok_or(FaucetError::TooMuch)?;
        if has >= needs {
            break;
        }
    }
    let change = has
        .checked_sub(needs)
        .filter(|_| !chosen.is_empty())
        .ok_or(FaucetError::Empty { has, needs })?;
    if change < DUST {
        transaction.output.pop();
    } else if let Some(output) = transaction.output.last_mut() {
        output.value = change;
    }
    transaction.input = chosen
        .iter()
        .map(|unspent| TxIn {
            previous_output: unspent.outpoint,
            sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
            ..Default::default()
        })
        .collect();
    Ok((transaction, chosen))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn unspent(sat: u64) -> Unspent {
        Unspent {
            outpoint: OutPoint::null(),
            amount: Amount::from_sat(sat),
            height: 1,
            coinbase: false,
        }
    }

    fn output(sat: u64) -> TxOut {
        TxOut {
            value: Amount::from_sat(sat),
            script_pubkey: ScriptBuf::new_p2wpkh(&WPubkeyHash::hash(b"x")),
        }
    }

    fn chosen(spendable: &[u64], pay_sat: u64) -> Result<(Transaction, Vec<Unspent>), FaucetError> {
        let spendable = spendable.iter().copied().map(unspent).collect();
        choose(
            spendable,
            vec![output(pay_sat)],
            Amount::from_sat(pay_sat),
            output(0).script_pubkey,
        )
    }

    #[test]
    fn inputs_cover_outputs_and_fee_and_the_rest_is_change() {
        let (transaction, inputs) = chosen(&[60_000, 50_000, 40_000], 100_000).unwrap();
        assert_eq!(inputs.len(), 2);
        let fee = 110_000
            - transaction
                .output
                .iter()
                .map(|output| output.value.to_sat())
                .sum::<u64>();
        assert_eq!(transaction.output.len(), 2);
        assert!((300..1000).contains(&fee), "{fee}");
    }

    #[test]
    fn change_that_is_not_worth_its_output_is_left_out() {
        assert_eq!(chosen(&[100_800], 100_000).unwrap().0.output.len(), 1);
    }

    #[test]
    fn an_empty_faucet_says_what_it_has_and_needs() {
        assert!(matches!(chosen(&[], 1), Err(FaucetError::Empty { .. })));
        let error = chosen(&[1000, 1000], 100_000).unwrap_err().to_string();
        assert!(
            error.contains("0.00002000 BTC") && error.contains("mine 100"),
            "{error}"
        );
    }
}
