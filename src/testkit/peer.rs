//! A scripted peer at its side of a pipe.

use super::pipe::{Got, Pipe, Put, Side};
use super::script::{Move, Script};
use super::text::escape;
use crate::content::Content;
use crate::head::fields::Fields;
use crate::time::Instant;
use crate::{Kind, RequestHead, ResponseHead, SendError, client, server};
use std::format;
use std::prelude::v1::*;

/// Plays a script.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    script: Script,
    /// When the connection was made.
    born: Instant,
    /// The present move, since when, and how far it has come.
    at: usize,
    since: Instant,
    sent: usize,
    got: Vec<u8>,
    eof: bool,
    reset: bool,
    held: bool,
    closed: bool,
    /// The method of the last request that was waited for.
    method: String,
    /// A request whose head was waited for still stands in front of what has come.
    begun: bool,
    reader: Option<Reader>,
    /// What was expected and did not come.
    pub(super) unmet: Option<String>,
}

/// What a look at the octets that have come says.
enum Seen {
    /// More is needed.
    Wait,
    /// So many octets are what was waited for.
    Met(usize),
    /// They are something else.
    Other(String),
}

impl Peer {
    pub(super) fn new(script: Script, now: Instant) -> Self {
        Self {
            script,
            born: now,
            at: 0,
            since: now,
            sent: 0,
            got: Vec::new(),
            eof: false,
            reset: false,
            held: false,
            closed: false,
            method: "GET".to_owned(),
            begun: false,
            reader: None,
            unmet: None,
        }
    }

    fn side(&self) -> Side {
        self.script.side
    }

    /// When it acts by itself.
    pub(super) fn next_event(&self) -> Option<Instant> {
        match self.script.moves.get(self.at).filter(|_| !self.closed)? {
            Move::At(at) => Some(self.born + at.since(Instant::default())),
            Move::Pause(span) => Some(self.since + *span),
            _ => None,
        }
    }

    /// Does what can be done now. Returns whether anything was.
    pub(super) fn turn(&mut self, now: Instant, pipe: &mut Pipe) -> bool {
        let mut any = self.read(pipe);
        while !self.closed && self.step(now, pipe) {
            any = true;
        }
        any
    }

    fn read(&mut self, pipe: &mut Pipe) -> bool {
        if self.held || self.closed || self.reset || self.eof {
            return false;
        }
        let before = self.got.len();
        loop {
            match pipe.read(self.side(), usize::MAX, &mut self.got) {
                Got::Octets => {}
                Got::Nothing => return self.got.len() > before,
                Got::Eof => {
                    self.eof = true;
                    return true;
                }
                Got::Reset => {
                    self.reset = true;
                    return true;
                }
            }
        }
    }

    fn next(&mut self, now: Instant) -> bool {
        self.at += 1;
        self.sent = 0;
        self.since = now;
        true
    }

    /// One move, or as much of it as can be done.
    fn step(&mut self, now: Instant, pipe: &mut Pipe) -> bool {
        let due = self.next_event().is_none_or(|at| at <= now);
        let Some(next) = self.script.moves.get(self.at) else { return self.leave(now, pipe) };
        match next {
            Move::Content(_) if self.method == "HEAD" => self.next(now),
            Move::Send(octets) | Move::Content(octets) => {
                let rest = octets.get(self.sent..).unwrap_or_default();
                if rest.is_empty() {
                    return self.next(now);
                }
                match pipe.write(now, self.script.side, rest) {
                    Put::Octets(n) => self.sent += n,
                    Put::Full => return false,
                    // Nobody will hear it.
                    Put::Broken => return self.next(now),
                }
                true
            }
            Move::At(_) | Move::Pause(_) => due && self.next(now),
            Move::Eof => {
                pipe.shutdown(now, self.script.side);
                self.next(now)
            }
            Move::Close => self.close(now, pipe),
            Move::Reset => {
                pipe.abort(now, self.script.side);
                self.closed = true;
                true
            }
            Move::Closed => (self.eof || self.reset) && self.next(now),
            Move::Hold => {
                self.held = true;
                self.next(now)
            }
            Move::Release => {
                self.held = false;
                self.read(pipe);
                self.next(now)
            }
            Move::Expect(_) | Move::Response { .. } | Move::Request { .. } => self.wait(now),
        }
    }

    /// Behind the last line: it reads on, and closes when the other side has.
    fn leave(&mut self, now: Instant, pipe: &mut Pipe) -> bool {
        self.held = false;
        self.read(pipe);
        self.got.clear();
        (self.eof || self.reset) && self.close(now, pipe)
    }

    /// Reads a message on; `None`: it was one whose head had been waited for before.
    fn message(&mut self) -> Option<Seen> {
        let whole = Move::Request { method: None, target: None, fields: Vec::new(), whole: true };
        let next = if self.begun { &whole } else { self.script.moves.get(self.at)? };
        let reader = match &mut self.reader {
            Some(reader) => reader,
            none => match Reader::of(next) {
                Ok(reader) => none.insert(reader),
                Err(error) => return Some(Seen::Other(format!("no such request: {error}"))),
            },
        };
        let seen = reader.read(&self.got, self.eof, next);
        let Seen::Met(n) = seen else { return Some(seen) };
        if let Move::Request { whole, .. } = next
            && !self.begun
        {
            self.method.clone_from(&reader.method);
            self.begun = !whole;
            if self.begun {
                // The same reader goes on with it.
                return Some(seen);
            }
        }
        self.reader = None;
        if std::mem::take(&mut self.begun) {
            self.got.drain(..n.min(self.got.len()));
            return None;
        }
        Some(seen)
    }

    fn close(&mut self, now: Instant, pipe: &mut Pipe) -> bool {
        pipe.close(now, self.side());
        self.closed = true;
        true
    }

