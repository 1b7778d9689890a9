//! Links and runs the core with neither std nor alloc.
//!
//! The build is the test. If the crate, or a dependency of it, brings std in, there are two panic
//! handlers (E0152); if it brings alloc in, there is no global allocator. The C library is there
//! only to start the process and for `memcpy` and its kin.

#![no_std]
#![no_main]

use core::ffi::{c_char, c_int};
use core::panic::PanicInfo;

use keepalive::server::{Config, Connection, Event};
use keepalive::{CloseReason, Instant, NO_FIELDS, Persistence, Step};
use keepalive_firmware::bench::{Memory, play_all};
use keepalive_firmware::sessions;

#[link(name = "c")]
unsafe extern "C" {
    fn abort() -> !;
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    // SAFETY: takes nothing, and does not return.
    unsafe { abort() }
}

/// The compiled `core` of the toolchain names this function in its unwind tables. std would bring
/// it; nothing unwinds here (`panic = "abort"`), so nothing calls it.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

/// What the C library calls at the start. Exit status 0: all exchanges went as expected.
#[unsafe(no_mangle)]
pub extern "C" fn main(_argc: c_int, _argv: *const *const c_char) -> c_int {
    c_int::from(!(exchange() && sessions_of_the_firmware()))
}

/// Both machines against each other, whole and in pieces, as `examples/firmware` has them.
fn sessions_of_the_firmware() -> bool {
    let mut memory = Memory::EMPTY;
    play_all(sessions::ALL, 25, &mut memory).is_ok_and(|tally| tally.exchanges > 400)
}

/// One exchange on a server connection over fixed arrays: a request in two cuts, its response, and
/// the verdict.
fn exchange() -> bool {
    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi";
    let now = Instant::default();
    let mut conn = Connection::new(&Config::origin(), now);
    let mut out = [0; 512];
    let (first, _) = REQUEST.split_at(20);
    if conn.receive(now, first, usize::MAX) != (Step { consumed: 0, event: None }) {
        return false;
    }
    let Some(Event::Request(_)) = conn.receive(now, REQUEST, usize::MAX).event else {
        return false;
    };
    let Ok(n) = conn.reply(now, 200, NO_FIELDS, b"hi", &mut out) else { return false };
    conn.transmitted(now, n as u64);
    out.get(..n) == Some(RESPONSE)
        && conn.persistence() == Persistence::Close(CloseReason::PeerSaidClose)
}
