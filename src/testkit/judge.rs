//! The judge: what a driver does with a connection and with its transport, held against the contract
//! between the two.
//!
//! It hears from both sides: every call on the connection, every read, write, close and sleep on the
//! transport. Most of what can be forgotten is found out when the driver goes to sleep: that is when
//! it believes that there is nothing left to do. The first breach is the breach; behind it nothing is
//! judged any more.

use super::rule::{Breach, Rule, word};
use super::text::escape;
use crate::action::{End, Io, Lost, Wants};
use crate::deadline::Deadline;
use crate::time::Instant;
use crate::{client, server};
use core::time::Duration;
use std::collections::VecDeque;
use std::format;
use std::prelude::v1::*;

/// Calls in which nothing moves, before it is called spinning.
const SPIN: u32 = 5_000;
/// Calls that are left to a driver after a breach.
const FEW: u32 = 500;
/// Steps that a breach tells.
const TOLD: usize = 24;
/// Octets kept to recognise those that are shown twice.
const KEPT: usize = 1 << 16;

/// A connection as it was after the last call.
#[derive(Clone, Debug)]
pub(super) enum Machine {
    Server(server::Connection),
    Client(client::Connection),
}

macro_rules! either {
    ($machine:expr, $m:ident => $call:expr) => {
        match $machine {
            Machine::Server($m) => $call,
            Machine::Client($m) => $call,
        }
    };
}

impl Machine {
    fn wants(&self) -> Wants {
        either!(self, m => m.wants())
    }

    fn deadline(&self) -> Option<Deadline> {
        either!(self, m => m.deadline())
    }

    /// Whether `receive` has more to say; tried on a copy.
    fn has_more(&self, now: Instant, unread: &[u8], room: usize) -> bool {
        let mut copy = self.clone();
        let (consumed, event) = either!(&mut copy, m => {
            let step = m.receive(now, unread, room);
            (step.consumed, step.event.is_some())
        });
        consumed > 0 || event || copy.wants() != self.wants()
    }

    /// Whether it may just be closed: a client that owes nothing and is owed nothing.
    fn may_leave(&self) -> bool {
        match self {
            Self::Server(_) => false,
            Self::Client(m) => m.outstanding() == 0 && m.untransmitted() == 0,
        }
    }
}

/// Octets that the machine has made.
#[derive(Clone, Debug)]
enum Piece {
    These(VecDeque<u8>),
    /// Content that the driver puts in itself, uncopied.
    Any(u64),
}

/// How a driver sleeps: what it waits for besides the time, and what is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Rest {
    /// It waits for bytes.
    pub read: bool,
    /// It waits for room to write.
    pub write: bool,
    /// Bytes, EOF or a failure can be read now.
    pub readable: bool,
    /// Output would be taken now.
    pub writable: bool,
}

/// Something that has to be told to the machine.
#[derive(Clone, Copy, Debug, Default)]
struct News {
    seen: bool,
    told: bool,
}

impl News {
    fn is_kept_back(self) -> bool {
        self.seen && !self.told
    }
}

#[derive(Debug)]
pub(super) struct Judge {
    pub(super) slack: Duration,
    pub(super) allowed: Vec<Rule>,
    /// Whether the transport tells what it does.
    attached: bool,
    pub(super) machine: Option<Machine>,
    /// Read and not consumed; so many of them were shown.
    arrived: Vec<u8>,
    shown: usize,
    /// The last that were consumed.
    last: Vec<u8>,
    room: usize,
    made: VecDeque<Piece>,
    written: u64,
    reported: u64,
    eof: News,
    loss: News,
    write_lost: bool,
    /// The last read that was tried.
    looked: Option<Instant>,
    shut: bool,
    lingers: bool,
    closed: bool,
    /// The connection left HTTP: nothing is judged any more.
    released: bool,
    calls: u32,
    steps: VecDeque<String>,
    pub(super) breach: Option<Breach>,
}

impl Judge {
    pub(super) fn new() -> Self {
        Self {
            slack: Duration::from_secs(1),
            allowed: Vec::new(),
            attached: false,
            machine: None,
            arrived: Vec::new(),
            shown: 0,
            last: Vec::new(),
            room: usize::MAX,
            made: VecDeque::new(),
            written: 0,
            reported: 0,
            eof: News::default(),
            loss: News::default(),
            write_lost: false,
            looked: None,
            shut: false,
            lingers: false,
            closed: false,
            released: false,
            calls: 0,
            steps: VecDeque::new(),
            breach: None,
        }
    }

    fn end(&self) -> Option<End> {
        self.machine.as_ref().and_then(|m| m.wants().end)
    }

    fn is_quiet(&self) -> bool {
        self.breach.is_some() || self.released || self.closed
    }

