//! A small world for [`super`] to explore: a client, a server, what is on its way between them, and a
//! clock. Everything that can happen next is an [`Action`]; what has happened is the [`State`].

use keepalive::{
    CloseReason, Content, End, Instant, Kind, Lost, Persistence, ResponseFraming, Retire, Trailers,
    Verdict, client, server,
};
use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

/// How the application treats the content of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    All,
    Unread,
    /// Renounced as soon as the request is there.
    Skipped,
    Early,
}

/// What is explored.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    pub up: Content,
    pub down: Content,
    /// The first request is a HEAD.
    pub head: bool,
    /// What is chunked has a trailer.
    pub trailers: bool,
    pub http10: bool,
    pub client_closes: bool,
    pub server_closes: bool,
    pub pipelined: bool,
    pub expect: bool,
    pub reading: Reading,
    /// How many clock steps may come although something else could happen, and how many faults.
    pub ticks: u8,
    pub faults: u8,
    /// Heads and content go out in pieces.
    pub pieces: bool,
}

impl Setting {
    pub fn client(&self) -> client::Config {
        client::Config::direct().http10(self.http10).pipeline(self.pipelined).idle(SEVEN)
    }

    pub fn server(&self) -> server::Config {
        // The lifetime would only add more of the same.
        server::Config::origin().lifetime(None).min_rate(SEVEN, 0)
    }

    fn method(&self, n: u8) -> &'static str {
        match n {
            0 if self.head => "HEAD",
            0 if self.up != Content::None => "PUT",
            _ => "GET",
        }
    }

    /// What a 200 to request `n` says.
    fn answer(&self, n: usize) -> &'static [u8] {
        if n == 0 && self.head { b"" } else { ANSWERS[n] }
    }

    fn trailers(&self) -> &'static [(&'static str, &'static str)] {
        if self.trailers { &[("X-Sum", "1")] } else { &[] }
    }

    /// Trailers came as they were sent, if what they stand behind was chunked.
    fn check_trailers(&self, trailers: Trailers<'_>, chunked: bool) {
        let came: Vec<_> = trailers.map(|line| (line.name, line.value)).collect();
        let sent = if chunked { self.trailers() } else { &[] };
        let sent = sent.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        assert_eq!(came, sent.collect::<Vec<_>>(), "S8.5: other trailers than were sent");
    }

    /// Beyond the budget for content unread, or asked for by a 100.
    fn doubtful(&self) -> bool {
        self.reading != Reading::All && (self.up == Content::Unknown || self.expect)
    }
}

const SEVEN: Duration = Duration::from_secs(7);
const SENT: &[u8] = b"ab";
const ANSWERS: [&[u8]; 2] = [b"xy", b"vw"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Request,
    SendContent,
    FinishRequest,
    Transmit(Who),
    Deliver(Who),
    End(Who),
    Respond,
    SendAnswer,
    FinishAnswer,
    Tick,
    Cut(Who),
    Reset,
    Drain,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    Client,
    Server,
}

use Who::{Client, Server};

impl Action {
    pub const ALL: &'static [Self] = &[
        Self::Request,
        Self::SendContent,
        Self::FinishRequest,
        Self::Transmit(Client),
        Self::Transmit(Server),
        Self::Deliver(Client),
        Self::Deliver(Server),
        Self::End(Client),
        Self::End(Server),
        Self::Respond,
        Self::SendAnswer,
        Self::FinishAnswer,
        Self::Tick,
        Self::Cut(Client),
        Self::Cut(Server),
        Self::Reset,
        Self::Drain,
    ];
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Item {
    Data(Vec<u8>),
    Fin,
    Rst,
}

/// One end, without its machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Side {
    /// Pieces written and not transmitted; transmitted and not delivered; delivered and not consumed.
    tx: VecDeque<Vec<u8>>,
    wire: VecDeque<Item>,
    rx: Vec<u8>,
    closed: Option<CloseReason>,
    shut: bool,
    /// What it sends is lost from here on, and nobody tells.
    cut: bool,
    unwritable: bool,
    closing: bool,
}

