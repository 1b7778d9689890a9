//! A network that does what networks do: it delays, cuts, stalls, half-closes and resets, loses what
//! was undelivered when it resets, and duplicates nothing.

use super::chance::{Rng, Source};
use crate::time::Instant;
use core::time::Duration;
use std::collections::VecDeque;
use std::prelude::v1::*;

/// An end of a [`Pipe`]: who made the connection, and who accepted it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// It made the connection.
    Client,
    /// It accepted it.
    Server,
}

impl Side {
    /// The end that this one talks to.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

/// What a pipe does to those who use it. At most one thing, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Nothing.
    None,
    /// Both ends are reset at this moment.
    Reset(Instant),
    /// From this moment on nothing arrives any more, and nobody is told.
    Silence(Instant),
    /// Between these moments nothing arrives; afterwards all of it.
    Stall(Instant, Instant),
    /// What this side sends ends behind so many octets, and cleanly: as by a middlebox that gave up.
    Cut(Side, usize),
}

/// What a pipe is like.
///
/// ```
/// use keepalive::testkit::{Source, Weather};
/// let weather = Weather::draw(&mut Source::seeded(7));
/// assert_eq!(weather, Weather::draw(&mut Source::seeded(7)));
/// assert!(!Weather::calm().is_faulty());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weather {
    /// How long everything takes.
    pub delay: Duration,
    /// How much longer it may take.
    pub jitter: Duration,
    /// Octets that are under way or unread, in each direction; beyond it a write must wait.
    pub window: usize,
    /// Most octets that one read or write moves.
    pub cut: usize,
    /// How many reads and writes in a thousand are interrupted (`ErrorKind::Interrupted`).
    pub interrupts: u16,
    /// What goes wrong.
    pub fault: Fault,
}

impl Weather {
    /// Nothing takes time, nothing is cut, nothing goes wrong.
    #[must_use]
    pub const fn calm() -> Self {
        Self {
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            window: 1 << 16,
            cut: usize::MAX,
            interrupts: 0,
            fault: Fault::None,
        }
    }

    /// Any weather: from calm (all decisions zero) to foul.
    pub fn draw(source: &mut Source<'_>) -> Self {
        let micros = Duration::from_micros;
        Self {
            delay: micros(source.pick(&[0, 0, 100, 1_000, 20_000, 60_000])),
            jitter: micros(source.pick(&[0, 0, 50, 5_000, 40_000])),
            window: source.pick(&[1 << 16, 1 << 16, 1 << 16, 4096, 700, 90]),
            cut: source.pick(&[usize::MAX, usize::MAX, usize::MAX, 600, 40, 7, 1]),
            interrupts: source.pick(&[0, 0, 0, 50]),
            fault: Self::fault(source),
        }
    }

    fn fault(source: &mut Source<'_>) -> Fault {
        const SECOND: u64 = 1_000_000;
        if !source.chance(100) {
            return Fault::None;
        }
        let span = source.pick(&[SECOND / 5, 10 * SECOND, 200 * SECOND]);
        let soon = Instant::from_micros(SECOND + source.up_to(span));
        match source.below(5) {
            0 => Fault::Reset(soon),
            1 => Fault::Silence(soon),
            2 => Fault::Stall(soon, soon + Duration::from_micros(source.up_to(200 * SECOND))),
            _ => {
                let side = source.pick(&[Side::Client, Side::Server]);
                Fault::Cut(side, source.up_to(2_000) as usize)
            }
        }
    }

    /// Whether something goes wrong, beyond taking its time.
    #[must_use]
    pub fn is_faulty(&self) -> bool {
        !matches!(self.fault, Fault::None | Fault::Stall(..))
    }
}

#[derive(Clone, Debug)]
enum Segment {
    Data(Vec<u8>),
    Fin,
    Rst,
}

/// What is on its way to a side, and what has arrived there.
#[derive(Clone, Debug, Default)]
struct Way {
    flight: VecDeque<(Instant, Segment)>,
    arrived: Vec<u8>,
    fin: bool,
    /// Arrival of the last segment: nothing overtakes it.
    last: Instant,
    in_flight: usize,
    sent: usize,
    cut: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct End {
    closed: bool,
    shut: bool,
    reset: bool,
    blocked: bool,
}

/// A pair, by side.
#[derive(Clone, Debug, Default)]
struct Both<T>(T, T);

impl<T> Both<T> {
    fn of(&self, side: Side) -> &T {
        match side {
            Side::Client => &self.0,
            Side::Server => &self.1,
        }
    }

