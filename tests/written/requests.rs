//! What a client connection writes: requests of any kind, one after the other or pipelined.

use super::lines::{self, add, add_options, has, insert, members, owned, passed};
use super::meant::{After, Lines, Message, Start, Stream};
use super::pour::{Carried, NOW, pour};
use keepalive::client::{Config, Connection, Event, Reuse};
use keepalive::testkit::{Request, Source};
use keepalive::{Content, Io, RequestHead, forward};

const METHODS: &[&str] = &[
    "GET", "GET", "HEAD", "POST", "POST", "PUT", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE",
    "PROPFIND", "M-SEARCH", "REPORT", "LOCK", "PURGE",
];

/// Tokens, and so methods, that nobody has registered.
const ODD_METHODS: &[&str] = &["get", "GETS", "A!#$%&'*+-.^_`|~9", "X"];

/// Targets, and the Host that goes with each; none where any does.
const TARGETS: &[(&[u8], &str)] = &[
    (b"/", ""),
    (b"/x?y=z&q=1", ""),
    (b"/a;b=c,d@e:f/%7E/..//", ""),
    (b"/?", ""),
    (b"/!\"$%&'()*+,-./:;<=>@[\\]^_`{|}~", ""),
    (b"http://a", "a"),
    (b"http://a/x?y", "a"),
    (b"http://a?x", "a"),
    (b"https://h.example:8080/x", "h.example:8080"),
    (b"http://[::1]:80/", "[::1]:80"),
];

/// Such as not every reader takes.
const ODD_TARGETS: &[(&[u8], &str)] = &[(b"/caf\xe9", ""), (b"coap+tcp://a/x", "a")];

/// The settings that show on the wire.
struct Settings {
    http10: bool,
    to_proxy: bool,
    one_shot: bool,
    pipeline: bool,
}

impl Settings {
    fn draw(s: &mut Source<'_>) -> Self {
        let http10 = s.chance(45);
        Self {
            http10,
            to_proxy: s.chance(50),
            one_shot: s.chance(12),
            // Not to a server that answers with 1.0 (S7.4).
            pipeline: s.chance(100) && !http10,
        }
    }

    fn config(&self) -> Config {
        let config = if self.to_proxy { Config::to_proxy() } else { Config::direct() };
        config.http10(self.http10).one_shot(self.one_shot).pipeline(self.pipeline)
    }
}

/// A request that the application makes.
struct Ask {
    method: String,
    target: Vec<u8>,
    lines: Lines,
    carried: Carried,
}

impl Ask {
    fn draw(s: &mut Source<'_>, settings: &Settings) -> Self {
        let methods = if s.chance(6) { ODD_METHODS } else { METHODS };
        let method = s.pick(methods);
        let carried = match (method, s.byte()) {
            ("TRACE", _) | (_, 0..60) => Carried::none(),
            ("POST" | "PUT" | "PATCH" | "REPORT", b) => {
                Carried::draw(s, settings.http10 || b < 150)
            }
            // Content means nothing here, and is framed all the same (RFC 9110 §9.3.1).
            (_, 60..70) => Carried::draw(s, true),
            _ => Carried::none(),
        };
        let mut lines = lines::draw(s, 6);
        if s.chance(16) {
            let value = s.pick(&["X-B", "close", "x-b, Close", "keep-alive, X-B,, y"]);
            insert(s, &mut lines, "Connection", value);
        }
        if !settings.http10 && !carried.content.is_empty() && s.chance(60) {
            insert(s, &mut lines, "Expect", "100-continue");
        }
        if s.chance(20) {
            insert(s, &mut lines, "TE", "trailers, gzip;q=0.5");
        }
        if let (Content::Length(n), true) = (carried.declared, s.chance(20)) {
            // Told by the caller as well: it goes out once.
            insert(s, &mut lines, "content-length", &n.to_string());
        }
        let target = Self::target(s, method, settings, &mut lines);
        Self { method: method.to_owned(), target, lines, carried }
    }

