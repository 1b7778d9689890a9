//! A machine on a socket: the part of a driver that is the same for both roles.

use super::net::{Got, Link, Put};
use super::rng::Rng;
use keepalive::{CloseReason, Deadline, End, Instant, Lost, Persistence, Wants};
use keepalive::{client, server};

/// What drivers see alike in both machines.
pub trait Machine: Clone + PartialEq + std::fmt::Debug {
    fn eof(&mut self, now: Instant);
    fn lost(&mut self, now: Instant, how: Lost);
    fn transmitted(&mut self, now: Instant, n: u64);
    fn write_closed(&mut self, now: Instant);
    fn expire(&mut self, now: Instant);
    fn deadline(&self) -> Option<Deadline>;
    fn wants(&self) -> Wants;
    fn persistence(&self) -> Persistence;
    fn untransmitted(&self) -> u64;
    fn check(&self);
    fn follows(&self, before: &Self);
}

macro_rules! machine {
    ($role:ident) => {
        impl Machine for $role::Connection {
            fn eof(&mut self, now: Instant) {
                self.received_eof(now);
            }
            fn lost(&mut self, now: Instant, how: Lost) {
                self.lost(now, how);
            }
            fn transmitted(&mut self, now: Instant, n: u64) {
                self.transmitted(now, n);
            }
            fn write_closed(&mut self, now: Instant) {
                self.write_closed(now);
            }
            fn expire(&mut self, now: Instant) {
                self.expire(now);
            }
            fn deadline(&self) -> Option<Deadline> {
                self.deadline()
            }
            fn wants(&self) -> Wants {
                self.wants()
            }
            fn persistence(&self) -> Persistence {
                self.persistence()
            }
            fn untransmitted(&self) -> u64 {
                self.untransmitted()
            }
            fn check(&self) {
                self.check_invariants();
            }
            fn follows(&self, before: &Self) {
                self.check_follows(before);
            }
        }
    };
}
machine!(server);
machine!(client);

/// How the driver cuts what it reads and writes.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    pub read: usize,
    pub write: usize,
    /// How often, in a thousand, it puts off to go on, and for how long at most.
    pub lazy: u64,
    pub nap: u64,
}

#[derive(Debug)]
pub struct Port<M> {
    pub m: M,
    pub rx: Vec<u8>,
    pub tx: Vec<u8>,
    pub side: usize,
    pub cap: usize,
    pub style: Style,
    /// How it ended: the reason, and whether by an abort.
    pub ended: Option<(CloseReason, bool)>,
    pub asleep: u64,
    pub eof: bool,
    /// The last `room` was 0.
    pub paused: bool,
    /// The connection was reset by the other side.
    pub lost: bool,
    unwritable: bool,
    /// The first reason to close that was told.
    closing: Option<CloseReason>,
    /// As it was when it was last checked.
    last: M,
}

pub fn at(now: u64) -> Instant {
    Instant::from_micros(now)
}

impl<M: Machine> Port<M> {
    pub fn new(m: M, side: usize, cap: usize, style: Style) -> Self {
        Self {
            last: m.clone(),
            m,
            rx: Vec::new(),
            tx: Vec::new(),
            side,
            cap,
            style,
            ended: None,
            asleep: 0,
            eof: false,
            paused: false,
            lost: false,
            unwritable: false,
            closing: None,
        }
    }

    /// Holds it against what is always true.
    pub fn check(&mut self) {
        self.m.check();
        self.m.follows(&self.last);
        self.last.clone_from(&self.m);
        match self.m.persistence() {
            // With EOF seen, requests may still wait behind the present one.
            Persistence::Close(CloseReason::PeerClosed) if self.ended.is_none() => {}
            Persistence::Close(why) => {
                self.closing.get_or_insert(why);
            }
            Persistence::Persist { .. } => {
                assert!(
                    self.closing.is_none(),
                    "S1.3: {:?} was taken back: {:?}",
                    self.closing,
                    self.m
                );
            }
        }
        if !self.unwritable && !self.is_mute() {
            assert_eq!(self.m.untransmitted(), self.tx.len() as u64, "octets owed: {:?}", self.m);
        }
    }

    /// When it is to be looked at again, whatever arrives.
    pub fn next_event(&self) -> Option<u64> {
        if self.ended.is_some() {
            return None;
        }
        let deadline = self.m.deadline().map(|d| d.at.as_micros());
        let asleep = (self.asleep > 0).then_some(self.asleep);
        // Nobody looks at deadlines who is asleep.
        asleep.or(deadline)
    }

