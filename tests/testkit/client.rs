//! A client's driver on buffers of its own: a few requests on one connection, and pauses between them.
//! With a bug, if asked for.

use super::bug::bugs;
use keepalive::client::{Config, Event, Reuse};
use keepalive::testkit::client::Connection;
use keepalive::testkit::{Clock, Ready, Stream};
use keepalive::{Content, End, Instant, Io, Lost, NO_FIELDS, Part, Plan, SendError};
use std::io::{ErrorKind, Read, Write};
use std::time::Duration;

bugs! {
    LooksNot CheckoutWithoutLook "checks the connection out without looking whether it was closed";
    WritesOn WriteAfterEnd "sends what was made before the connection was over";
    Leaves ClosedUnasked "leaves in the middle of a response";
    WaitsForEver DeadlineIgnored "waits for a response without a time-out";
    SleepsThroughEof ReadNotDone "waits for its next request, and not for EOF";
    ForgetsTransmitted TransmittedNotReported "never calls `transmitted`";
    ShowsLater BytesWithheld "reads, and waits before it shows";
    StaysForEver EndNotDone "waits when all is over";
}

struct Driver {
    clock: Clock,
    conn: Connection,
    stream: Stream,
    rx: Vec<u8>,
    tx: Vec<u8>,
    bug: Bug,
    made: usize,
    /// A response is whole, and others are to come.
    whole: bool,
    failed: bool,
    /// Content that is still to be sent.
    left: usize,
    plan: Option<Plan>,
}

const CAP: usize = 70_000;

pub fn fetch(stream: Stream, clock: Clock, bug: Bug) -> usize {
    stream.set_nonblocking(true).expect("an open stream");
    let conn = Connection::new(&Config::direct(), clock.now());
    let (rx, tx) = (Vec::new(), Vec::new());
    let (made, whole, failed, left, plan) = (0, true, false, 0, None);
    Driver { clock, conn, stream, rx, tx, bug, made, whole, failed, left, plan }.run()
}

impl Driver {
    fn now(&self) -> Instant {
        self.clock.now()
    }

    fn run(mut self) -> usize {
        loop {
            let mut any = self.receive();
            if self.bug == Bug::Leaves && self.made > 0 && !self.whole {
                return self.made;
            }
            match self.conn.wants().end {
                Some(_) if self.bug == Bug::StaysForEver => {
                    self.sleep(Ready::default(), None);
                    continue;
                }
                Some(_) if self.bug == Bug::WritesOn && !self.tx.is_empty() => {
                    any |= self.write();
                    if self.tx.is_empty() {
                        return self.made;
                    }
                }
                Some(End::Abort(_)) => {
                    self.stream.abort();
                    return self.made;
                }
                Some(_) => return self.made,
                None => {}
            }
            if self.failed {
                // A failure, and no end yet: what may still come is of no interest.
                self.conn.abort(self.now());
                continue;
            }
            any |= self.go_on();
            any |= self.write();
            let due = self.conn.deadline().is_some_and(|d| d.at <= self.now());
            if due {
                self.conn.expire(self.now());
                any = true;
            }
            any |= self.read();
            if any {
                continue;
            }
            if self.whole && self.conn.reuse(self.now()) != Reuse::Busy && self.left == 0 {
                if self.made == 4 {
                    // Just closed: a client may.
                    return self.made;
                }
                if self.made > 0 {
                    self.pause();
                }
                self.next();
                continue;
            }
            let read = self.conn.wants().read && self.rx.len() < CAP;
            let until = self.conn.deadline().map(|d| d.at);
            let until = if self.bug == Bug::WaitsForEver { None } else { until };
            self.sleep(Ready { read, write: !self.tx.is_empty() }, until);
        }
    }

    fn sleep(&mut self, ready: Ready, until: Option<Instant>) {
        self.stream.wait(ready, until);
    }

    /// Between two requests: idle, but not blind.
    fn pause(&mut self) {
        let span = Duration::from_millis([0, 100, 3_500][self.made % 3]);
        let next = self.now() + span;
        let until = self.conn.deadline().map_or(next, |d| d.at.min(next));
        if self.bug == Bug::SleepsThroughEof {
            let more = next + Duration::from_millis(200);
            self.sleep(Ready::default(), Some(until));
            if self.conn.deadline().is_none_or(|d| d.at > more) {
                self.sleep(Ready::default(), Some(more));
            }
        } else {
            self.sleep(Ready::READ, Some(until));
        }
    }

