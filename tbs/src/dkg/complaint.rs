//! Complaints: a guardian opens what a dealer encrypted to it, so that everybody sees who is wrong.
//!
//! A complaint shows D = p·E and proves it. That gives away the shares of one dealer for one recipient and nothing else,
//! because nobody but that dealer knows the logarithm of E: it proved it, for this session and in its own name.

use super::dealing::CheckedDealing;
use super::items::Complaint;
use super::proof::{verify, Claim};
use super::transcript::Transcript;
use super::{ComplaintError, EncryptionSecret, FaultReason, Params};
use crate::curve::decode_g1;
use crate::wire::Bytes;
use crate::ShareIndex;

const COMPLAINT_TAG: &[u8] = b"guildmint-tbs/dkg/complaint/1";

/// Complains of what `dealer` dealt to `accuser`, whose secret this is.
pub(super) fn complain(
    params: &Params,
    (dealer, dealing): (ShareIndex, &CheckedDealing),
    accuser: ShareIndex,
    secret: &EncryptionSecret,
) -> Complaint {
    let point = secret.shared_point(&dealing.ephemeral);
    let key = secret.public_key();
    let claim = Claim::Equal(&dealing.ephemeral, &key.0, &point);
    Complaint {
        dealer,
        point: Bytes(point.to_compressed()),
        proof: secret.prove(purpose(params, (dealer, dealing), accuser), &claim),
    }
}

/// Who is at fault, if `accuser` complains of a valid dealing, and why: either the dealer or the accuser.
pub(super) fn judge(
    params: &Params,
    dealing: &CheckedDealing,
    accuser: ShareIndex,
    complaint: &Complaint,
) -> (ShareIndex, FaultReason) {
    let dealer = complaint.dealer;
    match open(params, dealing, accuser, complaint) {
        Ok(Err(key)) => {
            let recipient = accuser;
            (dealer, FaultReason::WrongShare { recipient, key })
        }
        Ok(Ok(())) => (accuser, FaultReason::FalseComplaint(dealer)),
        Err(error) => (accuser, FaultReason::Complaint { dealer, error }),
    }
}

fn open(
    params: &Params,
    dealing: &CheckedDealing,
    accuser: ShareIndex,
    complaint: &Complaint,
) -> Result<Result<(), u16>, ComplaintError> {
    let point = decode_g1(&complaint.point.0).map_err(ComplaintError::Point)?;
    let proved = params.encryption_key(accuser).is_some_and(|key| {
        let claim = Claim::Equal(&dealing.ephemeral, &key.0, &point);
        let purpose = purpose(params, (complaint.dealer, dealing), accuser);
        verify(purpose, &claim, &complaint.proof)
    });
    if !proved {
        return Err(ComplaintError::Proof);
    }
    Ok(dealing.open(params, accuser, &point).map(drop))
}

fn purpose(
    params: &Params,
    (dealer, dealing): (ShareIndex, &CheckedDealing),
    accuser: ShareIndex,
) -> Transcript {
    Transcript::new(COMPLAINT_TAG)
        .with(params.context())
        .with(&dealing.digest)
        .with_index(dealer)
        .with_index(accuser)
}
