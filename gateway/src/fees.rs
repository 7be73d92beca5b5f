//! Whether what is charged covers what federations take. If it does not, each payment loses a little, until the ledger halts all of them: the
//! operator is told before (SPEC GW-6).

use guildmint_core::{Amount, FederationId};

use crate::{
    desk::Desk,
    federation::Costs,
    limits::USUAL_PAYMENT_SAT,
    rows::{Served, ServedRow},
    settings::Settings,
    warning::{Charge, Warning},
};

/// Looks at all federations whose costs are known, and tells what is new: after the operator has set fees, and when a federation has others.
pub(crate) fn check(desk: &mut Desk) {
    let served = desk.rows.scan::<ServedRow>().into_iter();
    let known = served.filter_map(|(ServedRow(federation), served)| {
        let costs = desk.federations.get(&federation)?.costs;
        (!served.left).then_some((federation, served, costs))
    });
    let known: Vec<(FederationId, Served, Costs)> = known.collect();
    // Who is paid here may be paid out of a contract in any of them.
    let claims = known.iter().map(|(_, _, costs)| costs.claim);
    let dearest = claims.max().unwrap_or_default();
    for (federation, served, costs) in known {
        let now = judge(federation, &served.settings, costs, dearest);
        let told = desk.fees_told.insert(federation, now.clone());
        let told = told.unwrap_or_default();
        for warning in now.into_iter().filter(|one| !told.contains(one)) {
            desk.warn(warning);
        }
    }
}

fn judge(
    federation: FederationId,
    settings: &Settings,
    costs: Costs,
    dearest: Amount,
) -> Vec<Warning> {
    let usual = Amount::from_sat(USUAL_PAYMENT_SAT).unwrap_or_default();
    let received = costs.fund.checked_add(dearest).unwrap_or(Amount::MAX);
    [
        (Charge::Receive, settings.receive_fees, received),
        (Charge::Margin, settings.send_margin, costs.claim),
    ]
    .into_iter()
    .filter_map(|(charge, schedule, costs)| {
        let charged = schedule.fee(usual).unwrap_or(Amount::MAX);
        (charged < costs).then_some(Warning::FeesTooLow {
            federation,
            charge,
            charged,
            costs,
        })
    })
    .collect()
}
