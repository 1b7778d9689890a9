//! The image for a Cortex-M: start-up, static memory, and a report.
//!
//! ```sh
//! rustup target add thumbv7em-none-eabihf     # once; and QEMU for Arm
//! cd examples/firmware
//! cargo run --release
//! ```
//!
//! It plays connections between a device and a client, whole and in pieces, checks each exchange, and
//! reports by semihosting: a line on the console, and the exit status of QEMU. On a real board the
//! same image runs under a debugger.
#![no_std]
#![no_main]

use core::mem::size_of;
use cortex_m_rt::entry;
use cortex_m_semihosting::debug::{self, EXIT_FAILURE, EXIT_SUCCESS};
use cortex_m_semihosting::hprintln;
use keepalive::{client, server};
use keepalive_firmware::bench::{Memory, play_all};
use keepalive_firmware::sessions;
// Linked for what they define: how interrupts are held off, and what a panic does (it is reported on the
// console, and ends with a failure).
use {cortex_m as _, panic_semihosting as _};

/// Kinds of pieces.
const RAGGED: u32 = 25;

#[entry]
fn main() -> ! {
    // The attribute makes a `&'static mut` of it, once and without danger: main is not called twice.
    static mut MEMORY: Memory = Memory::EMPTY;

    match play_all(sessions::ALL, RAGGED, MEMORY) {
        Ok(tally) => {
            hprintln!(
                "firmware: {} exchanges, {} bytes, server {} B, client {} B, ok",
                tally.exchanges,
                tally.octets,
                size_of::<server::Connection>(),
                size_of::<client::Connection>(),
            );
            debug::exit(EXIT_SUCCESS);
        }
        Err((session, cuts, fault)) => {
            hprintln!("firmware: FAILED: {}, {:?}: {:?}", session.name, cuts, fault);
            debug::exit(EXIT_FAILURE);
        }
    }
    // Without a debugger nobody ends the program.
    loop {
        core::hint::spin_loop();
    }
}