/// What came of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Came {
    Open,
    Done,
    /// A close-delimited response that the network ended.
    Clipped,
    /// The machine's own answer.
    Own(u16),
    Failed(Verdict),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Made {
    came: Came,
    status: u16,
    got: usize,
    until_close: bool,
    executed: bool,
}

/// The request that the server's application is at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Serving {
    n: u8,
    busy: bool,
    got: usize,
    whole: bool,
    failed: bool,
    responded: bool,
    sent: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct State {
    now: u64,
    client: client::Connection,
    server: server::Connection,
    c: Side,
    s: Side,
    made: Vec<Made>,
    up_sent: bool,
    up_finished: bool,
    serving: Serving,
    ticks: u8,
    faults: u8,
    /// A deadline passed, or a fault happened, before it was all over.
    pub disturbed: bool,
}

fn at(now: u64) -> Instant {
    Instant::from_micros(now)
}

impl State {
    pub fn new(cfg: &Setting) -> Self {
        Self {
            now: 0,
            client: client::Connection::new(&cfg.client(), at(0)),
            server: server::Connection::new(&cfg.server(), at(0)),
            c: Side::default(),
            s: Side::default(),
            made: Vec::new(),
            up_sent: false,
            up_finished: false,
            serving: Serving::default(),
            ticks: 0,
            faults: 0,
            disturbed: false,
        }
    }

    /// Cheap, and not unique: equality has the last word.
    pub fn fingerprint(&self) -> u64 {
        let mut h = DefaultHasher::new();
        (self.now, &self.c, &self.s, &self.made, self.serving).hash(&mut h);
        (self.up_sent, self.up_finished, self.ticks, self.faults, self.disturbed).hash(&mut h);
        (self.client.deadline(), self.client.untransmitted(), self.client.outstanding())
            .hash(&mut h);
        (self.server.deadline(), self.server.untransmitted(), self.server.requests()).hash(&mut h);
        let (a, b) = (self.client.wants(), self.server.wants());
        (a.read, a.head, a.content, a.end.is_some()).hash(&mut h);
        (b.read, b.head, b.content, b.emit, b.end.is_some()).hash(&mut h);
        h.finish()
    }

    /// Both ends have closed.
    pub fn is_over(&self) -> bool {
        self.c.closed.is_some() && self.s.closed.is_some()
    }

    /// What came of each request.
    pub fn came(&self) -> impl Iterator<Item = Came> {
        self.made.iter().map(|made| made.came)
    }

    /// What must hold at the end.
    pub fn check_end(&self, cfg: &Setting) {
        assert!(self.disturbed || !self.made.is_empty(), "nothing was asked for");
        for (n, made) in self.made.iter().enumerate() {
            assert!(made.came != Came::Open, "request {n} never ended: {self:?}");
            let fine = matches!(made.came, Came::Done | Came::Failed(Verdict::Safe));
            // S1.3-14: content still wanted when the response is over closes unannounced.
            let excused = n == 1 && cfg.doubtful();
            assert!(self.disturbed || fine || excused, "request {n}: {:?} {self:?}", made.came);
        }
    }

    /// What comes of an action, if it can be now.
    pub fn after(&self, action: Action, cfg: &Setting) -> Option<Self> {
        let mut next = self.clone();
        if !next.act(action, cfg) {
            return None;
        }
        next.check();
        next.client.check_follows(&self.client);
        next.server.check_follows(&self.server);
        Some(next)
    }

    fn check(&mut self) {
        self.client.check_invariants();
        self.server.check_invariants();
        let states = [
            (self.client.persistence(), &mut self.c.closing),
            (self.server.persistence(), &mut self.s.closing),
        ];
        for (persistence, closing) in states {
            let closes = matches!(persistence, Persistence::Close(_));
            assert!(closes || !*closing, "S1.3: a close was taken back");
            *closing = closes;
        }
        for (n, made) in self.made.iter().enumerate() {
            let lied = made.came == Came::Failed(Verdict::Safe) && made.executed;
            assert!(!lied, "S5: request {n} is safe to repeat, and was executed: {self:?}");
        }
    }