    fn next(&mut self) {
        let now = self.now();
        if self.made > 0 {
            let mut space = [0; 512];
            let read = if self.bug == Bug::LooksNot {
                Io::Nothing
            } else {
                Io::from((&self.stream).read(&mut space))
            };
            if let Io::Done(n) = read {
                self.rx.extend(&space[..n]);
            }
            let reuse = self.conn.checkout(now, read, &self.rx);
            if !matches!(reuse, Reuse::Ready { .. } | Reuse::ImmediateOnly) {
                if self.conn.wants().end.is_none() {
                    self.conn.retire(now, keepalive::Retire::Application);
                }
                return;
            }
            self.rx.clear();
        }
        let (method, content) = match self.made % 4 {
            0 => ("GET", Content::None),
            1 => ("POST", Content::Length(3_000)),
            2 => ("HEAD", Content::None),
            _ => ("PUT", Content::Unknown),
        };
        let fields = [("Host", "a"), ("Expect", "100-continue")];
        let fields = fields.iter().take(if self.made == 1 { 2 } else { 1 }).copied();
        let mut out = [0; 512];
        let started = self.conn.request(now, method, "/", fields.clone(), content, &mut out);
        let started = match started {
            // A server that answered as 1.0 gets no chunks.
            Err(SendError::Invalid(Part::Framing)) => {
                let content = Content::Length(3_000);
                self.conn.request(now, method, "/", fields, content, &mut out)
            }
            other => other,
        };
        let started = started.expect("a connection that is checked out");
        self.tx.extend(&out[..started.written]);
        self.plan = Some(started.plan);
        self.left = if matches!(started.plan, Plan::Length(_) | Plan::Chunked) { 3_000 } else { 0 };
        self.whole = false;
        self.made += 1;
    }

    fn receive(&mut self) -> bool {
        let mut any = false;
        loop {
            let now = self.now();
            let step = self.conn.receive(now, &self.rx, usize::MAX);
            let found = step.event.is_some();
            any |= found || step.consumed > 0;
            match step.event {
                Some(Event::End(_)) => self.whole = true,
                Some(Event::Failed(_)) => self.failed = true,
                _ => {}
            }
            let consumed = step.consumed;
            self.rx.drain(..consumed);
            if !found {
                return any;
            }
        }
    }

    fn go_on(&mut self) -> bool {
        let now = self.now();
        let mut any = false;
        while self.conn.wants().content && self.tx.len() < 2_000 {
            let mut out = [0; 1_000];
            if self.left == 0 {
                let n = self.conn.finish(now, NO_FIELDS, &mut out).expect("the end");
                self.tx.extend(&out[..n]);
            } else {
                let piece = vec![b'y'; self.left.min(700)];
                let moved = self.conn.send(now, &piece, &mut out).expect("content");
                self.tx.extend(&out[..moved.written]);
                self.left -= moved.taken;
            }
            any = true;
        }
        // What is not sent because of an early answer is never sent.
        if self.whole && !self.conn.wants().content {
            self.left = 0;
        }
        any
    }

    fn write(&mut self) -> bool {
        if self.tx.is_empty() {
            return false;
        }
        match (&self.stream).write(&self.tx) {
            Ok(n) => {
                self.tx.drain(..n);
                if self.bug != Bug::ForgetsTransmitted {
                    self.conn.transmitted(self.now(), n as u64);
                }
                true
            }
            Err(e) if e.kind() == ErrorKind::Interrupted => true,
            Err(e) if e.kind() == ErrorKind::WouldBlock => false,
            Err(_) => {
                self.tx.clear();
                self.conn.lost(self.now(), Lost::Write);
                true
            }
        }
    }

    fn read(&mut self) -> bool {
        if !self.conn.wants().read || self.rx.len() >= CAP {
            return false;
        }
        let mut space = [0; 2_048];
        match (&self.stream).read(&mut space) {
            Ok(0) => self.conn.received_eof(self.now()),
            Ok(n) => {
                self.rx.extend(&space[..n]);
                if self.bug == Bug::ShowsLater {
                    let until = self.conn.deadline().map(|d| d.at);
                    self.sleep(Ready::READ, until);
                }
            }
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) if e.kind() == ErrorKind::WouldBlock => return false,
            Err(_) => self.conn.lost(self.now(), Lost::Reset),
        }
        true
    }
}