    fn wait(&mut self, now: Instant) -> bool {
        let over = self.eof || self.reset;
        let seen = match self.script.moves.get(self.at) {
            Some(Move::Expect(octets)) if self.got.starts_with(octets) => Seen::Met(octets.len()),
            Some(Move::Expect(octets)) if octets.starts_with(&self.got) => Seen::Wait,
            Some(Move::Expect(_)) => Seen::Other(format!("> {}", escape(&self.got))),
            _ => match self.message() {
                Some(seen) => seen,
                // What stood in the way is gone.
                None => return true,
            },
        };
        let what = match seen {
            Seen::Met(n) => {
                self.got.drain(..n.min(self.got.len()));
                return self.next(now);
            }
            Seen::Wait if !over => return false,
            Seen::Wait if self.reset => "a reset".to_owned(),
            Seen::Wait => format!("EOF, behind {:?}", escape(&self.got)),
            Seen::Other(what) => what,
        };
        let next = self.script.moves.get(self.at).filter(|_| !self.script.lenient);
        if let Some(next) = next {
            self.unmet.get_or_insert(format!("expected {next}\n    met      {what}"));
        }
        self.at = self.script.moves.len();
        true
    }
}

/// Reads a message as the crate does, however it comes.
#[derive(Clone, Debug)]
struct Reader {
    machine: Machine,
    /// Octets that are done with.
    at: usize,
    /// The method of the request, once its head is there.
    method: String,
    head: bool,
    told: bool,
}

#[derive(Clone, Debug)]
enum Machine {
    Client(client::Connection),
    Server(server::Connection),
}

const NOW: Instant = Instant::from_micros(0);

impl Reader {
    fn of(next: &Move) -> Result<Self, SendError> {
        let machine = match next {
            Move::Response { method, .. } => Machine::Client(waiting(method)?),
            _ => Machine::Server(server::Connection::new(&server::Config::origin(), NOW)),
        };
        Ok(Self { machine, at: 0, method: String::new(), head: false, told: false })
    }

    /// Reads on. Interim responses are passed over.
    fn read(&mut self, got: &[u8], eof: bool, next: &Move) -> Seen {
        loop {
            let rest = got.get(self.at..).unwrap_or_default();
            let (consumed, seen) = match &mut self.machine {
                Machine::Client(conn) => {
                    let step = conn.receive(NOW, rest, usize::MAX);
                    let seen = match step.event {
                        Some(client::Event::Response(head)) if !fits_response(next, &head) => {
                            Some(Seen::Other(format!("response {head:?}")))
                        }
                        Some(client::Event::End(_)) => Some(Seen::Met(self.at + step.consumed)),
                        Some(client::Event::Failed(f)) if f.kind == Kind::NoResponse => {
                            Some(Seen::Wait)
                        }
                        Some(client::Event::Failed(f)) => Some(Seen::Other(f.to_string())),
                        Some(_) => None,
                        None if eof && !self.told => {
                            self.told = true;
                            conn.received_eof(NOW);
                            None
                        }
                        None => Some(Seen::Wait),
                    };
                    (step.consumed, seen)
                }
                Machine::Server(conn) => {
                    let step = conn.receive(NOW, rest, usize::MAX);
                    let seen = match step.event {
                        Some(server::Event::Request(head)) if !fits_request(next, &head) => {
                            Some(Seen::Other(format!("request {head:?}")))
                        }
                        Some(server::Event::Request(head)) => {
                            self.method = head.method().to_owned();
                            self.head = true;
                            None
                        }
                        Some(server::Event::End(_)) => Some(Seen::Met(self.at + step.consumed)),
                        Some(server::Event::Failed(f)) => Some(Seen::Other(f.to_string())),
                        Some(server::Event::Content(_)) => None,
                        None => Some(Seen::Wait),
                    };
                    conn.read_content(NOW);
                    (step.consumed, seen)
                }
            };
            self.at += consumed;
            if let Some(seen) = seen {
                return seen;
            }
            // It is taken away when all of it is there, before the next one.
            if self.head && matches!(next, Move::Request { whole: false, .. }) {
                return Seen::Met(0);
            }
        }
    }
}

/// A client that waits for the answer to a request with this method.
fn waiting(method: &str) -> Result<client::Connection, SendError> {
    let config = client::Config::direct().accept_bare_lf(true).raw_codings(true);
    let mut conn = client::Connection::new(&config, NOW);
    let target = if method == "CONNECT" { "a:1" } else { "/" };
    // An offer of more than two is remembered as one of any protocol.
    let offer = [("Host", "a"), ("Upgrade", "a, b, c")];
    let offer = offer.iter().take(if method == "CONNECT" { 1 } else { 2 }).copied();
    let started = conn.request(NOW, method, target, offer, Content::None, &mut [0; 512])?;
    conn.transmitted(NOW, started.written as u64);
    Ok(conn)
}

fn has(mut fields: Fields<'_>, (name, value): &(String, Vec<u8>)) -> bool {
    fields.any(|line| line.is(name) && line.value == &value[..])
}

fn fits_response(next: &Move, head: &ResponseHead<'_>) -> bool {
    let Move::Response { status, fields, .. } = next else { return true };
    status.is_none_or(|s| s == head.status()) && fields.iter().all(|f| has(head.fields(), f))
}

fn fits_request(next: &Move, head: &RequestHead<'_>) -> bool {
    let Move::Request { method, target, fields, .. } = next else { return true };
    method.as_ref().is_none_or(|m| m == head.method())
        && target.as_ref().is_none_or(|t| t.as_bytes() == head.target())
        && fields.iter().all(|f| has(head.fields(), f))
}