    /// A target, and the Host that goes with it.
    fn target(s: &mut Source<'_>, method: &str, settings: &Settings, lines: &mut Lines) -> Vec<u8> {
        let targets = if s.chance(5) { ODD_TARGETS } else { TARGETS };
        let (target, mut host) = match method {
            "OPTIONS" if s.chance(128) => (&b"*"[..], ""),
            _ => s.pick(targets),
        };
        if host.is_empty() {
            host = s.pick(&["a", "h.example:80", "[::1]", ""]);
        }
        if !settings.http10 || s.chance(128) {
            insert(s, lines, "Host", host);
        }
        target.into()
    }

    /// One that may be pipelined.
    fn plain(s: &mut Source<'_>, settings: &Settings) -> Self {
        let method = s.pick(&["GET", "HEAD", "OPTIONS", "TRACE", "DELETE", "PUT"]);
        let mut lines = lines::draw(s, 4);
        let target = Self::target(s, method, settings, &mut lines);
        Self { method: method.to_owned(), target, lines, carried: Carried::none() }
    }

    /// What ends HTTP on this connection, if the server agrees.
    fn leaving(s: &mut Source<'_>, settings: &Settings) -> Self {
        let mut ask = Self::plain(s, settings);
        if settings.http10 || s.chance(128) {
            ask.method = "CONNECT".to_owned();
            ask.target = b"h.example:443".to_vec();
            ask.lines.retain(|(name, _)| name != b"Host");
            insert(s, &mut ask.lines, "Host", "h.example:443");
        } else {
            insert(s, &mut ask.lines, "Upgrade", "websocket, x/2");
        }
        ask
    }

    /// What an intermediary makes of a request that it received; `None` where it does not go on.
    fn forwarded(s: &mut Source<'_>, settings: &Settings) -> Option<Self> {
        let mut came = Request::draw(s);
        if s.chance(128) {
            came.fields.push(("Connection".to_owned(), "X-Hop, TE".to_owned()));
            came.fields.push(("X-Hop".to_owned(), "of this connection".to_owned()));
            came.fields.push(("TE".to_owned(), "trailers".to_owned()));
            came.fields.push(("Via".to_owned(), "1.0 other".to_owned()));
        }
        let head = came.head();
        let head = RequestHead::parse(&head).expect("a request head");
        let hop = match settings.to_proxy {
            true => forward::Hop::to_proxy("edge"),
            false => forward::Hop::to_origin("edge"),
        };
        let hop = hop.expect("a name").http10(settings.http10).buffers(true);
        let onward = forward::request(&head, &hop).ok()?;
        let collected = Content::Length(came.body.content.len() as u64);
        let declared = onward.content().unwrap_or(collected);
        let content = came.body.content;
        let carried = Carried { content, declared, trailers: Lines::new() };
        let target = onward.target().to_vec();
        Some(Self { method: came.method.to_owned(), target, lines: owned(onward.lines()), carried })
    }
}

/// A client connection on its way.
struct Script<'s, 'd> {
    s: &'s mut Source<'d>,
    settings: Settings,
    conn: Connection,
    wire: Vec<u8>,
    messages: Vec<Message>,
}

/// Some requests on one connection.
pub fn draw(seed: u64, s: &mut Source<'_>) -> Stream {
    let settings = Settings::draw(s);
    let count = s.below(7) + 1;
    let conn = Connection::new(&settings.config(), NOW);
    let mut script = Script { s, settings, conn, wire: Vec::new(), messages: Vec::new() };
    let mut goes_on = true;
    for _ in 0..count {
        if goes_on {
            goes_on = script.exchanges();
        }
    }
    if goes_on && script.s.chance(50) {
        let ask = Ask::leaving(script.s, &script.settings);
        script.ask(&ask);
    }
    let Script { wire, messages, .. } = script;
    Stream { seed, asked: None, octets: wire, messages }
}

