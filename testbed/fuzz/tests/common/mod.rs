//! The corpus.

use std::{collections::BTreeMap, fs, path::Path};

/// The files of a target's corpus, by name.
pub fn corpus(target: &str) -> BTreeMap<String, Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    fs::read_dir(folder.join(target))
        .unwrap()
        .map(|file| {
            let file = file.unwrap();
            let name = file.file_name().into_string().unwrap();
            (name, fs::read(file.path()).unwrap())
        })
        .collect()
}
