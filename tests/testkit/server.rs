//! A server's driver on buffers of its own, of the kind that polls. With a bug, if asked for.

use super::bug::Bug;
use keepalive::server::{Config, Event};
use keepalive::testkit::server::Connection;
use keepalive::testkit::{Clock, Net, Ready, Stream};
use keepalive::{Content, End, Instant, Lost, NO_FIELDS, Plan};
use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::time::Duration;

/// Space for output: small, so that it is often full.
const OUT: usize = 2_000;

/// How the driver came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    Done(End),
    /// Without being asked to: only with a bug.
    Early,
}

/// The application: answers by what it is asked, in all the ways there are.
#[derive(Debug, Default)]
struct App {
    requests: usize,
    got: usize,
    /// Content of the response that is still to be sent.
    left: usize,
    plan: Option<Plan>,
    framed: bool,
}

impl App {
    fn handle(&mut self, now: Instant, conn: &mut Connection, event: &Event<'_>) -> Option<u8> {
        match event {
            Event::Request(head) => {
                self.got = 0;
                self.requests += 1;
                if head.is_connect() {
                    return Some(if self.requests % 2 == 0 { 3 } else { 4 });
                }
                let early = head.target().contains(&b'?');
                if !early {
                    conn.read_content(now);
                }
                early.then_some(0)
            }
            Event::Content(octets) => {
                self.got += octets.len();
                None
            }
            Event::End(_) if conn.wants().head => Some((self.requests % 3) as u8),
            Event::End(_) | Event::Failed(_) => None,
        }
    }

    /// Begins an answer. Returns what was written.
    fn answer(&mut self, now: Instant, conn: &mut Connection, how: u8, out: &mut [u8]) -> usize {
        let begun = match how {
            0 => return conn.reply(now, 200, NO_FIELDS, b"hello", out).expect("room for a reply"),
            1 => conn.respond(now, 200, [("X-A", "b")], Content::Length(5_000), out),
            2 => conn.respond(now, 200, NO_FIELDS, Content::Unknown, out),
            3 => conn.respond(now, 403, NO_FIELDS, Content::Length(300), out),
            _ => conn.respond(now, 200, NO_FIELDS, Content::None, out),
        };
        let begun = begun.expect("room for a head");
        self.plan = Some(begun.plan);
        self.framed = how == 3 || self.requests % 4 == 1;
        self.left = match (how, begun.plan) {
            (_, Plan::None | Plan::Tunnel) => 0,
            (1, _) => 5_000,
            (2, _) => 700 + self.got,
            _ => 300,
        };
        begun.written
    }
}

pub struct Driver {
    clock: Clock,
    conn: Connection,
    stream: Stream,
    rx: Vec<u8>,
    tx: Vec<u8>,
    space: Vec<u8>,
    cap: usize,
    app: App,
    bug: Bug,
    fails: bool,
    deaf: bool,
    lingers: bool,
    uncounted: usize,
}

/// What it waits for.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    pub ready: Ready,
    pub until: Option<Instant>,
}

/// Serves one connection.
pub fn serve(stream: Stream, clock: Clock, bug: Bug) -> Over {
    let conn = Connection::new(&config(), clock.now());
    let mut driver = Driver::new(conn, stream, clock, bug);
    loop {
        match driver.turn() {
            Ok(wanted) => _ = driver.stream.wait(wanted.ready, wanted.until),
            Err(over) => return over,
        }
    }
}

/// Serves several connections with one thread: what a loop around epoll does.
pub fn serve_all(net: &Net, streams: Vec<Stream>) -> Vec<Over> {
    let clock = net.clock();
    let accept = |stream: Stream| {
        let conn = Connection::watched(config(), clock.now(), &stream.watch());
        Driver::new(conn, stream, clock.clone(), Bug::None)
    };
    let mut open: Vec<Driver> = streams.into_iter().map(accept).collect();
    let mut over = Vec::new();
    while !open.is_empty() {
        let mut wanted = Vec::new();
        open.retain_mut(|driver| match driver.turn() {
            Ok(next) => {
                wanted.push(next);
                true
            }
            Err(how) => {
                over.push(how);
                false
            }
        });
        let until = wanted.iter().filter_map(|w| w.until).min();
        let all: Vec<_> = open.iter().zip(&wanted).map(|(d, w)| (&d.stream, w.ready)).collect();
        net.wait(&all, until);
    }
    over
}

fn config() -> Config {
    Config::origin().max_head(4_096).max_trailers(4_096)
}

/// What reading or writing came to.
enum Moved {
    Some,
    Nothing,
    /// The driver gives up: only with a bug.
    Leave,
}

impl Driver {
    fn new(conn: Connection, stream: Stream, clock: Clock, bug: Bug) -> Self {
        stream.set_nonblocking(true).expect("an open stream");
        Self {
            clock,
            conn,
            stream,
            rx: Vec::new(),
            tx: Vec::new(),
            space: vec![0; 4_096],
            cap: config().receive_buffer(),
            app: App::default(),
            bug,
            fails: false,
            deaf: false,
            lingers: false,
            uncounted: 0,
        }
    }

