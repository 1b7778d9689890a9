//! Two ends on a pipe: a client and a server, random cuts, a virtual clock. Response n answers
//! request n, whatever the content, and in the end nothing is left to do.

use super::at;
use super::codec::Source;
use keepalive::client::{self, Reuse};
use keepalive::server;
use keepalive::{CloseReason, Content, End, Instant, Io, NO_FIELDS, Persistence, Plan, SendError};
use std::collections::VecDeque;

/// How one exchange goes.
#[derive(Clone, Debug)]
pub struct Exchange {
    method: &'static str,
    upload: (usize, Content),
    expect: bool,
    /// The server: answers before it reads, reads all first, or skips.
    manner: u8,
    interim: bool,
    status: u16,
    answer: (usize, Content),
    server_closes: bool,
}

#[derive(Clone, Debug)]
pub struct Script {
    exchanges: Vec<Exchange>,
    pipeline: bool,
    http10: bool,
    max_requests: u32,
    /// Octets that move at once, and output space, in turns.
    cuts: Vec<usize>,
    window: usize,
}

pub fn script(data: &[u8]) -> Script {
    let s = &mut Source::new(data);
    let http10 = s.byte() < 30;
    let pipeline = s.byte() % 2 == 1;
    let max_requests = if s.byte() < 30 { 2 } else { 0 };
    let cuts = (0..=s.below(6)).map(|_| usize::from(s.byte()) + 1).collect();
    let window = usize::from(s.byte()) * 8 + 64;
    let exchanges = (0..=s.below(7))
        .map(|_| {
            let method =
                ["GET", "GET", "GET", "HEAD", "POST", "PUT", "POST"][usize::from(s.below(7))];
            let n = usize::from(s.byte()) * (1 + usize::from(s.below(8)) * 4);
            let upload = match (method, s.below(2)) {
                ("POST" | "PUT", 0) if !http10 => (n, Content::Unknown),
                ("POST" | "PUT", _) => (n, Content::Length(n as u64)),
                _ => (0, Content::None),
            };
            let expect = s.below(3) == 0 && n > 0 && upload.1 != Content::None && !http10;
            let m = usize::from(s.byte()) * (1 + usize::from(s.below(8)) * 4);
            let (status, answer) = match s.below(6) {
                0 => (204, (0, Content::None)),
                1 => (304, (0, Content::Length(m as u64))),
                2 | 3 => (200, (m, Content::Unknown)),
                _ => (200, (m, Content::Length(m as u64))),
            };
            Exchange {
                method,
                upload,
                expect,
                manner: s.below(4),
                interim: s.below(4) == 0,
                status,
                answer,
                server_closes: s.byte() < 20,
            }
        })
        .collect();
    Script { exchanges, pipeline, http10, max_requests, cuts, window }
}

/// The content of a message: it tells which one it is.
fn content(tag: usize, len: usize) -> Vec<u8> {
    piece(tag, 0, len)
}

/// A piece of it: made when it is wanted, since it is sent in many.
fn piece(tag: usize, from: usize, len: usize) -> Vec<u8> {
    (from..from + len).map(|i| (tag * 37 + i * 11 + 5) as u8).collect()
}

/// One direction of a connection: what is written and not delivered, and what is delivered and unread.
#[derive(Debug, Default)]
struct Pipe {
    flight: VecDeque<u8>,
    unread: Vec<u8>,
    closed: bool,
    /// The closing was seen.
    ended: bool,
}

impl Pipe {
    fn deliver(&mut self, n: usize, window: usize) -> bool {
        let n = n.min(self.flight.len()).min(window.saturating_sub(self.unread.len()));
        self.unread.extend(self.flight.drain(..n));
        n > 0
    }
}

#[derive(Debug)]
struct Upload {
    tag: usize,
    at: usize,
    plan: Plan,
}

