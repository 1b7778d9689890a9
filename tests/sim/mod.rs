//! Two machines, a network with a will of its own, and a clock that does not wait: what
//! `tests/simulation.rs` is made of.
#![allow(dead_code, unreachable_pub)]

pub mod client;
pub mod net;
pub mod plan;
pub mod port;
pub mod relay;
pub mod rng;
pub mod server;
pub mod shared;
pub mod world;