    fn now(&self) -> Instant {
        self.clock.now()
    }

    /// All that can be done now. `Ok`: then it has to wait for this.
    pub fn turn(&mut self) -> Result<Wanted, Over> {
        loop {
            let mut any = self.receive();
            any |= self.go_on();
            any |= self.emit();
            match self.write() {
                Moved::Some => any = true,
                Moved::Nothing => {}
                Moved::Leave => return Err(Over::Early),
            }
            if let Some(end) = self.conn.wants().end {
                match self.end(end) {
                    Some(over) => return Err(over),
                    None => {
                        any |= self.bug != Bug::IgnoresEnd && self.bug != Bug::ForgetsWriteClosed;
                    }
                }
            }
            let due = self.conn.deadline().is_some_and(|d| d.at <= self.now());
            if due && self.bug != Bug::IgnoresDeadline {
                self.conn.expire(self.now());
                any = true;
            }
            match self.read() {
                Moved::Some => any = true,
                Moved::Nothing => {}
                Moved::Leave => return Err(Over::Early),
            }
            let hasty = self.app.requests > 0 && self.tx.is_empty() && self.app.left == 0;
            if self.bug == Bug::HangsUp && hasty {
                return Err(Over::Early);
            }
            if self.bug == Bug::HalfCloses && self.app.requests > 0 {
                let _ = self.stream.shutdown(Shutdown::Write);
            }
            if !any && self.bug != Bug::Spins {
                return Ok(self.wanted());
            }
        }
    }

    fn receive(&mut self) -> bool {
        let mut any = false;
        loop {
            let (now, bug) = (self.now(), self.bug);
            let Self { conn, rx, tx, app, .. } = self;
            if bug == Bug::SwallowsItself && self.lingers {
                rx.clear();
                return any;
            }
            let room = conn.fits(OUT.saturating_sub(tx.len()));
            let step = conn.receive(now, rx, room);
            let (consumed, found) = (step.consumed, step.event.is_some());
            any |= found || consumed > 0;
            if let Some(event) = &step.event
                && let Some(how) = app.handle(now, conn, event)
                && bug != Bug::NeverAnswers
            {
                let mut out = [0; 1_024];
                let n = app.answer(now, conn, how, &mut out);
                if bug == Bug::AddsOutput {
                    tx.extend(b"\r\n");
                }
                if bug == Bug::MixesOutput {
                    tx.splice(..0, out[..n].iter().copied());
                } else {
                    tx.extend(&out[..n]);
                }
            }
            let consumed = match bug {
                Bug::ForgetsConsumed if !found => 0,
                Bug::AppliesHalf => consumed.saturating_sub(1),
                _ => consumed,
            };
            rx.drain(..consumed);
            if !found || bug == Bug::ReceivesOnce {
                return any && bug != Bug::ReceivesOnce;
            }
        }
    }

    /// Sends content as long as there is room for it.
    fn go_on(&mut self) -> bool {
        let now = self.now();
        let mut any = false;
        while self.conn.wants().content {
            let space = OUT.saturating_sub(self.tx.len());
            let piece = vec![b'x'; self.app.left.min(900)];
            let (app, conn, tx) = (&mut self.app, &mut self.conn, &mut self.tx);
            if piece.is_empty() {
                let mut out = [0; 64];
                let n = conn.finish(now, NO_FIELDS, &mut out).expect("the end");
                tx.extend(&out[..n]);
            } else if space < 1_000 {
                return any;
            } else if app.framed {
                let frame = conn.frame(now, piece.len() as u64).expect("content that was declared");
                tx.extend(&*frame.prefix);
                tx.extend(&piece);
                tx.extend(frame.suffix);
                app.left -= piece.len();
                self.uncounted += piece.len();
            } else {
                let mut out = [0; 1_000];
                let moved = conn.send(now, &piece, &mut out).expect("content that was declared");
                tx.extend(&out[..moved.written]);
                app.left -= moved.taken;
            }
            any = true;
        }
        any
    }

    fn emit(&mut self) -> bool {
        if !self.conn.wants().emit || self.bug == Bug::ForgetsEmit {
            return false;
        }
        let mut out = [0; Connection::EMIT_ROOM];
        let n = self.conn.emit(self.now(), &mut out).expect("room enough");
        self.tx.extend(&out[..n]);
        n > 0
    }