    fn at(&mut self, side: Side) -> &mut T {
        match side {
            Side::Client => &mut self.0,
            Side::Server => &mut self.1,
        }
    }
}

/// A TCP connection as its two ends see it, in virtual time.
///
/// ```
/// use keepalive::{Instant, testkit::{Got, Pipe, Put, Rng, Side, Weather}};
/// use std::time::Duration;
/// let weather = Weather { delay: Duration::from_millis(5), ..Weather::calm() };
/// let mut pipe = Pipe::new(&weather, Rng::new(1));
/// let sent = Instant::from_millis(10);
/// assert_eq!(pipe.write(sent, Side::Client, b"hello"), Put::Octets(5));
///
/// let mut got = Vec::new();
/// assert_eq!(pipe.read(Side::Server, 99, &mut got), Got::Nothing);
/// let arrives = pipe.next_event().unwrap();
/// assert_eq!(arrives, Instant::from_millis(15));
/// pipe.arrive(arrives);
/// assert_eq!(pipe.read(Side::Server, 99, &mut got), Got::Octets);
/// assert_eq!(got, b"hello");
/// ```
#[derive(Clone, Debug)]
pub struct Pipe {
    to: Both<Way>,
    end: Both<End>,
    delay: Duration,
    jitter: Duration,
    window: usize,
    fault: Fault,
    rng: Rng,
}

/// What a read says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Got {
    /// Some octets were there.
    Octets,
    /// There is nothing yet.
    Nothing,
    /// The other side sends no more.
    Eof,
    /// The connection was reset.
    Reset,
}

/// What a write says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// So many octets were taken.
    Octets(usize),
    /// There is no room now.
    Full,
    /// This side cannot send any more.
    Broken,
}

impl Pipe {
    /// A pipe in this weather, with chances of its own.
    #[must_use]
    pub fn new(weather: &Weather, rng: Rng) -> Self {
        Self {
            to: Both::default(),
            end: Both::default(),
            delay: weather.delay,
            jitter: weather.jitter,
            window: weather.window,
            fault: weather.fault,
            rng,
        }
    }

    /// What goes wrong here, or still will.
    #[must_use]
    pub fn fault(&self) -> Fault {
        self.fault
    }

    fn arrival(&mut self, now: Instant, to: Side) -> Instant {
        let jitter = self.jitter.as_micros() as u64;
        let jitter = if jitter == 0 { 0 } else { self.rng.below(jitter) };
        let mut at = (now + self.delay + Duration::from_micros(jitter)).max(self.to.of(to).last);
        if let Fault::Stall(from, until) = self.fault
            && (from..until).contains(&at)
        {
            at = until;
        }
        self.to.at(to).last = at;
        at
    }

    fn launch(&mut self, now: Instant, to: Side, segment: Segment) {
        if !self.to.of(to).cut {
            let at = self.arrival(now, to);
            self.to.at(to).flight.push_back((at, segment));
        }
    }

    fn room(&self, side: Side) -> usize {
        let way = self.to.of(side.other());
        self.window.saturating_sub(way.in_flight + way.arrived.len())
    }

    /// This side sends.
    pub fn write(&mut self, now: Instant, side: Side, octets: &[u8]) -> Put {
        let me = *self.end.of(side);
        if me.reset || me.shut || me.closed {
            return Put::Broken;
        }
        let to = side.other();
        let taken = self.room(side).min(octets.len());
        if taken == 0 {
            self.end.at(side).blocked = true;
            return Put::Full;
        }
        let way = self.to.at(to);
        let mut passed = taken;
        let mut ends = false;
        if let Fault::Cut(who, behind) = self.fault
            && who == side
        {
            passed = if way.cut { 0 } else { taken.min(behind.saturating_sub(way.sent)) };
            ends = !way.cut && passed < taken;
        }
        way.sent += passed;
        way.in_flight += passed;
        if passed > 0 {
            let piece = octets.get(..passed).unwrap_or_default().to_vec();
            self.launch(now, to, Segment::Data(piece));
        }
        if ends {
            self.launch(now, to, Segment::Fin);
            self.to.at(to).cut = true;
        }
        Put::Octets(taken)
    }

