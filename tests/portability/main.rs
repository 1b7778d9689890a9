//! On what the tests run: this prints it, and holds it to what `tests/portability/run` asked for. An
//! emulator that is not one, or a flag that got lost, would otherwise look like success.

use keepalive::{client, server};
use std::hint::black_box;
use std::io::Write as _;
use std::panic::catch_unwind;

/// What cargo-careful says about itself.
#[allow(unexpected_cfgs)]
const CAREFUL: bool = cfg!(careful);

/// The machine in words. Asked of the machine where it can be, and not of the compiler.
fn machine() -> String {
    let order = if u16::from_ne_bytes([1, 0]) == 1 { "little-endian" } else { "big-endian" };
    // Silent: the hook is restored at once.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let overflows = catch_unwind(|| black_box(u8::MAX) + black_box(1)).is_ok();
    std::panic::set_hook(hook);
    format!(
        "{}, {} bits, {order}, overflow {}{}",
        std::env::consts::ARCH,
        usize::BITS,
        if overflows { "wraps" } else { "panics" },
        if CAREFUL { ", careful" } else { "" },
    )
}

#[test]
fn the_machine_is_the_one_that_was_asked_for() {
    let machine = machine();
    let (server, client) = (size_of::<server::Connection>(), size_of::<client::Connection>());
    // Past the harness, which would capture it.
    let _ =
        writeln!(std::io::stdout(), "portability: {machine}; server {server} B, client {client} B");
    if let Ok(expected) = std::env::var("MACHINE") {
        assert_eq!(machine, expected);
    }
}