    fn act(&mut self, action: Action, cfg: &Setting) -> bool {
        match action {
            Action::Request => self.c.closed.is_none() && self.request(cfg),
            Action::SendContent => self.send_content(cfg),
            Action::FinishRequest => self.finish_request(cfg),
            Action::Transmit(Client) => self.transmit(Client),
            Action::Transmit(Server) => self.transmit(Server),
            Action::Deliver(from) => self.deliver(from, cfg),
            Action::End(Client) => self.end_client(),
            Action::End(Server) => self.end_server(),
            Action::Respond => self.respond(cfg),
            Action::SendAnswer => self.send_answer(cfg),
            Action::FinishAnswer => self.finish_answer(cfg),
            Action::Tick => self.tick(cfg),
            Action::Cut(_) | Action::Reset | Action::Drain => self.fault(action, cfg),
        }
    }

    // ---- the client ----

    fn request(&mut self, cfg: &Setting) -> bool {
        let n = self.made.len();
        if n == 2 {
            return false;
        }
        let now = at(self.now);
        if n == 1 && self.client.outstanding() == 0 {
            use client::Reuse::{ImmediateOnly, Ready};
            let reuse = self.client.checkout(now, keepalive::Io::Nothing, &self.c.rx);
            if !matches!(reuse, Ready { .. } | ImmediateOnly) {
                return false;
            }
            self.c.rx.clear();
        }
        let id = [b'0' + n as u8];
        let id = std::str::from_utf8(&id).expect("a digit");
        let mut fields = vec![("Host", "a"), ("X-Id", id)];
        let first = n == 0;
        if first && cfg.client_closes {
            fields.push(("Connection", "close"));
        }
        if first && cfg.expect {
            fields.push(("Expect", "100-continue"));
        }
        let content = if first { cfg.up } else { Content::None };
        let mut out = [0; 512];
        let method = cfg.method(n as u8);
        match self.client.request(now, method, "/", fields, content, &mut out) {
            Ok(started) => pieces(&mut self.c.tx, &out[..started.written], cfg),
            Err(_) => return false,
        }
        let came = Came::Open;
        self.made.push(Made { came, status: 0, got: 0, until_close: false, executed: false });
        true
    }

    fn send_content(&mut self, cfg: &Setting) -> bool {
        let due = !self.up_sent && self.client.wants().content && self.made.len() == 1;
        if !due || self.c.closed.is_some() {
            return false;
        }
        let mut out = [0; 64];
        let moved = self.client.send(at(self.now), SENT, &mut out).expect("content that is wanted");
        assert_eq!(moved.taken, SENT.len());
        pieces(&mut self.c.tx, &out[..moved.written], cfg);
        self.up_sent = true;
        true
    }

    fn finish_request(&mut self, cfg: &Setting) -> bool {
        let due = self.up_sent && !self.up_finished && self.client.wants().content;
        if !due || self.c.closed.is_some() {
            return false;
        }
        assert_eq!(cfg.up, Content::Unknown, "S8.10: a length that does not end itself");
        let mut out = [0; 64];
        let n = self
            .client
            .finish(at(self.now), cfg.trailers().iter().copied(), &mut out)
            .expect("room");
        pieces(&mut self.c.tx, &out[..n], cfg);
        self.up_finished = true;
        true
    }