    fn breaks(&mut self, now: Instant, rule: Rule, detail: impl Into<String>) {
        if !self.is_quiet() && !self.allowed.contains(&rule) {
            let steps = self.steps.iter().cloned().collect();
            self.breach = Some(Breach { rule, at: now, detail: detail.into(), steps });
            self.calls = self.calls.max(SPIN - FEW);
        }
    }

    /// Notes what the driver did.
    pub(super) fn step(&mut self, now: Instant, what: impl FnOnce() -> String) {
        if self.breach.is_none() {
            if self.steps.len() == TOLD {
                self.steps.pop_front();
            }
            let at = Duration::from_micros(now.as_micros());
            self.steps.push_back(format!("{at:?} {}", what()));
        }
    }

    /// One call more in which nothing moved, as far as is known. After a breach nothing moves: so a
    /// driver that takes no notice that its streams have failed ends all the same.
    pub(super) fn count(&mut self, now: Instant) {
        self.calls += 1;
        if self.calls > SPIN {
            self.breaks(now, Rule::Spinning, format!("{SPIN} calls and no change"));
        }
        assert!(self.calls <= SPIN, "the driver goes round and round");
    }

    fn moved(&mut self) {
        if self.breach.is_none() {
            self.calls = 0;
        }
    }

    // ---- the transport ----

    pub(super) fn reads(&mut self, now: Instant, space: usize, read: Io, octets: &[u8]) {
        self.attached = true;
        self.count(now);
        self.leave_http();
        if self.is_quiet() {
            return;
        }
        self.looked = Some(now);
        if space == 0 {
            self.step(now, || "read into nothing".into());
            return self.breaks(now, Rule::EmptyRead, "which says nothing, and looks like EOF");
        }
        match read {
            Io::Done(0) => {
                self.step(now, || "read EOF".into());
                self.eof.seen = true;
            }
            Io::Done(n) => {
                self.moved();
                self.step(now, || format!("read {n}"));
                self.arrived.extend(octets.get(..n).unwrap_or(octets));
            }
            Io::Nothing => {}
            Io::Lost(how) => {
                self.step(now, || format!("read failed: {}", word(how)));
                self.loss.seen = true;
            }
        }
    }

    pub(super) fn writes(&mut self, now: Instant, offered: &[u8], write: Io) {
        self.attached = true;
        self.count(now);
        self.leave_http();
        if self.is_quiet() || offered.is_empty() {
            return;
        }
        let over = match self.end() {
            _ if self.shut => Some("the sending side is closed".to_owned()),
            _ if self.write_lost && self.loss.told => Some("an earlier write failed".to_owned()),
            Some(end) => Some(format!("wants().end is {end:?}")),
            None => None,
        };
        if let Some(why) = over {
            self.step(now, || format!("write of {}", offered.len()));
            return self.breaks(now, Rule::WriteAfterEnd, why);
        }
        match write {
            Io::Done(n) => {
                let taken = offered.get(..n).unwrap_or(offered);
                self.step(now, || format!("wrote {n} of {}", offered.len()));
                self.moved();
                self.written += taken.len() as u64;
                self.match_made(now, taken);
            }
            Io::Nothing => {}
            Io::Lost(how) => {
                self.step(now, || format!("write failed: {}", word(how)));
                self.loss.seen = true;
                self.write_lost = true;
                self.made.clear();
            }
        }
    }

    /// Holds what was written against what was made.
    fn match_made(&mut self, now: Instant, mut taken: &[u8]) {
        if self.machine.is_none() {
            return;
        }
        while !taken.is_empty() {
            let n = match self.made.front_mut() {
                Some(Piece::Any(left)) => {
                    let n = taken.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                    *left -= n as u64;
                    n
                }
                Some(Piece::These(octets)) => {
                    let n = taken.len().min(octets.len());
                    let same = octets.drain(..n).eq(taken.iter().take(n).copied());
                    if !same {
                        let what = format!("not what was made: {}", escape(taken));
                        return self.breaks(now, Rule::OutputChanged, what);
                    }
                    n
                }
                None => {
                    let what = format!("the machine made nothing like it: {}", escape(taken));
                    return self.breaks(now, Rule::OutputChanged, what);
                }
            };
            taken = taken.get(n..).unwrap_or_default();
            let done = match self.made.front() {
                Some(Piece::Any(left)) => *left == 0,
                Some(Piece::These(octets)) => octets.is_empty(),
                None => false,
            };
            if done {
                self.made.pop_front();
            }
        }
    }

    pub(super) fn shuts(&mut self, now: Instant) {
        self.count(now);
        self.leave_http();
        self.step(now, || "closed the sending side".into());
        if self.end() != Some(End::ShutdownWrite)
            && let Some(Machine::Server(_)) = self.machine
        {
            let what = format!("wants().end is {:?}", self.end());
            self.breaks(now, Rule::ClosedUnasked, what);
        }
        self.shut = true;
    }

