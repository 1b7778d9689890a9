//! The test kit's pipe, with time in microseconds and sides by number, as the ends here have them.
//! Side 0 made the connection, side 1 accepted it.

use super::port::at;
use super::rng::Rng;
use keepalive::testkit::{Pipe, Side, Weather};
use std::time::Duration;

pub use keepalive::testkit::{Fault, Got, Put};

#[derive(Clone, Debug)]
pub struct Link {
    pipe: Pipe,
    /// As it was made.
    pub fault: Fault,
}

pub fn side(n: usize) -> Side {
    if n == 0 { Side::Client } else { Side::Server }
}

impl Link {
    pub fn new(delay: u64, jitter: u64, window: usize, fault: Fault, rng: Rng) -> Self {
        let (delay, jitter) = (Duration::from_micros(delay), Duration::from_micros(jitter));
        let weather = Weather { delay, jitter, window, fault, ..Weather::calm() };
        Self { pipe: Pipe::new(&weather, rng), fault }
    }

    pub fn write(&mut self, now: u64, from: usize, octets: &[u8]) -> Put {
        self.pipe.write(at(now), side(from), octets)
    }

    pub fn read(&mut self, to: usize, max: usize, into: &mut Vec<u8>) -> Got {
        self.pipe.read(side(to), max, into)
    }

    pub fn shutdown(&mut self, now: u64, from: usize) {
        self.pipe.shutdown(at(now), side(from));
    }

    pub fn close(&mut self, now: u64, from: usize) {
        self.pipe.close(at(now), side(from));
    }

    pub fn abort(&mut self, now: u64, from: usize) {
        self.pipe.abort(at(now), side(from));
    }

    pub fn take_writable(&mut self, from: usize) -> bool {
        self.pipe.take_writable(side(from))
    }

    pub fn next_event(&self) -> Option<u64> {
        self.pipe.next_event().map(keepalive::Instant::as_micros)
    }

    pub fn arrive(&mut self, now: u64) {
        self.pipe.arrive(at(now));
    }
}
