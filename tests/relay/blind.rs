//! Relays that understand nothing, and the ends between which they stand.

use super::net::{Net, Node, Plug, Read};
use super::smart::io;
use keepalive::buffered::{Client, Server};
use keepalive::client::Reuse;
use keepalive::{CloseReason, Content, Instant, Io, Lost, Persistence, client, server};
use std::time::Duration;

/// How blind a relay is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blind {
    /// Passes on whatever comes, both ways.
    Pipe,
    /// Of the old kind: one request, and then all that the origin says, until the origin closes. It
    /// reads nothing more from the client, and does not notice when the client goes.
    OneRequest,
}

struct Pair {
    down: Plug,
    up: Plug,
    to_up: Vec<u8>,
    to_down: Vec<u8>,
    /// The tail of the request so far, to find its end.
    seen: Vec<u8>,
    whole: bool,
    origin_closed: bool,
    reset: bool,
    over: bool,
}

/// Forwards bytes, knows nothing of Connection, closes only when the origin closes.
pub struct BlindRelay {
    ports: (u16, u16),
    kind: Blind,
    pairs: Vec<Pair>,
}

impl BlindRelay {
    pub fn new(ports: (u16, u16), kind: Blind) -> Self {
        Self { ports, kind, pairs: Vec::new() }
    }
}

impl Pair {
    fn step(&mut self, kind: Blind, net: &mut Net) -> bool {
        let mut moved = false;
        if !(self.over || self.whole && kind == Blind::OneRequest) {
            let max = if kind == Blind::OneRequest { 1 } else { usize::MAX };
            if let Read::Bytes(bytes) = net.read(self.down, max) {
                self.seen.extend(&bytes);
                self.to_up.extend(bytes);
                self.whole = self.seen.ends_with(b"\r\n\r\n");
                moved = true;
            }
        }
        if !self.origin_closed {
            match net.read(self.up, usize::MAX) {
                Read::Bytes(bytes) => self.to_down.extend(bytes),
                Read::Eof => self.origin_closed = true,
                Read::Reset => (self.origin_closed, self.reset) = (true, true),
                Read::Nothing => {}
            }
            moved |= self.origin_closed || !self.to_down.is_empty();
        }
        for (to, bytes) in [(self.up, &mut self.to_up), (self.down, &mut self.to_down)] {
            if !bytes.is_empty() {
                let n = net.write(to, bytes).unwrap_or(bytes.len());
                bytes.drain(..n);
                moved = true;
            }
        }
        if self.origin_closed && self.to_down.is_empty() && !self.over {
            net.close(self.up);
            if self.reset {
                net.reset(self.down)
            } else {
                net.close(self.down)
            }
            self.over = true;
            moved = true;
        }
        moved
    }
}

impl Node for BlindRelay {
    fn step(&mut self, net: &mut Net) -> bool {
        let mut moved = false;
        while let Some(down) = net.accept(self.ports.0) {
            let up = net.dial(self.ports.1);
            self.pairs.push(Pair {
                down,
                up,
                to_up: Vec::new(),
                to_down: Vec::new(),
                seen: Vec::new(),
                whole: false,
                origin_closed: false,
                reset: false,
                over: false,
            });
            moved = true;
        }
        for pair in self.pairs.iter_mut().filter(|p| !p.over) {
            moved |= pair.step(self.kind, net);
        }
        moved
    }

    fn deadline(&self) -> Option<Instant> {
        None
    }

    fn is_done(&self) -> bool {
        self.pairs.iter().all(|p| p.over)
    }
}

/// An origin server: our machine, with the smallest application.
pub struct Origin {
    port: u16,
    config: server::Config,
    conns: Vec<(Server<Vec<u8>>, Plug, bool)>,
    /// Why its connections closed.
    pub reasons: Vec<CloseReason>,
}

impl Origin {
    pub fn new(port: u16, config: server::Config) -> Self {
        Self { port, config, conns: Vec::new(), reasons: Vec::new() }
    }

    pub fn connections(&self) -> usize {
        self.conns.len()
    }
}