    pub(super) fn closes(&mut self, now: Instant) {
        self.leave_http();
        self.step(now, || "closed".into());
        let Some(may_leave) = self.machine.as_ref().map(Machine::may_leave) else {
            self.closed = true;
            return;
        };
        match self.end() {
            Some(End::Close(_) | End::Abort(_) | End::Tunnel) => {}
            _ if self.keeps_back(now) => {}
            None if may_leave => {}
            None => self.breaks(now, Rule::ClosedUnasked, "wants().end is None"),
            Some(End::ShutdownWrite) if self.shut => {
                self.breaks(now, Rule::WriteClosedNotReported, "and the connection was closed");
            }
            Some(End::ShutdownWrite) => {
                let what = "closed at once: what was sent last may be lost to a reset";
                self.breaks(now, Rule::EndNotDone, what);
            }
        }
        self.closed = true;
    }

    /// Whether the machine has not heard of something. It is a breach.
    fn keeps_back(&mut self, now: Instant) -> bool {
        if self.loss.is_kept_back() {
            self.breaks(now, Rule::LossNotReported, "the transport is gone");
        } else if self.eof.is_kept_back() {
            self.breaks(now, Rule::EofNotReported, "the peer sends no more");
        } else if self.written > self.reported && !self.write_lost {
            let what = format!("{} written, {} reported", self.written, self.reported);
            self.breaks(now, Rule::TransmittedNotReported, what);
        }
        self.breach.is_some()
    }

    /// Once it is the application's, the connection is of no concern.
    fn leave_http(&mut self) {
        self.released |= self.end() == Some(End::Tunnel);
    }

    // ---- sleep ----

    /// The driver believes that nothing is left to do.
    pub(super) fn rests(&mut self, now: Instant, rest: &Rest) {
        self.count(now);
        self.leave_http();
        if self.is_quiet() {
            return;
        }
        let Some(machine) = &self.machine else { return };
        let wants = machine.wants();
        let shown = self.arrived.get(..self.shown).unwrap_or(&self.arrived);
        let more = machine.has_more(now, shown, self.room);
        let withheld = self.arrived.len() - shown.len();
        let lingers = self.lingers;
        let read_on = if lingers { Rule::LingerNotRead } else { Rule::ReadNotDone };
        let keep = if lingers { Rule::LingerNotRead } else { Rule::BytesWithheld };
        if self.keeps_back(now) {
            return;
        }
        if withheld > 0 && self.room > 0 {
            self.breaks(now, keep, format!("{withheld} octets were read and never shown"));
        }
        if more {
            let what = format!("with {} octets unread and room {}", self.shown, self.room);
            self.breaks(now, Rule::ReceiveNotLooped, what);
        }
        if wants.emit && self.made.is_empty() {
            self.breaks(now, Rule::EmitForgotten, "and no output is in the way");
        }
        match wants.end {
            Some(End::ShutdownWrite) if self.shut => {
                self.breaks(now, Rule::WriteClosedNotReported, "lingering cannot begin");
            }
            Some(end) => self.breaks(now, Rule::EndNotDone, format!("{end:?} is to be done")),
            None => {}
        }
        if !self.made.is_empty() && rest.writable && !rest.write {
            self.breaks(now, Rule::OutputNotWritten, "and it waits for something else");
        }
        let reads = rest.read || rest.write || self.room == 0 || self.eof.seen || self.loss.seen;
        if wants.read && rest.readable && !reads {
            self.breaks(now, read_on, "and it waits for the time only");
        }
    }

    /// How long it slept; `None`: it would have slept for ever.
    pub(super) fn wakes(&mut self, now: Instant, wake: Option<Instant>) {
        self.moved();
        if self.is_quiet() {
            return;
        }
        let deadline = self.machine.as_ref().and_then(Machine::deadline);
        match (deadline, wake) {
            (Some(d), Some(wake)) if wake > d.at + self.slack => {
                let late = wake.since(d.at);
                let what = format!("{} was due, and nobody looked for {late:?}", d.timer.name());
                self.breaks(now, Rule::DeadlineIgnored, what);
            }
            (Some(d), None) => {
                let what = format!("{} is to come, and the wait has no end", d.timer.name());
                self.breaks(now, Rule::DeadlineIgnored, what);
            }
            (None, None) => {
                let wants = self.machine.as_ref().map(Machine::wants);
                self.breaks(now, Rule::Stuck, format!("the machine says: {wants:?}"));
            }
            _ => {}
        }
        if let Some(wake) = wake.filter(|wake| *wake > now) {
            let long = wake.since(now);
            self.step(wake, || format!("woke after {long:?}"));
        }
    }