    pub fn is_asleep(&mut self, now: u64) -> bool {
        if self.asleep > now {
            return true;
        }
        self.asleep = 0;
        false
    }

    fn doze(&mut self, now: u64, rng: &mut Rng) {
        if rng.chance(self.style.lazy) {
            self.asleep = now + 1 + rng.below(self.style.nap);
        }
    }

    pub fn read(&mut self, now: u64, link: &mut Link, rng: &mut Rng) -> bool {
        let want = self.m.wants().read;
        if self.ended.is_some() || self.eof || self.lost {
            return false;
        }
        let space = self.cap.saturating_sub(self.rx.len());
        if space == 0 {
            assert!(!want || self.paused, "wants to read, with a full buffer: {:?}", self.m);
            return false;
        }
        // Reading ahead is allowed, and not owed.
        if !want && !rng.chance(300) {
            return false;
        }
        let max = rng.range(1, self.style.read as u64) as usize;
        match link.read(self.side, max.min(space), &mut self.rx) {
            Got::Nothing => return false,
            Got::Octets => self.doze(now, rng),
            Got::Eof => {
                self.eof = true;
                self.m.eof(at(now));
            }
            Got::Reset => {
                self.lost = true;
                self.m.lost(at(now), Lost::Reset);
            }
        }
        true
    }

    /// Nothing is sent any more: not before an abort, and not by a client whose connection is over,
    /// since what it calls unsent must stay so (S5).
    fn is_mute(&self) -> bool {
        match self.m.wants().end {
            Some(End::Abort(_)) => true,
            Some(End::Close(_)) => self.side == 0,
            _ => false,
        }
    }

    pub fn write(&mut self, now: u64, link: &mut Link, rng: &mut Rng) -> bool {
        if self.ended.is_some() {
            return false;
        }
        if self.is_mute() {
            self.tx.clear();
        }
        if self.tx.is_empty() {
            return false;
        }
        let max = rng.range(1, self.style.write as u64) as usize;
        match link.write(now, self.side, &self.tx[..max.min(self.tx.len())]) {
            Put::Full => return false,
            Put::Octets(n) => {
                self.tx.drain(..n);
                self.m.transmitted(at(now), n as u64);
                self.doze(now, rng);
            }
            Put::Broken => {
                // What was written and not sent is never sent.
                self.tx.clear();
                self.unwritable = true;
                self.m.lost(at(now), Lost::Write);
            }
        }
        self.check();
        true
    }

    pub fn expire(&mut self, now: u64, rng: &mut Rng) -> bool {
        let Some(deadline) = self.m.deadline() else { return false };
        if deadline.at > at(now) {
            // Early is harmless.
            if rng.chance(20) {
                let before = self.m.clone();
                self.m.expire(at(now));
                assert_eq!(before, self.m, "an early expiry changed something");
            }
            return false;
        }
        self.m.expire(at(now));
        let next = self.m.deadline();
        assert!(
            next.is_none_or(|d| d.at > at(now)),
            "still due after expiry: {next:?} {:?}",
            self.m
        );
        let before = self.m.clone();
        self.m.expire(at(now));
        assert_eq!(before, self.m, "a second expiry changed something");
        self.check();
        true
    }

    /// Does what [`Wants::end`] asks.
    pub fn end(&mut self, now: u64, link: &mut Link) -> bool {
        if self.ended.is_some() {
            return false;
        }
        match self.m.wants().end {
            None => return false,
            Some(End::ShutdownWrite) => {
                assert!(self.tx.is_empty(), "half-close before flush: {:?}", self.m);
                let closes = matches!(self.m.persistence(), Persistence::Close(_));
                assert!(closes, "half-close without a reason: {:?}", self.m);
                link.shutdown(now, self.side);
                self.m.write_closed(at(now));
                self.check();
            }
            Some(End::Close(why)) => {
                link.close(now, self.side);
                self.ended = Some((why, false));
            }
            Some(End::Abort(why)) => {
                link.abort(now, self.side);
                self.ended = Some((why, true));
            }
            Some(End::Tunnel) => panic!("a tunnel that nobody asked for: {:?}", self.m),
        }
        // An abort has a reason of its own.
        if let Some((why, false)) = self.ended {
            assert_eq!(self.m.persistence(), Persistence::Close(why), "two reasons: {:?}", self.m);
        }
        true
    }
}
