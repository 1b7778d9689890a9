//! Chance that can be had again: the test kit's.

pub use keepalive::testkit::Rng;