    // ---- the connection ----

    /// Before `receive` or `checkout`.
    pub(super) fn shows(&mut self, now: Instant, unread: &[u8], room: usize) {
        self.count(now);
        self.room = room;
        if self.is_quiet() {
            return;
        }
        let ahead = if self.attached { self.arrived.len() } else { usize::MAX };
        let known = unread.len().min(self.arrived.len());
        let same = self.arrived.get(..known) == unread.get(..known);
        if !same || unread.len() < self.shown || unread.len() > ahead {
            self.step(now, || format!("showed {}", escape(unread)));
            // All of what was consumed last, or the end of it: `consumed` was not applied in full.
            let twice = (1..=self.last.len().min(unread.len())).rev().any(|n| {
                let (again, rest) = unread.split_at(n);
                self.last.ends_with(again) && self.arrived.starts_with(rest)
            });
            let wanted = escape(self.arrived.get(..self.arrived.len().min(80)).unwrap_or_default());
            let rule = if twice { Rule::ConsumedAgain } else { Rule::UnconsumedChanged };
            let what = format!("shown were {} octets, and expected: {wanted}", unread.len());
            self.breaks(now, rule, what);
        }
        if !self.attached {
            self.arrived = unread.to_vec();
        }
        self.shown = unread.len();
    }

    /// After it.
    pub(super) fn consumed(&mut self, now: Instant, n: usize, what: Option<&'static str>) {
        if n > 0 || what.is_some() {
            self.step(now, || format!("receive: consumed {n}, {}", what.unwrap_or("no event")));
        }
        let n = n.min(self.arrived.len());
        if n > 0 {
            self.moved();
            self.last = self.arrived.drain(..n).collect();
            let spare = self.last.len().saturating_sub(KEPT);
            self.last.drain(..spare);
        }
        self.shown = self.shown.saturating_sub(n);
    }

    pub(super) fn makes(&mut self, octets: &[u8]) {
        if !octets.is_empty() && !self.write_lost {
            self.moved();
            self.made.push_back(Piece::These(octets.iter().copied().collect()));
        }
    }

    /// Octets of content went past the machine.
    pub(super) fn bypasses(&mut self, n: u64) {
        let n = usize::try_from(n).unwrap_or(usize::MAX).min(self.arrived.len());
        self.arrived.drain(..n);
        self.moved();
    }

    /// Content comes here that the driver puts in itself.
    pub(super) fn leaves_room(&mut self, octets: u64) {
        if octets > 0 && !self.write_lost {
            self.made.push_back(Piece::Any(octets));
        }
    }

    pub(super) fn transmitted(&mut self, now: Instant, n: u64) {
        self.count(now);
        self.reported = self.reported.saturating_add(n);
        if self.attached && self.reported > self.written {
            let what = format!("{} written, {} reported", self.written, self.reported);
            self.breaks(now, Rule::TransmittedInvented, what);
        }
    }

    pub(super) fn hears_eof(&mut self, now: Instant) {
        self.count(now);
        self.eof.told = true;
        self.step(now, || "received_eof".into());
        if self.attached && !self.eof.seen {
            self.breaks(now, Rule::EofInvented, "nothing like it was read");
        }
    }

    pub(super) fn hears_loss(&mut self, now: Instant, how: Lost) {
        self.count(now);
        self.step(now, || format!("lost: {}", word(how)));
        if how == Lost::Truncated && !self.loss.seen {
            return self.hears_eof(now);
        }
        self.loss.told = true;
        // What TLS makes of the octets is not for us to know.
        if self.attached && !self.loss.seen && how != Lost::Tls {
            self.breaks(now, Rule::LossInvented, "the transport is in order");
        }
    }

    pub(super) fn hears_write_closed(&mut self, now: Instant) {
        self.count(now);
        self.step(now, || "write_closed".into());
        if self.end() == Some(End::ShutdownWrite) {
            self.lingers = true;
            if self.attached && !self.shut {
                let what = "write_closed was called, and the sending side is open";
                self.breaks(now, Rule::EndNotDone, what);
            }
        }
    }

    pub(super) fn checks_out(&mut self, now: Instant, read: Io) {
        if !self.attached {
            return;
        }
        let looked = match read {
            Io::Done(0) => self.eof.seen,
            Io::Lost(_) => self.loss.seen,
            Io::Done(_) | Io::Nothing => self.looked == Some(now),
        };
        if let Io::Done(0) = read {
            self.eof.told = true;
        }
        if let Io::Lost(_) = read {
            self.loss.told = true;
        }
        if !looked {
            let what = format!("{read:?} was reported, and the last read was not now");
            self.breaks(now, Rule::CheckoutWithoutLook, what);
        }
    }
}
