//! Ciphertexts of threshold encryption.

use guildmint_tbs::encryption::{Ciphertext, DecryptionKey, DecryptionShare};

/// U, V, W, and the data behind them. Points are in one encoding only; what holds is verified without harm.
pub fn target(bytes: &[u8]) {
    if let Ok(bytes) = bytes.try_into() {
        if let Ok(key) = DecryptionKey::from_bytes(bytes) {
            assert_eq!(&*key.to_bytes(), bytes);
        }
        if let Ok(share) = DecryptionShare::from_bytes(bytes) {
            assert_eq!(&share.to_bytes(), bytes);
        }
    }
    let Some((u, rest)) = bytes.split_first_chunk() else {
        return;
    };
    let Some((v, rest)) = rest.split_first_chunk() else {
        return;
    };
    let Some((w, data)) = rest.split_first_chunk() else {
        return;
    };
    if let Ok(ciphertext) = Ciphertext::from_parts(u, v, w) {
        assert_eq!(ciphertext.to_parts(), (*u, *v, *w));
        let _ = ciphertext.verify(data);
    }
}
