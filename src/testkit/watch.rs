//! The checker: what a driver does with a connection and with its transport, held against the
//! contract between the two.
//!
//! A [`Watch`] hears from both sides: the watched connections tell it every call, the kit's streams
//! every read, write, close and sleep. Most of what can be forgotten is found out when the driver
//! goes to sleep: that is when it believes that there is nothing left to do.

use super::rule::{Breach, Rule, word};
use super::text::escape;
use crate::action::{End, Io, Lost, Wants};
use crate::deadline::Deadline;
use crate::time::Instant;
use crate::{client, server};
use core::time::Duration;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::format;
use std::prelude::v1::*;
use std::sync::{Arc, Mutex, PoisonError};

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
struct Judge {
    slack: Duration,
    allowed: Vec<Rule>,
    /// Whether the transport tells what it does.
    attached: bool,
    machine: Option<Machine>,
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
    breach: Option<Breach>,
}

impl Judge {
    fn new() -> Self {
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
    fn step(&mut self, now: Instant, what: impl FnOnce() -> String) {
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
    fn count(&mut self, now: Instant) {
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

    fn reads(&mut self, now: Instant, space: usize, read: Io, octets: &[u8]) {
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

    fn writes(&mut self, now: Instant, offered: &[u8], write: Io) {
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

    fn shuts(&mut self, now: Instant) {
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

    fn closes(&mut self, now: Instant) {
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
    fn rests(&mut self, now: Instant, rest: &Rest) {
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
    fn wakes(&mut self, now: Instant, wake: Option<Instant>) {
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
    fn shows(&mut self, now: Instant, unread: &[u8]) {
        self.count(now);
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
    fn consumed(&mut self, now: Instant, n: usize, what: Option<&'static str>) {
        if n > 0 || what.is_some() {
            self.moved();
            self.step(now, || format!("receive: consumed {n}, {}", what.unwrap_or("no event")));
        }
        let n = n.min(self.arrived.len());
        if n > 0 {
            self.last = self.arrived.drain(..n).collect();
            let spare = self.last.len().saturating_sub(KEPT);
            self.last.drain(..spare);
        }
        self.shown = self.shown.saturating_sub(n);
    }

    fn makes(&mut self, octets: &[u8]) {
        if !octets.is_empty() && !self.write_lost {
            self.moved();
            self.made.push_back(Piece::These(octets.iter().copied().collect()));
        }
    }

    fn transmitted(&mut self, now: Instant, n: u64) {
        self.count(now);
        self.reported = self.reported.saturating_add(n);
        if self.attached && self.reported > self.written {
            let what = format!("{} written, {} reported", self.written, self.reported);
            self.breaks(now, Rule::TransmittedInvented, what);
        }
    }

    fn hears_eof(&mut self, now: Instant) {
        self.count(now);
        self.eof.told = true;
        self.step(now, || "received_eof".into());
        if self.attached && !self.eof.seen {
            self.breaks(now, Rule::EofInvented, "nothing like it was read");
        }
    }

    fn hears_loss(&mut self, now: Instant, how: Lost) {
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

    fn hears_write_closed(&mut self, now: Instant) {
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

    fn checks_out(&mut self, now: Instant, read: Io) {
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

/// Watches one connection and its transport. Its copies are the same watch.
///
/// Streams of a [`Net`](super::Net) have one each; the connections that are made for them tell it
/// every call. For a transport of one's own, make a watch, tell it what the transport does, and
/// give it to [`server::Connection::watched`](super::server::Connection::watched):
///
/// ```
/// use keepalive::testkit::{Rest, Rule, Watch, server::Connection};
/// use keepalive::{Instant, Io, server::Config};
/// let (now, watch) = (Instant::from_millis(1), Watch::new());
/// let mut conn = Connection::watched(Config::origin(), now, &watch);
///
/// let bytes = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nmore";
/// watch.read(now, 100, Io::Done(bytes.len()), bytes);
/// let step = conn.receive(now, bytes, usize::MAX);
/// assert!(step.event.is_some() && step.consumed > 0);
/// assert_eq!(watch.broken(), None);
/// // A driver that does not apply `consumed` shows the same again.
/// conn.receive(now, bytes, usize::MAX);
/// assert_eq!(watch.broken(), Some(Rule::ConsumedAgain));
/// ```
#[derive(Clone, Debug)]
pub struct Watch(Arc<Mutex<Judge>>);

std::thread_local! {
    /// The watches of streams that no connection was made for yet.
    static OFFERED: RefCell<Vec<Watch>> = const { RefCell::new(Vec::new()) };
}

impl Watch {
    /// A watch that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(Judge::new())))
    }

    fn with<T>(&self, f: impl FnOnce(&mut Judge) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// How late a deadline may be noticed. Default 1 s: no timer wheel in use is coarser.
    pub fn slack(&self, slack: Duration) {
        self.with(|j| j.slack = slack);
    }

    /// Lets this rule be broken: for a driver that has reasons.
    pub fn allow(&self, rule: Rule) {
        self.with(|j| j.allowed.push(rule));
    }

    /// The rule that was broken first, if one was. Behind it nothing is judged.
    #[must_use]
    pub fn broken(&self) -> Option<Rule> {
        self.with(|j| j.breach.as_ref().map(|b| b.rule))
    }

    /// The same, and what led to it.
    #[must_use]
    pub fn breach(&self) -> Option<Breach> {
        self.with(|j| j.breach.clone())
    }

    // ---- the transport tells ----

    /// A read with so much space said this, and brought these octets.
    pub fn read(&self, now: Instant, space: usize, read: Io, octets: &[u8]) {
        self.with(|j| j.reads(now, space, read, octets));
    }

    /// A write of these octets said this.
    pub fn write(&self, now: Instant, offered: &[u8], write: Io) {
        self.with(|j| j.writes(now, offered, write));
    }

    /// The sending side was closed.
    pub fn shutdown(&self, now: Instant) {
        self.with(|j| j.shuts(now));
    }

    /// The connection was closed, orderly or with a reset.
    pub fn close(&self, now: Instant) {
        self.with(|j| j.closes(now));
    }

    /// The driver goes to sleep.
    pub fn sleep(&self, now: Instant, rest: &Rest) {
        self.with(|j| j.rests(now, rest));
    }

    /// It went to sleep at `now`, and wakes at `wake`; `None`: never.
    pub fn wake(&self, now: Instant, wake: Option<Instant>) {
        self.with(|j| j.wakes(now, wake));
    }

    // ---- the connection tells ----

    /// Offers this watch to the next connection that is made on this thread.
    pub(super) fn offer(&self) {
        OFFERED.with_borrow_mut(|all| all.push(self.clone()));
    }

    /// Takes it back.
    pub(super) fn withdraw(&self) {
        OFFERED.with_borrow_mut(|all| all.retain(|w| !Arc::ptr_eq(&w.0, &self.0)));
    }

    /// The watch of the newest stream on this thread that has no connection yet, or a fresh one.
    pub(super) fn claim() -> Self {
        OFFERED.with_borrow_mut(Vec::pop).unwrap_or_default()
    }

    pub(super) fn snapshot(&self, machine: Machine) {
        self.with(|j| j.machine = Some(machine));
    }

    pub(super) fn shows(&self, now: Instant, unread: &[u8], room: usize) {
        self.with(|j| {
            j.shows(now, unread);
            j.room = room;
        });
    }

    pub(super) fn consumed(&self, now: Instant, n: usize, what: Option<&'static str>) {
        self.with(|j| j.consumed(now, n, what));
    }

    /// Octets of content went past the machine.
    pub(super) fn bypassed(&self, n: u64) {
        let n = usize::try_from(n).unwrap_or(usize::MAX);
        self.with(|j| {
            let n = n.min(j.arrived.len());
            j.arrived.drain(..n);
            j.moved();
        });
    }

    pub(super) fn calls(&self, now: Instant, what: &'static str, made: Option<&[u8]>) {
        self.with(|j| {
            j.count(now);
            let n = made.map_or(0, <[u8]>::len);
            if n > 0 {
                j.step(now, || format!("{what}: {n}"));
            } else if made.is_none() {
                j.step(now, || what.to_owned());
            }
            j.makes(made.unwrap_or_default());
        });
    }

    pub(super) fn frames(&self, now: Instant, prefix: &[u8], content: u64, suffix: &[u8]) {
        self.with(|j| {
            j.step(now, || format!("frame of {content}"));
            j.makes(prefix);
            if content > 0 && !j.write_lost {
                j.made.push_back(Piece::Any(content));
            }
            j.makes(suffix);
        });
    }

    pub(super) fn transmitted(&self, now: Instant, n: u64) {
        self.with(|j| j.transmitted(now, n));
    }

    pub(super) fn hears_eof(&self, now: Instant) {
        self.with(|j| j.hears_eof(now));
    }

    pub(super) fn hears_loss(&self, now: Instant, how: Lost) {
        self.with(|j| j.hears_loss(now, how));
    }

    pub(super) fn hears_write_closed(&self, now: Instant) {
        self.with(|j| j.hears_write_closed(now));
    }

    pub(super) fn checks_out(&self, now: Instant, read: Io, unread: &[u8]) {
        self.with(|j| {
            j.shows(now, unread);
            j.checks_out(now, read);
        });
    }
}

impl Default for Watch {
    fn default() -> Self {
        Self::new()
    }
}
