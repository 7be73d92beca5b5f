//! Proof-of-work: what makes headers more than somebody's words (SPEC WAL-4).

use bitcoin::{block::Header, consensus::Params, Network};

use crate::error::ServerError;

/// After so many blocks the chain asks for more work or less.
const RETARGET_BLOCKS: u32 = 2016;

/// Whether each header but the first, which is known, took the work that its chain asks for. What it asks for follows from the
/// header before: the same, or every 2016 blocks at the least a quarter.
///
/// On the test networks where any block may be an easy one, work proves little: there it is looked at, and not how much it is.
pub(crate) fn check_work(
    network: Network,
    first_height: u32,
    headers: &[Header],
) -> Result<(), ServerError> {
    let heights = first_height.saturating_add(1)..;
    for (pair, height) in headers.windows(2).zip(heights) {
        let (before, now) = (&pair[0], &pair[1]);
        let target = now.target();
        let asked_for = match network {
            Network::Testnet | Network::Testnet4 => true,
            _ if height.is_multiple_of(RETARGET_BLOCKS) => {
                target
                    <= before
                        .target()
                        .max_transition_threshold(Params::new(network))
            }
            _ => now.bits == before.bits,
        };
        if !asked_for || !target.is_met_by(now.block_hash()) {
            return Err(ServerError::NoWork(height));
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use bitcoin::{
        block::Version, constants::genesis_block, hashes::Hash, BlockHash, CompactTarget,
        TxMerkleNode,
    };

    use super::*;

    fn header(before: BlockHash, bits: u32) -> Header {
        let mut header = Header {
            version: Version::TWO,
            prev_blockhash: before,
            merkle_root: TxMerkleNode::all_zeros(),
            time: 0,
            bits: CompactTarget::from_consensus(bits),
            nonce: 0,
        };
        while !header.target().is_met_by(header.block_hash()) {
            header.nonce += 1;
        }
        header
    }

    /// Two headers of these bits: easy enough for a test to find.
    fn pair(before: u32, now: u32) -> [Header; 2] {
        let first = header(BlockHash::all_zeros(), before);
        [first, header(first.block_hash(), now)]
    }

    #[test]
    fn what_is_asked_for_changes_only_where_it_may() {
        let check = |network, height, before, now| {
            check_work(network, height, &pair(before, now)).map_err(|error| error.to_string())
        };
        let (hard, easy, easier) = (0x2000_ffff, 0x2003_fffc, 0x2004_0000);
        for network in [Network::Bitcoin, Network::Signet] {
            // Easier than any block of theirs ever was.
            assert!(check(network, 2014, hard, hard).is_ok());
            assert!(check(network, 2014, hard, easy).is_err());
            assert!(check(network, 2015, hard, easy).is_err());
        }
        let regtest = Network::Regtest;
        assert!(check(regtest, 2014, hard, easy).is_err());
        assert!(check(regtest, 2015, hard, easy).is_ok());
        assert!(check(regtest, 2015, hard, easier).is_err());
        assert!(check(regtest, 2015, easy, hard).is_ok());
        assert!(check(Network::Testnet4, 2014, hard, easier).is_ok());
    }

    #[test]
    fn a_header_that_nobody_worked_for_is_noticed_on_every_network() {
        for network in [Network::Bitcoin, Network::Signet, Network::Testnet] {
            let first = genesis_block(network).header;
            let second = Header {
                prev_blockhash: first.block_hash(),
                ..first
            };
            let error = check_work(network, 0, &[first, second]).unwrap_err();
            assert!(matches!(error, ServerError::NoWork(1)), "{error}");
        }
    }
}