struct World<'s> {
    script: &'s Script,
    t: u64,
    turn: usize,
    reads: usize,
    client: client::Connection,
    server: server::Connection,
    up: Pipe,
    down: Pipe,
    /// Output of each end that the pipe has not taken.
    client_out: VecDeque<u8>,
    server_out: VecDeque<u8>,
    // the client's application
    first: usize,
    asked: usize,
    upload: Option<Upload>,
    answered: usize,
    got: Vec<u8>,
    interims: usize,
    // the server's application
    serving: Option<usize>,
    read: Vec<u8>,
    whole: bool,
    answer: Option<Upload>,
    served_upto: usize,
}

impl World<'_> {
    fn now(&self) -> Instant {
        at(self.t)
    }

    fn cut(&mut self) -> usize {
        self.turn += 1;
        self.script.cuts[self.turn % self.script.cuts.len()]
    }

    /// The number of an exchange is in its target.
    fn ask(&mut self) -> bool {
        let Some(exchange) = self.script.exchanges.get(self.asked) else { return false };
        if self.upload.is_some() || self.client.wants().end.is_some() {
            return false;
        }
        let now = self.now();
        if self.client.outstanding() == 0 && self.asked > self.first {
            match self.client.checkout(now, Io::Nothing, &self.down.unread) {
                Reuse::Ready { .. } | Reuse::ImmediateOnly => self.down.unread.clear(),
                _ => return false,
            }
        }
        let target = format!("/{}", self.asked);
        let fields = [("Host", "a"), ("Expect", "100-continue")];
        let fields = fields[..if exchange.expect { 2 } else { 1 }].iter().copied();
        let mut out = [0; 400];
        let made =
            self.client.request(now, exchange.method, &target, fields, exchange.upload.1, &mut out);
        match made {
            Ok(started) => {
                self.client_out.extend(&out[..started.written]);
                if started.plan != Plan::None {
                    self.upload = Some(Upload { tag: self.asked, at: 0, plan: started.plan });
                }
                self.asked += 1;
                true
            }
            Err(SendError::NotReady(_)) => false,
            Err(e) => panic!("{e:?} of {exchange:?}"),
        }
    }

    fn send_upload(&mut self) -> bool {
        if !self.client.wants().content {
            return false;
        }
        let (now, room) = (self.now(), self.cut());
        let upload = self.upload.as_mut().expect("content is wanted, and there is none");
        let (len, _) = self.script.exchanges[upload.tag].upload;
        let mut out = vec![0; room.max(8)];
        // More than there is room for, and not more than is needed for that.
        let rest = &piece(upload.tag, upload.at, (len - upload.at).min(room + 32))[..];
        let written = if rest.is_empty() {
            let n = match upload.plan {
                Plan::Chunked => {
                    let tag = upload.tag.to_string();
                    self.client.finish(now, [("Tag", &*tag)], &mut [0; 64]).expect("the end");
                    let end = format!("0\r\nTag: {tag}\r\n\r\n").into_bytes();
                    self.client_out.extend(end);
                    0
                }
                _ => panic!("all of it is sent, and more is wanted"),
            };
            self.upload = None;
            n
        } else {
            let moved = self.client.send(now, rest, &mut out).expect("content");
            upload.at += moved.taken;
            if upload.at == len && !matches!(upload.plan, Plan::Chunked) {
                self.upload = None;
            }
            moved.written
        };
        self.client_out.extend(&out[..written]);
        true
    }

    fn client_reads(&mut self) -> bool {
        let (now, mut any) = (self.now(), false);
        loop {
            let unread = std::mem::take(&mut self.down.unread);
            self.reads += 1;
            let room = if self.reads.is_multiple_of(5) { 0 } else { usize::MAX };
            any |= room == 0;
            let step = self.client.receive(now, &unread, room);
            any |= step.consumed > 0 || step.event.is_some();
            let none = step.event.is_none();
            match step.event {
                Some(client::Event::Interim(head)) => {
                    assert!([100, 103].contains(&head.status()));
                    if head.status() == 100 && self.upload.is_some() {
                        assert!(self.client.wants().content, "a 100, and nothing may be sent");
                    }
                    self.interims += 1;
                }
                Some(client::Event::Response(head)) => {
                    let exchange = &self.script.exchanges[self.answered];
                    assert_eq!(head.status(), exchange.status);
                    assert_eq!(head.field("tag"), Some(self.answered.to_string().as_bytes()));
                    assert!(self.got.is_empty());
                }
                Some(client::Event::Content(piece)) => self.got.extend_from_slice(piece),
                Some(client::Event::End(mut trailers)) => {
                    let exchange = &self.script.exchanges[self.answered];
                    let len = match exchange.method {
                        "HEAD" => 0,
                        _ => exchange.answer.0,
                    };
                    assert_eq!(self.got, content(self.answered, len), "the answer to {exchange:?}");
                    if let Some(tag) = trailers.next() {
                        assert_eq!(tag.value, self.answered.to_string().as_bytes());
                    }
                    self.got.clear();
                    self.answered += 1;
                    if self.upload.as_ref().is_some_and(|u| u.tag < self.answered)
                        && !self.client.wants().content
                    {
                        self.upload = None;
                    }
                }
                Some(client::Event::Failed(f)) => {
                    // Nothing fails on this pipe, but what stands behind a `close`.
                    let open = self.client.outstanding();
                    assert!(open > 0 && self.answered > 0, "{f}: {:?}", self.client);
                    for nth in 0..open {
                        let retry = self.client.retry(nth).expect("one in flight");
                        // Only where content was left unread does a server close unannounced (S1.3-14).
                        let why = self.server.persistence();
                        let unannounced = why == Persistence::Close(CloseReason::UnreadContent);
                        assert!(retry.allows(true) || unannounced, "{retry:?} {why:?}");
                    }
                    self.asked = self.answered;
                    self.upload = None;
                }
                None => {}
            }
            self.down.unread = unread[step.consumed..].to_vec();
            self.client.check_invariants();
            if none {
                break;
            }
        }
        if self.down.closed
            && self.down.flight.is_empty()
            && self.down.unread.is_empty()
            && !self.down.ended
        {
            self.down.ended = true;
            self.client.received_eof(now);
            return true;
        }
        any
    }

    fn server_reads(&mut self) -> bool {
        let (now, mut any) = (self.now(), false);
        loop {
            let unread = std::mem::take(&mut self.up.unread);
            let step = self.server.receive(now, &unread, self.script.window);
            any |= step.consumed > 0 || step.event.is_some();
            let none = step.event.is_none();
            match step.event {
                Some(server::Event::Request(head)) => {
                    let tag: usize =
                        std::str::from_utf8(&head.target()[1..]).unwrap().parse().unwrap();
                    assert_eq!(tag, self.served_upto, "requests come in order");
                    let exchange = &self.script.exchanges[tag];
                    assert_eq!(head.method(), exchange.method);
                    assert_eq!(self.serving.replace(tag), None, "one at a time");
                    self.whole = false;
                    self.read.clear();
                    if exchange.manner < 2 {
                        self.server.read_content(now);
                    }
                }
                Some(server::Event::Content(piece)) => self.read.extend_from_slice(piece),
                Some(server::Event::End(mut trailers)) => {
                    let tag = self.served_upto.saturating_sub(usize::from(self.serving.is_none()));
                    let (len, kind) = self.script.exchanges[tag].upload;
                    assert_eq!(self.read, content(tag, len));
                    if kind == Content::Unknown {
                        let line = trailers.next().expect("a trailer");
                        assert_eq!(line.value, tag.to_string().as_bytes());
                    }
                    self.whole = true;
                }
                Some(server::Event::Failed(f)) => {
                    // The client stops an upload after an early answer that closes.
                    let cut = self.serving.is_none() || self.answer.is_some();
                    assert!(cut && !self.server.persistence().persists(), "{f}: {:?}", self.server);
                }
                None => {}
            }
            self.up.unread = unread[step.consumed..].to_vec();
            self.server.check_invariants();
            if none {
                break;
            }
        }
        let mut out = [0; 128];
        let n = self.server.emit(now, &mut out).expect("room enough");
        self.server_out.extend(&out[..n]);
        if n > 0 {
            assert!(out.starts_with(b"HTTP/1.1 100 "), "{}", out[..n].escape_ascii());
        }
        if self.up.closed
            && self.up.flight.is_empty()
            && self.up.unread.is_empty()
            && !self.up.ended
        {
            self.up.ended = true;
            self.server.received_eof(now);
            return true;
        }
        any || n > 0
    }

    fn serve(&mut self) -> bool {
        let now = self.now();
        if let Some(answer) = &mut self.answer {
            if !self.server.wants().content {
                panic!("an answer is not finished, and no content is wanted: {:?}", self.server);
            }
            let tag = answer.tag;
            let all = self.script.exchanges[tag].answer.0;
            if answer.at == all {
                let text = tag.to_string();
                let mut out = [0; 64];
                let n = if answer.plan == Plan::Chunked {
                    self.server.finish(now, [("Tag", &*text)], &mut out).expect("the end")
                } else {
                    self.server.finish(now, NO_FIELDS, &mut out).expect("the end")
                };
                self.server_out.extend(&out[..n]);
                self.answer = None;
                return true;
            }
            let cut = self.script.cuts[self.turn % self.script.cuts.len()];
            let piece = &piece(tag, answer.at, cut.min(all - answer.at))[..];
            let frame = self.server.frame(now, piece.len() as u64).expect("content");
            self.server_out.extend(&*frame.prefix);
            self.server_out.extend(piece);
            self.server_out.extend(frame.suffix);
            answer.at += piece.len();
            if answer.at == all && matches!(answer.plan, Plan::Length(_)) {
                self.answer = None;
            }
            return true;
        }
        let Some(tag) = self.serving else { return false };
        let exchange = &self.script.exchanges[tag];
        // Manner 1 answers while it reads, 2 skips first, 3 answers without a word.
        if exchange.manner == 0 && !self.whole {
            return false;
        }
        assert!(self.server.wants().head, "a request unanswered: {:?}", self.server);
        let mut out = [0; 600];
        if exchange.interim {
            let n = self.server.inform(now, 103, [("Link", "x")], &mut out).expect("interim");
            self.server_out.extend(&out[..n]);
        }
        if exchange.manner == 2 {
            self.server.skip_content(now);
        }
        let text = tag.to_string();
        let fields = [("Tag", &*text), ("Connection", "close")];
        let fields = fields[..if exchange.server_closes { 2 } else { 1 }].iter().copied();
        let started = self
            .server
            .respond(now, exchange.status, fields, exchange.answer.1, &mut out)
            .expect("a response that is owed");
        self.server_out.extend(&out[..started.written]);
        if !matches!(started.plan, Plan::None) {
            self.answer = Some(Upload { tag, at: 0, plan: started.plan });
        }
        self.serving = None;
        self.served_upto = tag + 1;
        true
    }

    /// Moves some octets, and tells each end what of its output is gone.
    fn carry(&mut self) -> bool {
        let (a, b, c, d) = (self.cut(), self.cut(), self.cut(), self.cut());
        let window = self.script.window;
        // The kernel's buffers are bounded too.
        let n = a.min(self.client_out.len()).min(window.saturating_sub(self.up.flight.len()));
        self.up.flight.extend(self.client_out.drain(..n));
        let now = self.now();
        self.client.transmitted(now, n as u64);
        let m = b.min(self.server_out.len()).min(window.saturating_sub(self.down.flight.len()));
        self.down.flight.extend(self.server_out.drain(..m));
        self.server.transmitted(now, m as u64);
        // A buffer always has space for a head.
        let up = self.up.deliver(c, 40_000);
        let down = self.down.deliver(d, 40_000);
        n > 0 || m > 0 || up || down
    }

    /// One connection, from its beginning to rest. Whether it can be used again.
    fn run(&mut self) {
        let mut quiet = 0;
        // A pipe that passes an octet a turn has as many turns as the exchanges have octets, or more.
        for _ in 0..1_000_000 {
            let mut any = self.carry();
            any |= self.client_reads();
            any |= self.server_reads();
            any |= self.serve();
            any |= self.server_reads();
            any |= self.ask();
            any |= self.send_upload();
            if matches!(self.client.wants().end, Some(End::Close(_) | End::Abort(_))) {
                // A client that is over sends nothing more.
                self.client_out.clear();
            } else {
                assert_eq!(self.client.untransmitted(), self.client_out.len() as u64);
            }
            assert_eq!(self.server.untransmitted(), self.server_out.len() as u64);
            match self.server.wants().end {
                Some(End::ShutdownWrite) if !self.down.closed => {
                    assert!(self.server_out.is_empty());
                    self.down.closed = true;
                    self.server.write_closed(self.now());
                    any = true;
                }
                Some(End::Close(_)) if !self.down.closed => {
                    self.down.closed = true;
                    any = true;
                }
                Some(End::Abort(why)) => panic!("aborted: {why}"),
                Some(End::Tunnel) => panic!("a tunnel"),
                _ => {}
            }
            match self.client.wants().end {
                Some(End::Close(_)) if !self.up.closed => {
                    // Closing destroys what was not yet sent.
                    self.up.closed = true;
                    any = true;
                }
                Some(End::Abort(why)) => panic!("aborted: {why}: {:?}", self.client),
                _ => {}
            }
            let over = |end| matches!(end, Some(End::Close(_)));
            if over(self.client.wants().end) && over(self.server.wants().end) {
                return;
            }
            if any {
                quiet = 0;
                continue;
            }
            if self.answered == self.script.exchanges.len()
                && self.client.outstanding() == 0
                && self.upload.is_none()
                && self.client.wants().end.is_none()
                && self.server.wants().end.is_none()
            {
                // Rest: all is answered, and the connection is idle at both ends.
                assert!(self.server.is_idle(), "{:?}", self.server);
                assert!(self.down.unread.is_empty() && self.up.unread.is_empty());
                assert_eq!(self.server.untransmitted() + self.client.untransmitted(), 0);
                return;
            }
            quiet += 1;
            assert!(quiet < 30, "stuck: {:?}\n{:?}", self.client, self.server);
            let next = [self.client.deadline(), self.server.deadline()];
            let next = next.into_iter().flatten().map(|d| d.at).min();
            let next = next.unwrap_or_else(|| {
                panic!("nothing will ever happen: {:?}\n{:?}", self.client, self.server)
            });
            self.t = self.t.max(next.as_micros());
            let now = self.now();
            self.client.expire(now);
            self.server.expire(now);
        }
        panic!("no rest: {:?}\n{:?}", self.client, self.server);
    }
}