    fn write(&mut self) -> Moved {
        let bug = self.bug;
        if bug == Bug::WritesOn && self.lingers {
            let _ = (&self.stream).write(b"HTTP/1.1 408 Request Timeout\r\n\r\n");
        }
        if matches!(self.conn.wants().end, Some(End::Abort(_))) {
            self.tx.clear();
        }
        if self.tx.is_empty() || bug == Bug::LeavesOutput || self.fails {
            return Moved::Nothing;
        }
        match (&self.stream).write(&self.tx) {
            Ok(n) => {
                let offered = self.tx.len();
                self.tx.drain(..n);
                let told = match bug {
                    Bug::ForgetsTransmitted => 0,
                    Bug::CountsOffers => offered,
                    Bug::CountsFrames => n.saturating_sub(std::mem::take(&mut self.uncounted)),
                    _ => n,
                };
                self.conn.transmitted(self.now(), told as u64);
                Moved::Some
            }
            Err(e) if e.kind() == ErrorKind::Interrupted => Moved::Some,
            Err(e) if e.kind() == ErrorKind::WouldBlock => Moved::Nothing,
            Err(_) => self.failed(Lost::Write),
        }
    }

    fn failed(&mut self, how: Lost) -> Moved {
        self.tx.clear();
        match self.bug {
            Bug::ReturnsOnError => return Moved::Leave,
            Bug::ForgetsLoss => self.fails = true,
            _ => self.conn.lost(self.now(), how),
        }
        Moved::Some
    }

    fn read(&mut self) -> Moved {
        let bug = self.bug;
        let full = self.rx.len() >= self.cap;
        let quiet = bug == Bug::WaitsForTime && self.app.requests > 0 && !self.lingers;
        let quiet = quiet || bug == Bug::SleepsThroughLinger && self.lingers;
        let wants = self.conn.wants().read;
        if !wants || quiet || self.fails || self.deaf || full && bug != Bug::ReadsIntoNothing {
            return Moved::Nothing;
        }
        let room = self.cap.saturating_sub(self.rx.len()).min(self.space.len());
        // So small that it is full sometimes.
        let room =
            if bug == Bug::ReadsIntoNothing { room.min(64 - self.rx.len().min(64)) } else { room };
        let read = (&self.stream).read(&mut self.space[..room]);
        match read {
            Ok(0) => {
                match bug {
                    Bug::ReturnsOnEof => return Moved::Leave,
                    Bug::ForgetsEof => self.deaf = true,
                    _ => self.conn.received_eof(self.now()),
                }
                if bug == Bug::ForgetsReceive && !self.lingers {
                    self.asleep()
                } else {
                    Moved::Some
                }
            }
            Ok(n) => {
                let octets = &self.space[..n];
                match bug {
                    Bug::PutsNewInFront => drop(self.rx.splice(..0, octets.iter().copied())),
                    Bug::ChangesUnread if !self.rx.is_empty() => {
                        self.rx.remove(0);
                        self.rx.extend(octets);
                    }
                    _ => self.rx.extend(octets),
                }
                if bug == Bug::ShowsLater && !self.lingers { self.asleep() } else { Moved::Some }
            }
            Err(e) if e.kind() == ErrorKind::Interrupted => Moved::Some,
            Err(e) if e.kind() == ErrorKind::WouldBlock => match bug {
                Bug::TakesBlockForEof => {
                    self.conn.received_eof(self.now());
                    Moved::Some
                }
                Bug::TakesBlockForLoss => {
                    self.conn.lost(self.now(), Lost::Reset);
                    Moved::Some
                }
                _ => Moved::Nothing,
            },
            Err(_) => self.failed(Lost::Reset),
        }
    }

    fn asleep(&mut self) -> Moved {
        let wanted = self.wanted();
        self.stream.wait(wanted.ready, wanted.until);
        Moved::Some
    }

    /// Does what is asked; what that came to, if it was the last thing.
    fn end(&mut self, end: End) -> Option<Over> {
        match (end, self.bug) {
            (_, Bug::IgnoresEnd) => return None,
            (End::ShutdownWrite, Bug::ClosesAtOnce) => return Some(Over::Early),
            (End::ShutdownWrite, bug) => {
                // The peer may be gone already.
                if bug != Bug::PretendsToClose {
                    let shut = self.stream.shutdown(Shutdown::Write);
                    if shut.is_err() && bug == Bug::GivesUpHalfway {
                        return Some(Over::Early);
                    }
                }
                if bug != Bug::ForgetsWriteClosed {
                    self.conn.write_closed(self.now());
                }
                self.lingers = true;
                return None;
            }
            _ => {}
        }
        Some(Over::Done(end))
    }

    fn wanted(&self) -> Wanted {
        let wants = self.conn.wants();
        let bug = self.bug;
        let quiet = bug == Bug::WaitsForTime && self.app.requests > 0 && !self.lingers;
        let quiet = quiet || bug == Bug::SleepsThroughLinger && self.lingers;
        let read = wants.read && self.rx.len() < self.cap && !quiet && !self.fails && !self.deaf;
        let write = !self.tx.is_empty() && !self.fails && bug != Bug::LeavesOutput;
        let until = match bug {
            Bug::WaitsForEver => None,
            Bug::IgnoresDeadline => Some(self.now() + Duration::from_secs(300)),
            _ => self.conn.deadline().map(|d| d.at),
        };
        Wanted { ready: Ready { read, write }, until }
    }
}