    fn client_reads(&mut self, cfg: &Setting) {
        loop {
            let step = self.client.receive(at(self.now), &self.c.rx, usize::MAX);
            let consumed = step.consumed;
            let Some(event) = step.event else {
                self.c.rx.drain(..consumed);
                return;
            };
            let open = self.made.iter().position(|m| m.came == Came::Open);
            let n = open.unwrap_or_else(|| panic!("an event of nothing: {event:?}"));
            let made = &mut self.made[n];
            match event {
                client::Event::Interim(head) => assert_eq!((head.status(), made.status), (100, 0)),
                client::Event::Response(head) => {
                    assert_eq!(made.status, 0, "two responses");
                    made.status = head.status();
                    made.until_close = head.framing() == ResponseFraming::UntilClose;
                    let id = head.field("x-id");
                    if head.status() == 200 || head.status() == 204 {
                        assert_eq!(id, Some(&[b'0' + n as u8][..]), "another's response");
                    } else {
                        assert!(id.is_none() && self.disturbed && head.status() == 408, "{head:?}");
                    }
                }
                client::Event::Content(octets) => {
                    let due = &cfg.answer(n)[made.got..];
                    assert!(made.status == 200 && due.starts_with(octets), "another's content");
                    made.got += octets.len();
                }
                client::Event::End(trailers) => {
                    assert!(made.status > 0);
                    let due = if made.status == 200 { cfg.answer(n).len() } else { 0 };
                    let chunked = due > 0 && cfg.down == Content::Unknown && !made.until_close;
                    cfg.check_trailers(trailers, chunked);
                    let cut = made.until_close && self.s.cut;
                    assert!(made.got == due || cut, "S6.4: a part, and called whole");
                    made.came = match made.status {
                        200 | 204 if made.got == due => Came::Done,
                        200 => Came::Clipped,
                        own => Came::Own(own),
                    };
                }
                client::Event::Failed(failure) => {
                    let open = self.client.outstanding();
                    let first = self.made.len() - open;
                    assert_eq!(first, n, "not the oldest fails");
                    let quiet = self.disturbed || failure.kind == Kind::NoResponse;
                    assert!(quiet, "{failure:?} though nothing went wrong");
                    for i in 0..open {
                        let verdict = self.client.retry(i).expect("a verdict on each");
                        self.made[first + i].came = Came::Failed(verdict.verdict);
                    }
                }
            }
            self.c.rx.drain(..consumed);
        }
    }

    fn end_client(&mut self) -> bool {
        if self.c.closed.is_some() {
            return false;
        }
        let (why, item) = match self.client.wants().end {
            Some(End::Close(why)) => (why, Item::Fin),
            Some(End::Abort(why)) => (why, Item::Rst),
            Some(end) => panic!("{end:?} of a client"),
            None => return false,
        };
        let open = self.made.iter().any(|m| m.came == Came::Open);
        assert!(!open, "closed, and a request was never ended: {self:?}");
        assert!(matches!(self.client.persistence(), Persistence::Close(_)), "no reason");
        close(&mut self.c, why, item);
        true
    }

    // ---- the server ----

    fn server_reads(&mut self, cfg: &Setting) {
        loop {
            let now = at(self.now);
            let step = self.server.receive(now, &self.s.rx, usize::MAX);
            let consumed = step.consumed;
            let Some(event) = step.event else {
                self.s.rx.drain(..consumed);
                break;
            };
            let serving = &mut self.serving;
            match event {
                server::Event::Request(head) => {
                    let over = serving.responded && !self.server.wants().content;
                    assert!(!serving.busy || over, "S7.1: {serving:?}");
                    let n = head.field("x-id").expect("a number")[0] - b'0';
                    let known = self.made.get(usize::from(n)).expect("a request that was made");
                    assert!(!known.executed, "request {n} is executed twice");
                    assert_eq!(head.method(), cfg.method(n));
                    match cfg.reading {
                        Reading::Unread if n == 0 => {}
                        Reading::Skipped if n == 0 => self.server.skip_content(now),
                        _ => self.server.read_content(now),
                    }
                    *serving = Serving { n, busy: true, ..Serving::default() };
                }
                server::Event::Content(octets) => {
                    assert!(serving.n == 0 && SENT[serving.got..].starts_with(octets));
                    serving.got += octets.len();
                }
                server::Event::End(trailers) => {
                    assert!(serving.busy && !serving.whole && !serving.failed, "{serving:?}");
                    let due = if serving.n == 0 && self.up_sent { SENT.len() } else { 0 };
                    assert_eq!(serving.got, due, "a part, and called whole");
                    cfg.check_trailers(trailers, due > 0 && cfg.up == Content::Unknown);
                    serving.whole = true;
                    self.made[usize::from(serving.n)].executed = true;
                }
                server::Event::Failed(failure) => {
                    assert!(self.disturbed || serving.responded, "{failure:?} for nothing");
                    if serving.busy && !serving.whole {
                        assert!(!serving.failed, "a second failure: {failure:?}");
                        serving.failed = true;
                    }
                }
            }
            self.s.rx.drain(..consumed);
        }
        let mut out = [0; server::Connection::EMIT_ROOM];
        let due = self.server.wants().emit;
        let n = self.server.emit(at(self.now), &mut out).expect("EMIT_ROOM is enough");
        assert_eq!(due, n > 0);
        pieces(&mut self.s.tx, &out[..n], cfg);
    }

