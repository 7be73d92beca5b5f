//! The targets, one file each.

/// A function that must take any bytes.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name, which is that of its file and of its folder in the corpus.
    pub name: &'static str,
    /// The function.
    pub run: fn(&[u8]),
}

macro_rules! targets {
    ($($name:ident)*) => {
        $(pub mod $name;)*

        /// All targets, by name.
        pub const TARGETS: &[Target] = &[
            $(Target { name: stringify!($name), run: $name::target }),*
        ];

        /// Calls a macro with the names of all targets.
        #[macro_export]
        macro_rules! for_each_target {
            ($then:ident) => { $then! { $($name)* } };
        }
    };
}

targets! {
    amount
    announcement
    api
    certificate
    contribution
    effective_batch
    encryption
    frame
    genesis
    invite
    key_generation
    key_set
    link_packet
    ln_config
    ln_input
    ln_invoice
    ln_offer
    ln_output
    ln_vouching
    meeting
    mint_config
    mint_input
    mint_output
    node
    notes_string
    payload
    points
    setup_code
    transaction
    wallet_config
    wallet_input
    wallet_job
    wallet_news
    wallet_output
    wallet_vote
}
