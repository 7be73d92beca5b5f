#![allow(clippy::unwrap_used)]

use super::*;

fn recipe(commands: fn(&Path) -> io::Result<Vec<Command>>) -> Recipe {
    Recipe {
        name: "server-1",
        title: "a server",
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
    printf '#!/bin/sh\\nexit 0\\n' > programs/bin/server && chmod +x programs/bin/server";

#[test]
fn a_server_is_built_once_and_leaves_no_working_folder() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::at(folder.path());
    let recipe = recipe(|folder| shell(folder, MAKE));
    assert_eq!(recipe.cached(&cache), None);
    let built = recipe.build(&cache, &Stop::default()).unwrap();
    assert_eq!(recipe.build(&cache, &Stop::default()).unwrap(), built);
    assert_eq!(recipe.cached(&cache), Some(built));
    assert_eq!(
        fs::read_to_string(cache.servers().join("count")).unwrap(),
        "built\n"
    );
    assert!(!cache.servers().join("server-1.building").exists());
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
        error.contains("no compiler") && error.contains("server-1.log"),
        "{error}"
    );
    assert!(!cache.servers().join("server-1.building").exists());
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
        Err(BuildError::Unusable { .. })
    ));
    assert_eq!(broken.cached(&cache), None);
}
