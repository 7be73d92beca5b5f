//! A look at a contract, as f + 1 guardians know it.

use guildmint_core::api::mark;
use guildmint_gateway::federation::News;
use guildmint_ln::{ContractAnswer, ContractId};

use super::Happening;
use crate::{desk::Desk, limits::LOOK_WAIT_S};

pub(crate) struct Look {
    contract: ContractId,
    /// It was not there the first time.
    waited: bool,
    failures: u32,
}

impl Look {
    pub(super) fn new(contract: ContractId) -> Self {
        Self {
            contract,
            waited: false,
            failures: 0,
        }
    }

    pub(super) fn step(&mut self, happening: Happening, desk: &mut Desk<'_>) {
        let contract = self.contract;
        match happening {
            Happening::Time => desk.ask(format!("contracts/{contract}")),
            Happening::Answer(Ok(json)) => {
                match serde_json::from_value::<ContractAnswer>(json.clone()) {
                    // Some guardians may not have come as far as those whom its user asked.
                    Ok(answer) if answer.account.is_none() && !self.waited => {
                        self.waited = true;
                        let known = mark(&json);
                        desk.ask(format!(
                            "contracts/{contract}?wait={LOOK_WAIT_S}&known={known}"
                        ));
                    }
                    Ok(answer) => desk.tell(News::Looked { contract, answer }),
                    Err(_) => desk.try_later(&mut self.failures),
                }
            }
            Happening::Answer(Err(_)) => desk.try_later(&mut self.failures),
            Happening::NotBegun(_) | Happening::Errand(..) => {}
        }
    }
}
