//! The checker, as drivers' tests have it: a handle that connection and transport share.

use super::judge::{Judge, Machine, Rest};
use super::rule::{Breach, Rule};
use crate::action::{Io, Lost};
use crate::time::Instant;
use core::time::Duration;
use std::cell::RefCell;
use std::prelude::v1::*;
use std::sync::{Arc, Mutex, PoisonError};

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
        self.with(|j| j.shows(now, unread, room));
    }

    pub(super) fn consumed(&self, now: Instant, n: usize, what: Option<&'static str>) {
        self.with(|j| j.consumed(now, n, what));
    }

    pub(super) fn bypassed(&self, n: u64) {
        self.with(|j| j.bypasses(n));
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
            j.leaves_room(content);
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
            j.shows(now, unread, usize::MAX);
            j.checks_out(now, read);
        });
    }
}

impl Default for Watch {
    fn default() -> Self {
        Self::new()
    }
}