    /// Appends what has arrived at this side, `max` octets at most.
    pub fn read(&mut self, side: Side, max: usize, into: &mut Vec<u8>) -> Got {
        if self.end.of(side).reset {
            return Got::Reset;
        }
        let way = self.to.at(side);
        let n = way.arrived.len().min(max);
        if n > 0 {
            into.extend(way.arrived.drain(..n));
            Got::Octets
        } else if way.fin && way.arrived.is_empty() {
            Got::Eof
        } else {
            Got::Nothing
        }
    }

    /// Whether this side was told that the connection is no more.
    #[must_use]
    pub fn is_reset(&self, side: Side) -> bool {
        self.end.of(side).reset
    }

    /// Whether a read would say something.
    #[must_use]
    pub fn readable(&self, side: Side) -> bool {
        let way = self.to.of(side);
        self.end.of(side).reset || way.fin || !way.arrived.is_empty()
    }

    /// Whether a write would say something.
    #[must_use]
    pub fn writable(&self, side: Side) -> bool {
        let me = self.end.of(side);
        me.reset || me.shut || me.closed || self.room(side) > 0
    }

    /// This side sends no more.
    pub fn shutdown(&mut self, now: Instant, side: Side) {
        let me = *self.end.of(side);
        if !me.shut && !me.reset {
            self.launch(now, side.other(), Segment::Fin);
        }
        self.end.at(side).shut = true;
    }

    /// This side closes. With octets unread it is a reset, as TCP has it.
    pub fn close(&mut self, now: Instant, side: Side) {
        if self.end.of(side).closed {
            return;
        }
        if !self.to.of(side).arrived.is_empty() {
            return self.abort(now, side);
        }
        self.shutdown(now, side);
        self.end.at(side).closed = true;
    }

    /// This side closes with a reset.
    pub fn abort(&mut self, now: Instant, side: Side) {
        let me = *self.end.of(side);
        if me.closed {
            return;
        }
        let end = self.end.at(side);
        end.closed = true;
        end.shut = true;
        self.to.at(side).arrived.clear();
        if !me.reset {
            self.launch(now, side.other(), Segment::Rst);
        }
    }

    /// Whether a side can write again that could not; it is told once.
    pub fn take_writable(&mut self, side: Side) -> bool {
        self.room(side) > 0 && std::mem::take(&mut self.end.at(side).blocked)
    }

    /// When something happens here by itself.
    #[must_use]
    pub fn next_event(&self) -> Option<Instant> {
        let first = |way: &Way| way.flight.front().map(|(at, _)| *at);
        let arrivals = [first(&self.to.0), first(&self.to.1)].into_iter().flatten().min();
        match self.fault {
            Fault::Silence(from) => arrivals.filter(|at| *at < from),
            Fault::Reset(at) => Some(arrivals.map_or(at, |a| a.min(at))),
            _ => arrivals,
        }
    }

    /// Lets arrive what is due. Returns whether anything did.
    pub fn arrive(&mut self, now: Instant) -> bool {
        let mut any = false;
        if let Fault::Reset(at) = self.fault
            && at <= now
        {
            self.fault = Fault::None;
            self.reset(Side::Client);
            self.reset(Side::Server);
            any = true;
        }
        for to in [Side::Client, Side::Server] {
            while let Some((at, _)) = self.to.of(to).flight.front() {
                let lost = matches!(self.fault, Fault::Silence(from) if *at >= from);
                if *at > now || lost {
                    break;
                }
                let Some((_, segment)) = self.to.at(to).flight.pop_front() else { break };
                any = true;
                let me = *self.end.of(to);
                match segment {
                    Segment::Data(octets) => {
                        self.to.at(to).in_flight -= octets.len();
                        if me.closed && !me.reset {
                            // Nobody is there to read it.
                            self.end.at(to).reset = true;
                            self.launch(now, to.other(), Segment::Rst);
                        } else if !me.reset {
                            self.to.at(to).arrived.extend(octets);
                        }
                    }
                    Segment::Fin => self.to.at(to).fin = true,
                    Segment::Rst => self.reset(to),
                }
            }
        }
        any
    }

    fn reset(&mut self, side: Side) {
        self.end.at(side).reset = true;
        let way = self.to.at(side);
        way.arrived.clear();
        way.flight.clear();
        way.in_flight = 0;
    }

    /// Whether both sides have closed.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.end.0.closed && self.end.1.closed
    }
}
