//! Plays the sessions of the firmware example, and tells `run.mjs` how it went.
#![no_std]

use core::panic::PanicInfo;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use keepalive::{client, server};
use keepalive_firmware::bench::{Memory, play_all};
use keepalive_firmware::sessions;

/// Kinds of pieces.
const RAGGED: u32 = 25;

static OCTETS: AtomicU32 = AtomicU32::new(0);

/// Plays all sessions. Returns the exchanges, 0 if one failed.
#[unsafe(no_mangle)]
pub extern "C" fn exchanges() -> u32 {
    let mut memory = Memory::EMPTY;
    let Ok(tally) = play_all(sessions::ALL, RAGGED, &mut memory) else { return 0 };
    OCTETS.store(tally.octets, Relaxed);
    tally.exchanges
}

/// Octets on the wire, both ways.
#[unsafe(no_mangle)]
pub extern "C" fn octets() -> u32 {
    OCTETS.load(Relaxed)
}

/// The size of a server's connection.
#[unsafe(no_mangle)]
pub extern "C" fn server_size() -> usize {
    size_of::<server::Connection>()
}

/// The size of a client's connection.
#[unsafe(no_mangle)]
pub extern "C" fn client_size() -> usize {
    size_of::<client::Connection>()
}

/// Traps: the module ends with an error.
#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    core::arch::wasm32::unreachable()
}
