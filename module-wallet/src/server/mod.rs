//! What a guardian runs.