    fn respond(&mut self, cfg: &Setting) -> bool {
        let serving = self.serving;
        let ready = serving.whole
            || match cfg.reading {
                Reading::All => false,
                Reading::Unread | Reading::Skipped => true,
                Reading::Early => serving.got > 0,
            };
        if !self.server.wants().head || !ready || self.s.closed.is_some() {
            return false;
        }
        assert!(serving.busy && !serving.responded && !serving.failed, "{serving:?}");
        let id = [b'0' + serving.n];
        let id = std::str::from_utf8(&id).expect("a digit");
        let mut fields = vec![("X-Id", id)];
        if cfg.server_closes && serving.n == 0 {
            fields.push(("Connection", "close"));
        }
        let status = if cfg.down == Content::None { 204 } else { 200 };
        let mut out = [0; 512];
        let started = self.server.respond(at(self.now), status, fields, cfg.down, &mut out);
        pieces(&mut self.s.tx, &out[..started.expect("a response that is owed").written], cfg);
        self.serving.responded = true;
        self.made[usize::from(serving.n)].executed = true;
        self.server_reads(cfg);
        true
    }

    fn send_answer(&mut self, cfg: &Setting) -> bool {
        let serving = &mut self.serving;
        if serving.sent || !serving.responded || !self.server.wants().content {
            return false;
        }
        serving.sent = true;
        let content = ANSWERS[usize::from(serving.n)];
        let mut out = [0; 64];
        let moved = self.server.send(at(self.now), content, &mut out).expect("content");
        assert_eq!(moved.taken, content.len());
        pieces(&mut self.s.tx, &out[..moved.written], cfg);
        self.server_reads(cfg);
        true
    }

    fn finish_answer(&mut self, cfg: &Setting) -> bool {
        if !self.serving.sent || !self.server.wants().content {
            return false;
        }
        assert_eq!(cfg.down, Content::Unknown, "S8.10: a length that does not end itself");
        let mut out = [0; 64];
        let n = self
            .server
            .finish(at(self.now), cfg.trailers().iter().copied(), &mut out)
            .expect("room");
        pieces(&mut self.s.tx, &out[..n], cfg);
        self.server_reads(cfg);
        true
    }

    fn end_server(&mut self) -> bool {
        if self.s.closed.is_some() {
            return false;
        }
        let (why, item) = match self.server.wants().end {
            None => return false,
            Some(End::ShutdownWrite) => {
                assert!(self.s.tx.is_empty(), "half-close before flush");
                if !self.s.cut {
                    self.s.wire.push_back(Item::Fin);
                }
                self.s.shut = true;
                self.server.write_closed(at(self.now));
                return true;
            }
            Some(End::Close(why)) => (why, Item::Fin),
            Some(End::Abort(why)) => (why, Item::Rst),
            Some(End::Tunnel) => panic!("a tunnel"),
        };
        assert!(matches!(self.server.persistence(), Persistence::Close(_)), "no reason");
        close(&mut self.s, why, item);
        true
    }

    // ---- the world ----

    fn transmit(&mut self, who: Who) -> bool {
        let now = at(self.now);
        let side = if who == Client { &mut self.c } else { &mut self.s };
        let aborting = match who {
            // S5: what the verdict calls unsent must not be sent after it.
            Client => self.client.wants().end.is_some(),
            Server => matches!(self.server.wants().end, Some(End::Abort(_))),
        };
        if side.closed.is_some() || aborting {
            return false;
        }
        let Some(piece) = side.tx.pop_front() else { return false };
        if side.unwritable {
            side.tx.clear();
            match who {
                Client => self.client.lost(now, Lost::Write),
                Server => self.server.lost(now, Lost::Write),
            }
            return true;
        }
        let n = piece.len() as u64;
        if !side.cut {
            side.wire.push_back(Item::Data(piece));
        }
        match who {
            Client => self.client.transmitted(now, n),
            Server => self.server.transmitted(now, n),
        }
        true
    }

