//! What `--trace` prints: a line for each event, action, verdict and deadline. Both examples use it.
//!
//! A line starts with `#N`, the number of its connection. Only the event of a request has the word
//! between spaces; therefore reasons are given by name here, not in words.

use keepalive::{Deadline, Instant, Io, Persistence};
use std::fmt;
use std::io::Write as _;

pub(crate) struct Trace {
    on: bool,
    number: u64,
    verdict: Option<Persistence>,
    deadline: Option<Deadline>,
}

impl Trace {
    pub(crate) fn new(on: bool, number: u64) -> Self {
        Self { on, number, verdict: None, deadline: None }
    }

    pub(crate) fn line(&self, what: fmt::Arguments<'_>) {
        if self.on {
            // In one piece, since many threads write to it.
            let line = format!("#{} {what}\n", self.number);
            let _ = std::io::stderr().write_all(line.as_bytes());
        }
    }

    /// What a read or a write of the socket did.
    pub(crate) fn moved(&self, what: &str, io: Io) {
        match io {
            Io::Done(n) => self.line(format_args!("{what} {n}")),
            Io::Nothing => {}
            Io::Lost(how) => self.line(format_args!("{what} failed: {how:?}")),
        }
    }

    /// A new exchange gets a verdict of its own, also if it is the same one.
    pub(crate) fn new_exchange(&mut self) {
        self.verdict = None;
    }

    /// The verdict on persistence, if it is a new one.
    pub(crate) fn verdict(&mut self, verdict: Persistence) {
        if !self.on || self.verdict == Some(verdict) {
            return;
        }
        self.verdict = Some(verdict);
        match verdict {
            Persistence::Persist { remaining: None } => {
                self.line(format_args!("verdict persist: no reason to close"));
            }
            Persistence::Persist { remaining: Some(n) } => {
                self.line(format_args!("verdict persist: no reason to close, {n} more may come"));
            }
            Persistence::Close(why) => {
                let (name, rule, rfc) = (why.name(), why.rule(), why.rfc());
                self.line(format_args!("verdict close: {name} ({rule}, {rfc})"));
            }
        }
    }

    /// The next deadline, if it is a new one.
    pub(crate) fn deadline(&mut self, now: Instant, deadline: Option<Deadline>) {
        if !self.on || self.deadline == deadline {
            return;
        }
        self.deadline = deadline;
        match deadline {
            None => self.line(format_args!("deadline none")),
            Some(d) => {
                let ms = d.at.since(now).as_millis();
                self.line(format_args!("deadline {} in {ms} ms", d.timer.name()));
            }
        }
    }
}