impl Node for Origin {
    fn step(&mut self, net: &mut Net) -> bool {
        let mut moved = false;
        while let Some(plug) = net.accept(self.port) {
            self.conns.push((Server::allocate(&self.config, net.now), plug, false));
            moved = true;
        }
        for (conn, plug, over) in self.conns.iter_mut().filter(|c| !c.2) {
            let (m, gone) = io!(conn, *plug, net);
            *over = gone;
            moved |= m;
            if gone && let Persistence::Close(reason) = conn.persistence() {
                self.reasons.push(reason);
            }
            conn.connection().check_invariants();
            while let (Some(event), mut out) = conn.next(net.now, usize::MAX) {
                if let server::Event::Request(head) = event {
                    out.reply(200, [("Date", "now")], head.target()).expect("room");
                }
                moved = true;
            }
        }
        moved
    }

    fn deadline(&self) -> Option<Instant> {
        self.conns.iter().filter(|c| !c.2).filter_map(|c| c.0.deadline()).map(|d| d.at).min()
    }

    fn is_done(&self) -> bool {
        self.conns.iter().all(|c| c.2)
    }
}

/// A client of ours: some GETs, one after another, with a pause between them.
pub struct Browser {
    port: u16,
    config: client::Config,
    target: &'static str,
    /// Requests still to be answered.
    pub left: usize,
    pause: Duration,
    next: Option<Instant>,
    conn: Option<(Client<Vec<u8>>, Plug)>,
    busy: bool,
    pub answers: Vec<Vec<u8>>,
    pub retries: usize,
    pub dials: usize,
    /// The longest that an answer took.
    pub slowest: Duration,
    asked: Instant,
}

impl Browser {
    pub fn new(
        port: u16,
        config: client::Config,
        target: &'static str,
        requests: usize,
        pause: Duration,
    ) -> Self {
        Self {
            port,
            config,
            target,
            left: requests,
            pause,
            next: None,
            conn: None,
            busy: false,
            answers: Vec::new(),
            retries: 0,
            dials: 0,
            slowest: Duration::ZERO,
            asked: Instant::default(),
        }
    }

    fn ask(&mut self, net: &mut Net) {
        let now = net.now;
        if let Some((conn, plug)) = &mut self.conn {
            let reuse = conn.checkout(now, |space| match net.read(*plug, space.len()) {
                Read::Bytes(bytes) => {
                    space[..bytes.len()].copy_from_slice(&bytes);
                    Io::Done(bytes.len())
                }
                Read::Eof => Io::Done(0),
                Read::Reset => Io::Lost(Lost::Reset),
                Read::Nothing => Io::Nothing,
            });
            if !matches!(reuse, Reuse::Ready { .. } | Reuse::ImmediateOnly) {
                net.close(*plug);
                self.conn = None;
            }
        }
        let (port, config, dials) = (self.port, &self.config, &mut self.dials);
        let (conn, _) = self.conn.get_or_insert_with(|| {
            *dials += 1;
            (Client::allocate(config, now), net.dial(port))
        });
        let host = [("Host", "h")];
        conn.out(now).request("GET", self.target, host, Content::None).expect("it fits");
        self.busy = true;
    }
}

impl Node for Browser {
    fn step(&mut self, net: &mut Net) -> bool {
        let mut moved = false;
        if !self.busy && self.left > 0 && self.next.is_none_or(|at| at <= net.now) {
            self.asked = net.now;
            self.ask(net);
            moved = true;
        }
        let Some((conn, plug)) = &mut self.conn else { return moved };
        let (m, gone) = io!(conn, *plug, net);
        moved |= m;
        conn.connection().check_invariants();
        let mut failed = false;
        while let (Some(event), _) = conn.next(net.now, usize::MAX) {
            moved = true;
            match event {
                client::Event::Response(head) => {
                    assert_eq!(head.status(), 200);
                    self.answers.push(Vec::new());
                }
                client::Event::Content(content) => {
                    self.answers.last_mut().expect("a head").extend(content);
                }
                client::Event::End(_) => {
                    self.busy = false;
                    self.left -= 1;
                    self.next = Some(net.now + self.pause);
                    self.slowest = self.slowest.max(net.now.since(self.asked));
                }
                client::Event::Interim(_) => {}
                client::Event::Failed(failure) => {
                    let verdict = conn.retry(0).expect("a request is open");
                    assert!(verdict.allows(true), "{failure}: {}", verdict.reason());
                    failed = true;
                    break;
                }
            }
        }
        if failed {
            if !gone {
                net.close(*plug);
            }
            self.conn = None;
            self.retries += 1;
            self.ask(net);
        } else if gone {
            self.conn = None;
        }
        moved
    }

