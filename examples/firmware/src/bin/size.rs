//! The device alone, to see what it takes of the flash: a server without a tester, a console and the
//! texts of panics. It is linked and measured (`tests/portability/run cortex-m`), and does nothing.
#![no_std]
#![no_main]

use core::hint::black_box;
use core::panic::PanicInfo;
use cortex_m_rt::entry;
use keepalive::{Instant, Io};
use keepalive_firmware::device::{Device, RECEIVE, TRANSMIT};
use keepalive_firmware::port::Port;

/// A port that the compiler knows nothing about.
struct Opaque;

impl Port for Opaque {
    fn read(&mut self, into: &mut [u8]) -> Io {
        black_box(into);
        black_box(Io::Nothing)
    }

    fn write(&mut self, from: &[u8]) -> Io {
        black_box(from);
        black_box(Io::Nothing)
    }

    fn close(&mut self) {}
}

#[entry]
fn main() -> ! {
    static mut RECEIVED: [u8; RECEIVE] = [0; RECEIVE];
    static mut OUTPUT: [u8; TRANSMIT] = [0; TRANSMIT];
    let mut device = Device::new(black_box(Instant::default()), RECEIVED, OUTPUT);
    loop {
        // Where the time comes from on a real device: a counter that an interrupt moves on.
        let now = black_box(Instant::default());
        black_box(device.turn(now, &mut Opaque));
        black_box(device.http().deadline());
    }
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {
        core::hint::spin_loop();
    }
}
