//! Scenario 22: power that fails before a single thing that guardians do. `cargo sim --power` goes through all of them; here it is
//! every third and every tenth.

use guildmint_core::PeerId;
use guildmint_sim::runs::power_fails_everywhere;

#[test]
fn one_guardian_may_lose_power_before_anything_it_does() {
    let failures = power_fails_everywhere(Some(PeerId(0)), 3);
    assert!(failures > 200, "{failures}");
}

#[test]
fn all_guardians_may_lose_power_before_anything_that_one_does() {
    let failures = power_fails_everywhere(None, 10);
    assert!(failures > 200, "{failures}");
}
