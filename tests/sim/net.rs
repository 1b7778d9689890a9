//! A network that does what networks do: it delays, stalls, cuts, half-closes and resets, loses what
//! was undelivered when it resets, and duplicates nothing.
//!
//! A link is a TCP connection as its two ends see it. Side 0 made it, side 1 accepted it.

use super::rng::Rng;
use std::collections::VecDeque;

#[derive(Clone, Debug)]
enum Segment {
    Data(Vec<u8>),
    Fin,
    Rst,
}

/// What a link does to those who use it.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    None,
    /// Both ends are reset at this time.
    Reset(u64),
    /// From this time on nothing arrives any more.
    Silence(u64),
    /// Between these times nothing arrives; afterwards all of it.
    Stall(u64, u64),
    /// What this side sends ends cleanly behind so many octets, as by a middlebox that gave up.
    Cut(usize, usize),
}

/// What is on its way to a side, and what has arrived there.
#[derive(Clone, Debug, Default)]
struct Way {
    flight: VecDeque<(u64, Segment)>,
    arrived: Vec<u8>,
    fin: bool,
    /// Arrival of the last segment: nothing overtakes it.
    last: u64,
    in_flight: usize,
    sent: usize,
    cut: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Side {
    closed: bool,
    shut: bool,
    reset: bool,
    blocked: bool,
}

#[derive(Clone, Debug)]
pub struct Link {
    /// To side 0, to side 1.
    to: [Way; 2],
    side: [Side; 2],
    delay: u64,
    jitter: u64,
    window: usize,
    pub fault: Fault,
    rng: Rng,
}

#[derive(Debug)]
pub enum Got {
    Octets,
    Nothing,
    Eof,
    Reset,
}

#[derive(Debug)]
pub enum Put {
    Octets(usize),
    Full,
    Broken,
}

impl Link {
    pub fn new(delay: u64, jitter: u64, window: usize, fault: Fault, rng: Rng) -> Self {
        Self { to: Default::default(), side: Default::default(), delay, jitter, window, fault, rng }
    }

    fn arrival(&mut self, now: u64, to: usize) -> u64 {
        let jitter = if self.jitter == 0 { 0 } else { self.rng.below(self.jitter) };
        let mut at = (now + self.delay + jitter).max(self.to[to].last);
        if let Fault::Stall(from, until) = self.fault
            && (from..until).contains(&at)
        {
            at = until;
        }
        self.to[to].last = at;
        at
    }

    fn launch(&mut self, now: u64, to: usize, segment: Segment) {
        if !self.to[to].cut {
            let at = self.arrival(now, to);
            self.to[to].flight.push_back((at, segment));
        }
    }

    pub fn write(&mut self, now: u64, side: usize, octets: &[u8]) -> Put {
        let me = self.side[side];
        if me.reset || me.shut || me.closed {
            return Put::Broken;
        }
        let to = 1 - side;
        let way = &mut self.to[to];
        let room = self.window.saturating_sub(way.in_flight + way.arrived.len());
        let mut n = room.min(octets.len());
        if n == 0 {
            self.side[side].blocked = true;
            return Put::Full;
        }
        if let Fault::Cut(who, behind) = self.fault
            && who == side
            && !way.cut
            && way.sent + n > behind
        {
            n = behind.saturating_sub(way.sent);
            way.sent += n;
            way.in_flight += n;
            if n > 0 {
                self.launch(now, to, Segment::Data(octets[..n].to_vec()));
            }
            self.launch(now, to, Segment::Fin);
            self.to[to].cut = true;
            return Put::Octets(octets.len().min(room));
        }
        if !way.cut {
            way.sent += n;
            way.in_flight += n;
            self.launch(now, to, Segment::Data(octets[..n].to_vec()));
        }
        Put::Octets(n)
    }

    /// Appends what has arrived, `max` octets at most.
    pub fn read(&mut self, side: usize, max: usize, into: &mut Vec<u8>) -> Got {
        if self.side[side].reset {
            return Got::Reset;
        }
        let way = &mut self.to[side];
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

    pub fn shutdown(&mut self, now: u64, side: usize) {
        if !self.side[side].shut && !self.side[side].reset {
            self.launch(now, 1 - side, Segment::Fin);
        }
        self.side[side].shut = true;
    }

    /// With octets unread it is a reset, as TCP has it.
    pub fn close(&mut self, now: u64, side: usize) {
        if self.side[side].closed {
            return;
        }
        if !self.to[side].arrived.is_empty() {
            return self.abort(now, side);
        }
        self.shutdown(now, side);
        self.side[side].closed = true;
    }

    pub fn abort(&mut self, now: u64, side: usize) {
        if self.side[side].closed {
            return;
        }
        self.side[side].closed = true;
        self.side[side].shut = true;
        self.to[side].arrived.clear();
        if !self.side[side].reset {
            self.launch(now, 1 - side, Segment::Rst);
        }
    }

    /// Whether a side can write again that could not.
    pub fn take_writable(&mut self, side: usize) -> bool {
        let way = &self.to[1 - side];
        let room = way.in_flight + way.arrived.len() < self.window;
        room && std::mem::take(&mut self.side[side].blocked)
    }

    /// When something happens here by itself.
    pub fn next_event(&self) -> Option<u64> {
        let arrivals = self.to.iter().filter_map(|w| w.flight.front().map(|(at, _)| *at));
        let arrivals = arrivals.min();
        match self.fault {
            Fault::Silence(from) => arrivals.filter(|at| *at < from),
            Fault::Reset(at) => Some(arrivals.map_or(at, |a| a.min(at))),
            _ => arrivals,
        }
    }

    /// Lets arrive what is due.
    pub fn arrive(&mut self, now: u64) {
        if let Fault::Reset(at) = self.fault
            && at <= now
        {
            self.fault = Fault::None;
            for side in 0..2 {
                self.reset(side);
            }
        }
        for to in 0..2 {
            loop {
                let Some((at, _)) = self.to[to].flight.front() else { break };
                let lost = matches!(self.fault, Fault::Silence(from) if *at >= from);
                if *at > now || lost {
                    break;
                }
                let Some((_, segment)) = self.to[to].flight.pop_front() else { break };
                let me = self.side[to];
                match segment {
                    Segment::Data(octets) => {
                        self.to[to].in_flight -= octets.len();
                        if me.closed && !me.reset {
                            // Nobody is there to read it.
                            self.side[to].reset = true;
                            self.launch(now, 1 - to, Segment::Rst);
                        } else if !me.reset {
                            self.to[to].arrived.extend(octets);
                        }
                    }
                    Segment::Fin => self.to[to].fin = true,
                    Segment::Rst => self.reset(to),
                }
            }
        }
    }

    fn reset(&mut self, side: usize) {
        self.side[side].reset = true;
        self.to[side].arrived.clear();
        self.to[side].flight.clear();
        self.to[side].in_flight = 0;
    }

    /// Whether nobody can tell any more that it existed.
    pub fn is_over(&self) -> bool {
        self.side.iter().all(|s| s.closed)
    }
}
