//! A scripted peer at its side of a pipe.

use super::pipe::{Got, Pipe, Put, Side};
use super::script::{Move, Script};
use super::text::escape;
use crate::content::Content;
use crate::time::Instant;
use crate::{Kind, RequestHead, client, server};
use std::prelude::v1::*;
use std::format;

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
            Move::Expect(_) | Move::Response { .. } | Move::Request { .. } => {
                self.read(pipe);
                self.wait(now)
            }
        }
    }

    /// Behind the last line: it reads on, and closes when the other side has.
    fn leave(&mut self, now: Instant, pipe: &mut Pipe) -> bool {
        self.held = false;
        self.read(pipe);
        self.got.clear();
        (self.eof || self.reset) && self.close(now, pipe)
    }

    fn close(&mut self, now: Instant, pipe: &mut Pipe) -> bool {
        pipe.close(now, self.side());
        self.closed = true;
        true
    }

    fn wait(&mut self, now: Instant) -> bool {
        let over = self.eof || self.reset;
        let Some(next) = self.script.moves.get(self.at) else { return false };
        let seen = match next {
            Move::Expect(octets) if self.got.starts_with(octets) => Seen::Met(octets.len()),
            Move::Expect(octets) if octets.starts_with(&self.got) => Seen::Wait,
            Move::Expect(_) => Seen::Other(format!("> {}", escape(&self.got))),
            Move::Response { status, method, fields } => {
                response(&self.got, self.eof, *status, method, fields)
            }
            Move::Request { .. } if self.begun => match request(&self.got, None, None, &[], true) {
                Ok((n, _)) => {
                    self.got.drain(..n.min(self.got.len()));
                    self.begun = false;
                    return true;
                }
                Err(seen) => seen,
            },
            Move::Request { method, target, fields, whole } => {
                let found = request(&self.got, method.as_deref(), target.as_deref(), fields, *whole);
                self.begun = found.is_ok() && !whole;
                match found {
                    Ok((n, method)) => {
                        self.method = method;
                        Seen::Met(n)
                    }
                    Err(seen) => seen,
                }
            }
            _ => return false,
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
        if !self.script.lenient {
            self.unmet.get_or_insert(format!("expected {next}\n    met      {what}"));
        }
        self.at = self.script.moves.len();
        true
    }
}

/// Reads a response as a client of this crate does. Interim ones are passed over.
fn response(
    got: &[u8],
    eof: bool,
    status: Option<u16>,
    method: &str,
    fields: &[(String, Vec<u8>)],
) -> Seen {
    const NOW: Instant = Instant::from_micros(0);
    let config = client::Config::direct().accept_bare_lf(true).raw_codings(true);
    let mut conn = client::Connection::new(&config, NOW);
    let target = if method == "CONNECT" { "a:1" } else { "/" };
    // An offer of more than two is remembered as one of any protocol.
    let offer = [("Host", "a"), ("Upgrade", "a, b, c")];
    let offer = offer.iter().take(if method == "CONNECT" { 1 } else { 2 }).copied();
    let mut out = [0; 512];
    match conn.request(NOW, method, target, offer, Content::None, &mut out) {
        Ok(started) => conn.transmitted(NOW, started.written as u64),
        Err(error) => return Seen::Other(format!("no request with this method: {error}")),
    }
    let (mut at, mut told) = (0, eof);
    loop {
        let step = conn.receive(NOW, got.get(at..).unwrap_or_default(), usize::MAX);
        at += step.consumed;
        match step.event {
            Some(client::Event::Response(head)) => {
                let has = |(name, value): &(String, Vec<u8>)| {
                    head.fields().any(|line| line.is(name) && line.value == &value[..])
                };
                if status.is_some_and(|s| s != head.status()) || !fields.iter().all(has) {
                    return Seen::Other(format!("response {head:?}"));
                }
            }
            Some(client::Event::End(_)) => return Seen::Met(at),
            Some(client::Event::Failed(failure)) if failure.kind == Kind::NoResponse => {
                return Seen::Wait;
            }
            Some(client::Event::Failed(failure)) => return Seen::Other(failure.to_string()),
            Some(_) => {}
            None if told => {
                told = false;
                conn.received_eof(NOW);
            }
            None => return Seen::Wait,
        }
    }
}

/// Reads a request as a server of this crate does.
fn request(
    got: &[u8],
    method: Option<&str>,
    target: Option<&str>,
    fields: &[(String, Vec<u8>)],
    whole: bool,
) -> Result<(usize, String), Seen> {
    const NOW: Instant = Instant::from_micros(0);
    let mut conn = server::Connection::new(&server::Config::origin(), NOW);
    let fits = |head: &RequestHead<'_>| {
        method.is_none_or(|m| m == head.method())
            && target.is_none_or(|t| t.as_bytes() == head.target())
            && fields.iter().all(|(name, value)| {
                head.fields().any(|line| line.is(name) && line.value == &value[..])
            })
    };
    let (mut at, mut seen) = (0, String::new());
    loop {
        let step = conn.receive(NOW, got.get(at..).unwrap_or_default(), usize::MAX);
        at += step.consumed;
        match step.event {
            Some(server::Event::Request(head)) if !fits(&head) => {
                return Err(Seen::Other(format!("request {head:?}")));
            }
            Some(server::Event::Request(head)) => {
                seen = head.method().to_owned();
                if !whole {
                    // It is taken away when all of it is there, before the next one.
                    return Ok((0, seen));
                }
                conn.read_content(NOW);
            }
            Some(server::Event::End(_)) => return Ok((at, seen)),
            Some(server::Event::Failed(failure)) => {
                return Err(Seen::Other(failure.to_string()));
            }
            Some(server::Event::Content(_)) => {}
            None => return Err(Seen::Wait),
        }
    }
}