    fn deadline(&self) -> Option<Instant> {
        let pause = self.next.filter(|_| self.left > 0 && !self.busy);
        let conn = self.conn.as_ref().and_then(|(conn, _)| conn.deadline()).map(|d| d.at);
        pause.into_iter().chain(conn).min()
    }

    fn is_done(&self) -> bool {
        self.left == 0 && self.conn.is_none()
    }
}

/// A client of the nineties: HTTP/1.0, fields of its own, and no timers at all. It asks again on the
/// same connection where the answer names what it asked for, and starts anew where the server closed.
pub struct Legacy {
    port: u16,
    request: String,
    pub left: usize,
    plug: Option<Plug>,
    to_send: Vec<u8>,
    got: Vec<u8>,
    pub answers: Vec<Vec<u8>>,
    pub dials: usize,
    pub slowest: Duration,
    asked: Instant,
}

impl Legacy {
    pub fn new(port: u16, target: &str, fields: &str, requests: usize) -> Self {
        Self {
            port,
            request: format!("GET {target} HTTP/1.0\r\n{fields}\r\n"),
            left: requests,
            plug: None,
            to_send: Vec::new(),
            got: Vec::new(),
            answers: Vec::new(),
            dials: 0,
            slowest: Duration::ZERO,
            asked: Instant::default(),
        }
    }

    /// The content, and whether the connection goes on, once the answer is whole.
    fn answer(&self, eof: bool) -> Option<(Vec<u8>, bool)> {
        let at = self.got.windows(4).position(|w| w == b"\r\n\r\n")? + 4;
        let head = String::from_utf8_lossy(&self.got[..at]).to_lowercase();
        let content = &self.got[at..];
        let keeps = head.contains("connection: keep-alive");
        match head.split("content-length: ").nth(1) {
            Some(rest) => {
                let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
                let n: usize = digits.parse().expect("a length");
                (content.len() >= n).then(|| (content[..n].to_vec(), keeps && !eof))
            }
            None => eof.then(|| (content.to_vec(), false)),
        }
    }
}

impl Node for Legacy {
    fn step(&mut self, net: &mut Net) -> bool {
        let mut moved = false;
        if self.left > 0 && self.plug.is_none() {
            if self.dials == 0 {
                self.asked = net.now;
            }
            self.plug = Some(net.dial(self.port));
            self.dials += 1;
            self.got.clear();
            self.to_send = self.request.clone().into_bytes();
            moved = true;
        }
        let Some(plug) = self.plug else { return moved };
        if !self.to_send.is_empty() {
            let n = net.write(plug, &self.to_send).unwrap_or(self.to_send.len());
            self.to_send.drain(..n);
            moved = true;
        }
        let eof = match net.read(plug, usize::MAX) {
            Read::Bytes(bytes) => {
                self.got.extend(bytes);
                moved = true;
                false
            }
            Read::Nothing => false,
            Read::Eof | Read::Reset => true,
        };
        if let Some((content, keeps)) = self.answer(eof) {
            self.answers.push(content);
            self.left -= 1;
            self.slowest = self.slowest.max(net.now.since(self.asked));
            self.asked = net.now;
            self.got.clear();
            if keeps && self.left > 0 {
                self.to_send = self.request.clone().into_bytes();
            } else {
                net.close(plug);
                self.plug = None;
            }
            moved = true;
        } else if eof {
            // No answer: once more, from the start.
            assert!(self.dials < 100, "never answered");
            net.close(plug);
            self.plug = None;
            moved = true;
        }
        moved
    }

    fn deadline(&self) -> Option<Instant> {
        None
    }

    fn is_done(&self) -> bool {
        self.left == 0 && self.plug.is_none()
    }
}
