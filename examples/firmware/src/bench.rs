//! The bench: device and tester on one wire, and a clock that jumps when nothing moves.

use crate::device::{self, Device};
use crate::port::{Cuts, End as Port, Pipe};
use crate::sessions::Session;
use crate::tester::{self, Fault, Tester};
use core::time::Duration;
use keepalive::{CloseReason, End, Instant};

/// All the memory there is: with two values of 192 octets, everything that the exchanges need.
pub struct Memory {
    device_receive: [u8; device::RECEIVE],
    device_transmit: [u8; device::TRANSMIT],
    tester_receive: [u8; tester::RECEIVE],
    tester_transmit: [u8; tester::TRANSMIT],
    up: [u8; WIRE],
    down: [u8; WIRE],
}

/// Octets that the wire holds in each direction: a small queue, as a UART has.
const WIRE: usize = 128;

impl Memory {
    /// Nothing in it.
    pub const EMPTY: Self = Self {
        device_receive: [0; device::RECEIVE],
        device_transmit: [0; device::TRANSMIT],
        tester_receive: [0; tester::RECEIVE],
        tester_transmit: [0; tester::TRANSMIT],
        up: [0; WIRE],
        down: [0; WIRE],
    };
}

/// What was done and found right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Exchanges.
    pub exchanges: u32,
    /// Octets on the wire, both ways.
    pub octets: u32,
}

impl Tally {
    /// Both together.
    #[must_use]
    pub fn plus(self, more: Self) -> Self {
        Self { exchanges: self.exchanges + more.exchanges, octets: self.octets + more.octets }
    }
}

/// How long a turn takes, on the clock of the bench.
const TURN: Duration = Duration::from_micros(100);
/// So many turns in which nothing moves: then nothing will, before a deadline is due.
const QUIET: u32 = 4;
/// More turns than any session needs, by far.
const TURNS: u32 = 1_000_000;

/// Plays a session to its end.
///
/// # Errors
/// What was not as it has to be.
pub fn play(session: &Session, cuts: Cuts, memory: &mut Memory) -> Result<Tally, Fault> {
    let mut now = Instant::default();
    let mut up = Pipe::new(&mut memory.up, cuts);
    let mut down = Pipe::new(&mut memory.down, cuts);
    let mut device = Device::new(now, &mut memory.device_receive, &mut memory.device_transmit);
    let mut tester = Tester::new(
        &tester::CONFIG.pipeline(true),
        session.http10,
        session.script,
        now,
        &mut memory.tester_receive,
        &mut memory.tester_transmit,
    );
    let (mut device_end, mut tester_end) = (None, None);
    let (mut moved, mut quiet) = (0, 0);
    for _ in 0..TURNS {
        now = now + TURN;
        let deaf = session.silent && tester.is_done() && device_end.is_none();
        if tester_end.is_none() && !deaf {
            let mut port = Port { input: &mut down, output: &mut up };
            tester_end = tester.turn(now, &mut port)?;
            tester.http().check_invariants();
        }
        if device_end.is_none() {
            let mut port = Port { input: &mut up, output: &mut down };
            device_end = device.turn(now, &mut port);
            device.http().check_invariants();
        }
        if device_end.is_some() && tester_end.is_some() {
            ended_by(device_end, session.device)?;
            ended_by(tester_end, session.client)?;
            if !tester.is_done() {
                return Err(Fault::Ended(tester_end));
            }
            let exchanges = tester.answered() as u32;
            return Ok(Tally { exchanges, octets: up.out + down.out });
        }
        let so_far = up.into + up.out + down.into + down.out;
        quiet = if so_far == moved { quiet + 1 } else { 0 };
        moved = so_far;
        if quiet >= QUIET {
            // A device would sleep here, with a timer set to the earliest deadline.
            let heard = (tester_end.is_none() && !deaf).then(|| tester.http().deadline()).flatten();
            let both = [device.http().deadline(), heard];
            let next = both.into_iter().flatten().map(|deadline| deadline.at).min();
            now = now.max(next.ok_or(Fault::Stuck)?);
            quiet = 0;
        }
    }
    Err(Fault::Stuck)
}

/// Whether an end of the connection closed in order, and for this reason.
fn ended_by(end: Option<End>, reason: CloseReason) -> Result<(), Fault> {
    if end == Some(End::Close(reason)) { Ok(()) } else { Err(Fault::Ended(end)) }
}

/// Plays all sessions: once whole, and in so many different kinds of pieces.
///
/// # Errors
/// The session that failed, how the octets were cut, and what was wrong.
pub fn play_all(
    sessions: &'static [Session],
    ragged: u32,
    memory: &mut Memory,
) -> Result<Tally, (&'static Session, Cuts, Fault)> {
    let mut all = Tally::default();
    let seeds = (1..=ragged).map(|n| Cuts::Ragged(n.wrapping_mul(0x9e37_79b9)));
    for cuts in core::iter::once(Cuts::Whole).chain(seeds) {
        for session in sessions {
            let tally = play(session, cuts, memory).map_err(|fault| (session, cuts, fault))?;
            all = all.plus(tally);
        }
    }
    Ok(all)
}