impl Script<'_, '_> {
    /// A request, or some that are pipelined, and the responses. Returns whether others may follow.
    fn exchanges(&mut self) -> bool {
        // Only behind a response is it known that the server keeps the connection (S7.4).
        let many = self.settings.pipeline && !self.messages.is_empty() && self.s.chance(128);
        let mut persists = true;
        for _ in 0..if many { self.s.below(4) + 1 } else { 1 } {
            let ask = match self.s.byte() {
                _ if many => Ask::plain(self.s, &self.settings),
                0..60 => match Ask::forwarded(self.s, &self.settings) {
                    Some(ask) => ask,
                    None => continue,
                },
                _ => Ask::draw(self.s, &self.settings),
            };
            persists = self.ask(&ask);
        }
        self.answered(persists);
        persists
    }

    fn ask(&mut self, ask: &Ask) -> bool {
        let Ask { method, target, lines, carried } = ask;
        let block = lines::prepared(self.s, lines);
        let given = lines::fields(block.as_ref(), lines);
        let mut out = [0; 32 * 1024];
        let made = self.conn.request(NOW, method, target, given, carried.declared, &mut out);
        let started = made.unwrap_or_else(|e| panic!("{e:?} of {method} {lines:?}"));
        self.wire.extend_from_slice(&out[..started.written]);
        self.conn.transmitted(NOW, started.written as u64);
        let waits = has(lines, "Expect");
        if waits {
            assert!(!self.conn.wants().content, "it waits");
            self.receive(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        let before = self.wire.len();
        pour(self.s, &mut self.conn, started.plan, carried, &mut self.wire);
        self.conn.transmitted(NOW, (self.wire.len() - before) as u64);
        self.conn.check_invariants();

        let closes = members(lines, "Connection").any(|o| o.eq_ignore_ascii_case(b"close"));
        let close = closes || self.settings.one_shot;
        // S2.4: asked for at every request, and never of a proxy.
        let keep = !close && !self.settings.to_proxy;
        let mut seen = passed(lines);
        let (upgrade, te) = (has(lines, "Upgrade"), has(lines, "TE"));
        let options = [(close, "close"), (keep, "keep-alive"), (upgrade, "upgrade"), (te, "TE")];
        add_options(&mut seen, &options);
        match carried.declared {
            Content::None if ["POST", "PUT", "PATCH"].contains(&&**method) => {
                add(&mut seen, "Content-Length", 0);
            }
            Content::None => {}
            Content::Length(n) => add(&mut seen, "Content-Length", n),
            Content::Unknown => add(&mut seen, "Transfer-Encoding", "chunked"),
        }
        let http10 = self.settings.http10;
        let (method, target, minor) = (method.clone(), target.clone(), u8::from(!http10));
        let start = Start::Request { method, target, minor };
        let mut message = Message::bare(start, seen, self.wire.len());
        if carried.declared != Content::None {
            message.content.clone_from(&carried.content);
        }
        message.trailers = passed(&carried.trailers);
        message.waits = waits;
        let persists = !close && (keep || !http10);
        message.after = After::of(persists);
        self.messages.push(message);
        persists
    }

    /// The responses to all that is outstanding; and whether the connection can be used again.
    fn answered(&mut self, persists: bool) {
        let answer: &[u8] = match self.settings.http10 {
            true => b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n",
            false => b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        };
        while self.conn.outstanding() > 0 {
            self.receive(answer);
        }
        if persists {
            let reuse = self.conn.checkout(NOW, Io::Nothing, b"");
            assert!(matches!(reuse, Reuse::Ready { .. } | Reuse::ImmediateOnly), "{reuse:?}");
        }
    }

    fn receive(&mut self, mut unread: &[u8]) {
        loop {
            let step = self.conn.receive(NOW, unread, usize::MAX);
            unread = &unread[step.consumed..];
            match step.event {
                Some(Event::Failed(f)) => panic!("{f:?}"),
                Some(_) => {}
                None => break,
            }
        }
        assert!(unread.is_empty(), "all of it is read");
    }
}