/// The whole script, over as many connections as it needs.
pub fn run(script: &Script) {
    let client_config = client::Config::direct().pipeline(script.pipeline).http10(script.http10);
    let server_config = server::Config::origin().max_requests(script.max_requests);
    let (mut done, mut t) = (0, 1);
    for _ in 0..=script.exchanges.len() {
        let mut world = World {
            script,
            t,
            turn: 0,
            reads: 0,
            client: client::Connection::new(&client_config, at(t)),
            server: server::Connection::new(&server_config, at(t)),
            up: Pipe::default(),
            down: Pipe::default(),
            client_out: VecDeque::new(),
            server_out: VecDeque::new(),
            first: done,
            asked: done,
            upload: None,
            answered: done,
            got: Vec::new(),
            interims: 0,
            serving: None,
            read: Vec::new(),
            whole: false,
            answer: None,
            served_upto: done,
        };
        world.run();
        assert!(world.answered > done, "a connection without a single answer: {script:?}");
        done = world.answered;
        t = world.t;
        if done == script.exchanges.len() {
            return;
        }
        let end = world.client.wants().end;
        assert!(matches!(end, Some(End::Close(_))), "not all is answered, and it rests: {end:?}");
        assert_ne!(end, Some(End::Close(CloseReason::ResponseInvalid)));
    }
    panic!("more connections than exchanges");
}
