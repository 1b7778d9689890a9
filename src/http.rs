//! Heads as types of the `http` crate.
