//! Links and runs the core with neither std nor alloc.
//!
//! The build is the test. If the crate, or a dependency of it, brings std in, there are two panic
//! handlers (E0152); if it brings alloc in, there is no global allocator. The C library is there
//! only to start the process and for `memcpy` and its kin.

#![no_std]
#![no_main]

use core::ffi::{c_char, c_int};
use core::panic::PanicInfo;

use keepalive as _;

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

/// What the C library calls at the start. Exit status 0: the exchange went as expected.
#[unsafe(no_mangle)]
pub extern "C" fn main(_argc: c_int, _argv: *const *const c_char) -> c_int {
    c_int::from(!exchange())
}

/// One exchange on a server connection over fixed arrays.
fn exchange() -> bool {
    // ---- PUT THE EXCHANGE HERE -------------------------------------------------------------
    // With the API in place: a server connection, one GET with `Connection: close` given to it
    // in two cuts, a 200 with Content-Length out of it into a `[u8; 512]`, and true iff the
    // octets and the verdict (close) are the expected ones. Until then it shows that the crate
    // links; with an empty `use`, the linker may have dropped all of its code.
    // ----------------------------------------------------------------------------------------
    true
}
