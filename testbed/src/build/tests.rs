#![allow(clippy::unwrap_used)]

use super::*;

fn recipe(commands: fn(&Path) -> io::Result<Vec<Command>>) -> Recipe {
    Recipe {
        name: "server",
        version: "1.2",
        programs: &["server"],
        packages: &[],
        usual: Duration::ZERO,
        percent: |_| None,
        commands,
    }
}

fn shell(folder: &Path, script: &str) -> io::Result<Vec<Command>> {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script]).current_dir(folder);
    Ok(vec![command])
}

const MAKE: &str = "mkdir -p programs/bin && echo built >> ../count && \
    printf '#!/bin/sh\\necho Server v1.2.0\\n' > programs/bin/server && chmod +x programs/bin/server";

#[test]
fn a_server_is_built_once_and_leaves_no_working_folder() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::at(folder.path());
    let recipe = recipe(|folder| shell(folder, MAKE));
    let absent = recipe.folder(&cache).join("server");
    assert_eq!(recipe.cached(&cache), Err(Unusable::Absent(absent)));
    let built = recipe.build(&cache, &Stop::default()).unwrap();
    assert_eq!(recipe.build(&cache, &Stop::default()).unwrap(), built);
    assert_eq!(recipe.cached(&cache), Ok(built));
    assert_eq!(
        fs::read_to_string(cache.servers().join("count")).unwrap(),
        "built\n"
    );
    assert!(!cache.servers().join("server-1.2.building").exists());
}

#[test]
fn a_failed_build_leaves_its_log_and_nothing_to_stumble_over() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::at(folder.path());
    let failing = recipe(|folder| shell(folder, "touch half; echo no compiler; exit 1"));
    let error = failing
        .build(&cache, &Stop::default())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("no compiler") && error.contains("server-1.2.log"),
        "{error}"
    );
    assert!(!cache.servers().join("server-1.2.building").exists());
    recipe(|folder| shell(folder, MAKE))
        .build(&cache, &Stop::default())
        .unwrap();
}

#[test]
fn a_program_that_does_not_run_is_not_taken() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::at(folder.path());
    let broken = recipe(|folder| shell(folder, "mkdir -p programs/bin; touch programs/bin/server"));
    assert!(matches!(
        broken.build(&cache, &Stop::default()),
        Err(BuildError::Unusable(Unusable::Broken { .. }))
    ));
    let absent = broken.folder(&cache).join("server");
    assert_eq!(broken.cached(&cache), Err(Unusable::Absent(absent)));
}

#[test]
fn what_is_wrong_with_a_program_is_said_and_it_is_built_again() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::at(folder.path());
    let recipe = recipe(|folder| shell(folder, MAKE));
    recipe.build(&cache, &Stop::default()).unwrap();
    for (script, complaint) in [
        ("echo libboost is gone >&2; exit 127", "libboost is gone"),
        ("echo Server v1.20.0", "is not version 1.2: it says"),
    ] {
        let write = format!("printf '#!/bin/sh\\n{script}\\n' > server");
        let mut damage = shell(&recipe.folder(&cache), &write).unwrap();
        assert!(damage[0].status().unwrap().success());
        let why = recipe.cached(&cache).unwrap_err().to_string();
        assert!(why.contains(complaint), "{why}");
        recipe.build(&cache, &Stop::default()).unwrap();
        recipe.cached(&cache).unwrap();
    }
}

#[test]
fn a_version_is_recognised_by_its_beginning() {
    for line in [
        "v1.2",
        "Server version v1.2.0-unk server",
        "1.2-rc1",
        "server 1.2",
    ] {
        assert!(says(line, "1.2"), "{line}");
    }
    for line in ["", "v1.20", "v11.2", "Server version v2.1.2"] {
        assert!(!says(line, "1.2"), "{line}");
    }
}