    fn deliver(&mut self, from: Who, cfg: &Setting) -> bool {
        let now = at(self.now);
        let (from_side, to) = match from {
            Client => (&mut self.c, &mut self.s),
            Server => (&mut self.s, &mut self.c),
        };
        let Some(item) = from_side.wire.pop_front() else { return false };
        if to.closed.is_some() {
            // Nobody reads any more: what is on its way back is destroyed with it.
            if matches!(item, Item::Data(_)) && !from_side.unwritable {
                to.wire.clear();
                to.wire.push_back(Item::Rst);
            }
            return true;
        }
        match item {
            Item::Data(octets) => to.rx.extend(octets),
            Item::Fin if from == Client => self.server.received_eof(now),
            Item::Fin => self.client.received_eof(now),
            Item::Rst => {
                to.unwritable = true;
                match from {
                    Client => self.server.lost(now, Lost::Reset),
                    Server => self.client.lost(now, Lost::Reset),
                }
            }
        }
        match from {
            Client => self.server_reads(cfg),
            Server => self.client_reads(cfg),
        }
        true
    }

    fn tick(&mut self, cfg: &Setting) -> bool {
        let client = self.client.deadline().filter(|_| self.c.closed.is_none());
        let server = self.server.deadline().filter(|_| self.s.closed.is_none());
        let Some(at) = [client, server].into_iter().flatten().map(|d| d.at).min() else {
            return false;
        };
        // A step of the clock is free when nothing else can happen.
        let others = Action::ALL.iter().any(|&a| {
            let fault = matches!(a, Action::Cut(_) | Action::Reset | Action::Drain);
            !fault && a != Action::Tick && self.clone().act(a, cfg)
        });
        if others {
            if self.ticks == cfg.ticks {
                return false;
            }
            self.ticks += 1;
        }
        let all = self.made.len() == 2 && self.made.iter().all(|m| m.came != Came::Open);
        self.disturbed |= others && !all;
        // What becomes due by another call than expire may be due already.
        self.now = self.now.max(at.as_micros());
        let at = Instant::from_micros(self.now);
        if self.c.closed.is_none() {
            self.client.expire(at);
            assert!(self.client.deadline().is_none_or(|d| d.at > at), "still due: {self:?}");
            self.client_reads(cfg);
        }
        if self.s.closed.is_none() {
            self.server.expire(at);
            assert!(self.server.deadline().is_none_or(|d| d.at > at), "still due: {self:?}");
            self.server_reads(cfg);
        }
        true
    }

    fn fault(&mut self, action: Action, cfg: &Setting) -> bool {
        if self.faults == cfg.faults || self.is_over() {
            return false;
        }
        match action {
            Action::Cut(who) => {
                let side = if who == Client { &mut self.c } else { &mut self.s };
                if side.cut || side.shut || side.closed.is_some() {
                    return false;
                }
                side.cut = true;
                side.wire.push_back(Item::Fin);
            }
            Action::Reset => {
                for side in [&mut self.c, &mut self.s] {
                    side.wire.clear();
                    side.wire.push_back(Item::Rst);
                    side.cut = true;
                }
            }
            _ => {
                if self.s.closed.is_some() {
                    return false;
                }
                self.server.retire(at(self.now), Retire::Drain);
            }
        }
        self.faults += 1;
        self.disturbed = true;
        true
    }
}

fn close(side: &mut Side, why: CloseReason, item: Item) {
    side.closed = Some(why);
    side.tx.clear();
    side.rx.clear();
    if item == Item::Rst {
        side.wire.clear();
    }
    if !side.cut && (!side.shut || item == Item::Rst) {
        side.wire.push_back(item);
    }
    side.shut = true;
}

/// Queues octets for transmission, in two pieces where the setting says so.
fn pieces(tx: &mut VecDeque<Vec<u8>>, octets: &[u8], cfg: &Setting) {
    let cut = if cfg.pieces { octets.len() / 2 } else { 0 };
    for piece in [&octets[..cut], &octets[cut..]] {
        if !piece.is_empty() {
            tx.push_back(piece.to_vec());
        }
    }
}
