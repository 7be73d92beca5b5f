//! Bodies of requests and answers in JSON.

use guildmint_core::{
    api::{AnnouncementsAnswer, AuditAnswer, ConfigAnswer, Problem, StatusAnswer, TransactionAnswer},
    module::Query,
    Certificate, GenesisConfig, Transaction,
};
use guildmint_ln::{
    ContractAnswer, FundingAnswer, GatewaysAnswer, InvoiceRequest, LnOutcome, OffersAnswer, PayRequest,
    ShareAnswer,
};
use guildmint_mint::{DenominationTotals, MintOutcome, SpentAnswer};
use guildmint_wallet::{
    ChainAnswer, CoinsAnswer, PegOutQuote, PegOutStatus, PegOutsAnswer,
};

use crate::canonical::json;

/// Any of them may be expected where these bytes come.
pub fn target(bytes: &[u8]) {
    json::<TransactionAnswer>(bytes);
    json::<AnnouncementsAnswer>(bytes);
    json::<ConfigAnswer>(bytes);
    json::<StatusAnswer>(bytes);
    json::<AuditAnswer>(bytes);
    json::<Problem>(bytes);
    json::<Transaction>(bytes);
    json::<GenesisConfig>(bytes);
    json::<Certificate>(bytes);
    json::<Query>(bytes);
    json::<MintOutcome>(bytes);
    json::<SpentAnswer>(bytes);
    json::<Vec<DenominationTotals>>(bytes);
    json::<ContractAnswer>(bytes);
    json::<FundingAnswer>(bytes);
    json::<GatewaysAnswer>(bytes);
    json::<OffersAnswer>(bytes);
    json::<ShareAnswer>(bytes);
    json::<LnOutcome>(bytes);
    json::<InvoiceRequest>(bytes);
    json::<PayRequest>(bytes);
    json::<ChainAnswer>(bytes);
    json::<CoinsAnswer>(bytes);
    json::<PegOutQuote>(bytes);
    json::<PegOutStatus>(bytes);
    json::<PegOutsAnswer>(bytes);
}
