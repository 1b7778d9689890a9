//! An HTTP server for a microcontroller, and what tries it out.
//!
//! [`device`] is the part to learn from: a server's connection on two static buffers, driven by a loop
//! that never blocks. [`port`] is what it asks of the hardware. The rest stands for the world outside:
//! [`tester`] is a client, made of the same parts, that checks each answer; [`bench`] joins both by a
//! wire in memory, keeps a clock that nobody has to wait for, and plays [`sessions`].
//!
//! Nothing here needs an allocator or an operating system. `src/main.rs` is the image for a Cortex-M.
#![no_std]

pub mod bench;
pub mod device;
pub mod octets;
pub mod port;
pub mod sessions;
pub mod tester;
