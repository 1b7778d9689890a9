//! What a server connection writes: responses to requests of any kind, its own to those that it refuses,
//! interim ones before them.

use super::lines::{self, add, add_options, has, members, owned, passed};
use super::meant::{After, Lines, Message, Start, Stream};
use super::pour::{Carried, NOW, pour};
use keepalive::server::{Config, Connection, Event, KeepAliveField};
use keepalive::testkit::{Flaw, Response, Source};
use keepalive::{Content, Plan, ResponseHead, Status, forward, reason};
use std::time::Duration;

/// The settings that show on the wire.
struct Settings {
    http10: bool,
    echo: bool,
    idle: u64,
    max: u32,
    field: KeepAliveField,
}

impl Settings {
    fn draw(s: &mut Source<'_>) -> Self {
        Self {
            http10: s.chance(50),
            echo: s.chance(128),
            idle: s.pick(&[75, 6, 5]),
            max: s.pick(&[1000, 0, 0, 3]),
            field: s.pick(&[
                KeepAliveField::OnOption,
                KeepAliveField::Never,
                KeepAliveField::Always,
            ]),
        }
    }

    fn config(&self) -> Config {
        Config::origin()
            .echo_version(self.echo)
            .idle(Duration::from_secs(self.idle))
            .grace(Duration::from_secs(5))
            .max_requests(self.max)
            .keep_alive_field(self.field)
    }
}

/// A request, as far as the response depends on it.
struct Ask {
    method: &'static str,
    /// Its connection option, if it has one.
    option: &'static str,
    expects: bool,
    /// Octets of content that follow the head.
    upload: usize,
    /// Whether the application reads them.
    reads: bool,
}

impl Ask {
    fn draw(s: &mut Source<'_>, settings: &Settings) -> Self {
        let method =
            s.pick(&["GET", "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "get"]);
        let option = match (settings.http10, s.byte()) {
            (true, 0..230) => "keep-alive",
            (false, 0..60) => "Keep-Alive",
            (false, 60..70) => "close",
            _ => "",
        };
        let upload = if matches!(method, "POST" | "PUT") { s.up_to(90) as usize } else { 0 };
        let expects = upload > 0 && !settings.http10 && s.chance(80);
        Self { method, option, expects, upload, reads: s.chance(180) }
    }

    fn head(&self, minor: u8) -> Vec<u8> {
        let mut head = format!("{} / HTTP/1.{minor}\r\nHost: a\r\n", self.method);
        for (sent, line) in [
            (!self.option.is_empty(), format!("Connection: {}\r\n", self.option)),
            (self.expects, "Expect: 100-continue\r\n".to_owned()),
            (self.upload > 0, format!("Content-Length: {}\r\n", self.upload)),
        ] {
            head.push_str(if sent { &line } else { "" });
        }
        (head + "\r\n").into_bytes()
    }
}

/// A response that the application makes.
struct Answer {
    status: u16,
    reason: Option<Vec<u8>>,
    lines: Lines,
    carried: Carried,
}

impl Answer {
    fn draw(s: &mut Source<'_>, method: &'static str) -> Self {
        if s.chance(50) {
            return Self::forwarded(s, method);
        }
        let statuses =
            [200, 200, 200, 201, 206, 301, 404, 500, 503, 599, 999, 426, 204, 205, 304, 304];
        let status = s.pick(&statuses);
        let reason = match s.byte() {
            0..180 => None,
            _ => Some(
                s.pick(&[&b""[..], b"Fine", b"\xe9t\xe9 \x85", b"a\tb  c", b"200", b" \t", b" x "])
                    .to_vec(),
            ),
        };
        let mut lines = lines::draw(s, 6);
        if s.chance(20) {
            let value = s.pick(&["close", "X-B, close", "keep-alive, x-b", "x, , y"]);
            lines::insert(s, &mut lines, "Connection", value);
        }
        if s.chance(10) {
            lines::insert(s, &mut lines, "Keep-Alive", "timeout=1");
        }
        if status == 426 || s.chance(10) {
            lines::insert(s, &mut lines, "Upgrade", "websocket");
        }
        let mut carried = match status {
            204 | 205 => Carried::none(),
            304 => Carried::draw(s, true),
            _ => match s.byte() {
                0..30 => Carried::none(),
                b => Carried::draw(s, b < 130),
            },
        };
        if status == 304 {
            carried.content.clear();
        }
        Self { status, reason, lines, carried }
    }

    /// What an intermediary makes of a response that it received.
    fn forwarded(s: &mut Source<'_>, method: &'static str) -> Self {
        let mut came = Response::draw(s, method);
        if s.chance(128) {
            came.fields.push(("Connection".to_owned(), "X-Hop".to_owned()));
            came.fields.push(("X-Hop".to_owned(), "of this connection".to_owned()));
            came.fields.push(("Via".to_owned(), "1.0 other".to_owned()));
        }
        let head = came.head();
        let head = ResponseHead::parse(&head, method).expect("a response head");
        let hop = forward::Hop::to_origin("edge").expect("a name");
        let onward = forward::response(&head, &hop).expect("it goes on");
        let (status, declared) = (onward.status(), onward.content());
        let content = if declared == Content::None { Vec::new() } else { came.body.content };
        let carried = Carried { content, declared, trailers: Lines::new() };
        let reason = status.reason.map(<[u8]>::to_vec);
        Self { status: status.code, reason, lines: owned(onward.lines()), carried }
    }
}

/// A server connection on its way.
struct Script<'s, 'd> {
    s: &'s mut Source<'d>,
    settings: Settings,
    conn: Connection,
    unread: Vec<u8>,
    asked: Vec<String>,
    wire: Vec<u8>,
    messages: Vec<Message>,
}

/// Some responses on one connection.
pub fn draw(seed: u64, s: &mut Source<'_>) -> Stream {
    let settings = Settings::draw(s);
    let count = s.below(7) + 1;
    let conn = Connection::new(&settings.config(), NOW);
    let mut script = Script {
        s,
        settings,
        conn,
        unread: Vec::new(),
        asked: Vec::new(),
        wire: Vec::new(),
        messages: Vec::new(),
    };
    let goes_on = (0..count).all(|_| script.exchange());
    match script.s.byte() {
        _ if !goes_on => {}
        0..50 => script.refuse(),
        50..90 if !script.settings.http10 => script.leave(),
        _ => {}
    }
    let Script { asked, wire, messages, .. } = script;
    Stream { seed, asked: Some(asked), octets: wire, messages }
}

impl Script<'_, '_> {
    /// Reads what there is, and returns whether a request was among it.
    fn read(&mut self, reads: bool) -> bool {
        let mut requested = false;
        loop {
            let step = self.conn.receive(NOW, &self.unread, usize::MAX);
            let (consumed, event) = (step.consumed, step.event);
            match event {
                Some(Event::Request(_)) => requested = true,
                Some(Event::Content(_) | Event::End(_) | Event::Failed(_)) => {}
                None => {
                    self.unread.drain(..consumed);
                    return requested;
                }
            }
            if matches!(event, Some(Event::Request(_))) && reads {
                self.conn.read_content(NOW);
            }
            self.unread.drain(..consumed);
        }
    }

    fn wrote(&mut self, octets: &[u8]) {
        self.wire.extend_from_slice(octets);
        self.conn.transmitted(NOW, octets.len() as u64);
    }

    /// Content of the request.
    fn arrive(&mut self, octets: usize) {
        self.unread.resize(self.unread.len() + octets, b'u');
    }

    fn interim(&mut self, status: u16, fields: Lines) {
        let start = Start::Response { status, reason: reason(status).into(), minor: 1 };
        self.messages.push(Message::bare(start, fields, self.wire.len()));
    }

    /// One request and its response. Returns whether another may follow.
    fn exchange(&mut self) -> bool {
        let ask = Ask::draw(self.s, &self.settings);
        self.asked.push(ask.method.to_owned());
        let head = ask.head(if self.settings.http10 { 0 } else { 1 });
        self.unread.extend(head);
        // Who waits for a 100 sends nothing before.
        let mut missing = if ask.expects { ask.upload } else { 0 };
        self.arrive(ask.upload - missing);
        assert!(self.read(ask.reads), "a request");
        let mut told = !ask.expects;
        if ask.expects && ask.reads && self.s.chance(128) {
            let mut out = [0; 256];
            let n = self.conn.emit(NOW, &mut out).expect("a 100");
            self.wrote(&out[..n]);
            self.interim(100, Lines::new());
            self.arrive(std::mem::take(&mut missing));
            self.read(true);
            told = true;
        }
        while self.s.chance(30) {
            let status = self.s.pick(&[103, 102, 199, 100]);
            let fields = lines::draw(self.s, 3);
            let mut out = [0; 8192];
            let n = self.conn.inform(NOW, status, lines::given(&fields), &mut out);
            let n = n.expect("an interim response");
            assert_eq!(n == 0, self.settings.http10, "none to 1.0");
            self.wrote(&out[..n]);
            if n > 0 {
                self.interim(status, passed(&fields));
                told |= status == 100;
            }
        }
        let persists = self.answer(&ask, told);
        if persists {
            self.arrive(missing);
            self.read(false);
        }
        self.conn.check_invariants();
        persists
    }

    /// The final response. The 100 that is due and was not told goes out in front of it.
    fn answer(&mut self, ask: &Ask, told: bool) -> bool {
        let answer = Answer::draw(self.s, ask.method);
        let Answer { status, carried, .. } = &answer;
        let code = Status { code: *status, reason: answer.reason.as_deref() };
        let block = lines::prepared(self.s, &answer.lines);
        let given = lines::fields(block.as_ref(), &answer.lines);
        let mut out = [0; 32 * 1024];
        let whole =
            matches!(carried.declared, Content::Length(n) if n == carried.content.len() as u64);
        let (n, plan) = if whole && self.s.chance(128) {
            let n = self.conn.reply(NOW, code, given, &carried.content, &mut out);
            (n.expect("a response"), Plan::None)
        } else {
            let started = self.conn.respond(NOW, code, given, carried.declared, &mut out);
            let started = started.unwrap_or_else(|e| panic!("{e:?} of {:?}", answer.lines));
            (started.written, started.plan)
        };
        if !told && ask.reads {
            self.wire.extend_from_slice(&out[..25]);
            self.interim(100, Lines::new());
            self.wire.extend_from_slice(&out[25..n]);
        } else {
            self.wire.extend_from_slice(&out[..n]);
        }
        let before = self.wire.len();
        pour(self.s, &mut self.conn, plan, carried, &mut self.wire);
        self.conn.transmitted(NOW, (n + self.wire.len() - before) as u64);

        let framing = framing(ask.method, &answer, self.settings.http10);
        let persists = self.persists(ask, told, &answer, &framing);
        assert_eq!(self.conn.persistence().persists(), persists, "{:?}", self.conn.persistence());
        let usual = || reason(*status).into();
        let start = Start::Response {
            status: *status,
            reason: answer.reason.clone().unwrap_or_else(usual),
            minor: u8::from(!(self.settings.http10 && self.settings.echo)),
        };
        let fields = self.fields(ask, &answer, persists, &framing);
        let mut message = Message::bare(start, fields, self.wire.len());
        message.after = After::of(persists);
        if framing != Framing::Bare {
            message.content.clone_from(&carried.content);
        }
        if framing == Framing::Chunked {
            message.trailers = passed(&carried.trailers);
        }
        self.messages.push(message);
        persists
    }

    /// S1.3, as far as scripts go.
    fn persists(&self, ask: &Ask, told: bool, answer: &Answer, framing: &Framing) -> bool {
        let is = |option: &str| ask.option.eq_ignore_ascii_case(option);
        let closes = members(&answer.lines, "Connection").any(|o| o.eq_ignore_ascii_case(b"close"));
        let last = self.settings.max > 0 && self.asked.len() >= self.settings.max as usize;
        let unmet = !told && !ask.reads;
        !(closes
            || is("close")
            || self.settings.http10 && !is("keep-alive")
            || *framing == Framing::UntilClose
            || last
            || unmet)
    }

    /// S1.4: the caller's lines, the options of the connection, Keep-Alive, and what frames the content.
    fn fields(&self, ask: &Ask, answer: &Answer, persists: bool, framing: &Framing) -> Lines {
        let Settings { http10, idle, max, field, .. } = self.settings;
        let mut seen = passed(&answer.lines);
        let says = persists
            && match field {
                KeepAliveField::Never => http10,
                KeepAliveField::OnOption => http10 || !ask.option.is_empty(),
                KeepAliveField::Always => true,
            };
        let upgrade = has(&answer.lines, "Upgrade");
        add_options(&mut seen, &[(!persists, "close"), (says, "keep-alive"), (upgrade, "upgrade")]);
        let (timeout, left) = (idle - 5, u64::from(max).saturating_sub(self.asked.len() as u64));
        let numbers: Vec<_> = [(timeout > 0, "timeout", timeout), (max > 0, "max", left)]
            .iter()
            .filter(|(told, ..)| *told)
            .map(|(_, name, n)| format!("{name}={n}"))
            .collect();
        if says && field != KeepAliveField::Never && !numbers.is_empty() {
            add(&mut seen, "Keep-Alive", numbers.join(", "));
        }
        match (framing, answer.carried.declared) {
            (Framing::Chunked, _) => add(&mut seen, "Transfer-Encoding", "chunked"),
            (Framing::Length(n), _) => add(&mut seen, "Content-Length", n),
            (Framing::Bare, _) if answer.status == 205 => add(&mut seen, "Content-Length", 0),
            // A length is told of content that does not come; no length of nothing by a 304.
            (Framing::Bare, Content::Length(n)) if answer.status != 204 => {
                if answer.status != 304 || n > 0 {
                    add(&mut seen, "Content-Length", n);
                }
            }
            (Framing::Bare | Framing::UntilClose, _) => {}
        }
        seen
    }

    /// A request to leave HTTP, which is granted or not.
    fn leave(&mut self) {
        let (method, status) = self.s.pick(&[("CONNECT", 200), ("CONNECT", 403), ("GET", 101)]);
        let (target, offer) = match method {
            "CONNECT" => ("a:1", ""),
            _ => ("/", "Connection: upgrade\r\nUpgrade: websocket\r\n"),
        };
        let head = format!("{method} {target} HTTP/1.1\r\nHost: a\r\n{offer}\r\n");
        self.asked.push(method.to_owned());
        self.unread.extend(head.into_bytes());
        assert!(self.read(false), "a request");
        let mut fields = lines::draw(self.s, 3);
        if status == 101 {
            lines::insert(self.s, &mut fields, "Upgrade", "websocket");
        }
        let mut out = [0; 16 * 1024];
        let given = lines::given(&fields);
        let started = self.conn.respond(NOW, status, given, Content::None, &mut out);
        self.wrote(&out[..started.expect("a response").written]);
        let mut seen = passed(&fields);
        let after = match status {
            101 => {
                add(&mut seen, "Connection", "upgrade");
                After::Leaves
            }
            200 => After::Leaves,
            _ => {
                add(&mut seen, "Connection", "close");
                add(&mut seen, "Content-Length", 0);
                After::Closes
            }
        };
        let start = Start::Response { status, reason: reason(status).into(), minor: 1 };
        self.messages.push(Message { after, ..Message::bare(start, seen, self.wire.len()) });
        if after == After::Leaves {
            // Of the application, and of no concern to a reader of HTTP.
            self.wire.extend_from_slice(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        }
    }

    /// A request that is refused: the machine answers by itself.
    fn refuse(&mut self) {
        let flaw = self.s.pick(Flaw::REQUESTS);
        let Some(status) = flaw.kind.status().filter(|_| !flaw.behind_head) else { return };
        self.asked.push("GET".to_owned());
        let octets = flaw.message(self.s);
        self.unread.extend(octets);
        self.read(false);
        let fields = lines::draw(self.s, 2);
        let mut out = [0; 8192];
        let n = self.conn.emit_with(NOW, lines::given(&fields), &mut out).expect("its answer");
        self.wrote(&out[..n]);
        let mut seen = passed(&fields);
        add(&mut seen, "Connection", "close");
        add(&mut seen, "Content-Length", 0);
        let start = Start::Response { status, reason: reason(status).into(), minor: 1 };
        let mut message = Message::bare(start, seen, self.wire.len());
        message.after = After::Closes;
        self.messages.push(message);
    }
}

/// How the end of the content is shown.
#[derive(PartialEq)]
enum Framing {
    /// There is none, whatever is declared.
    Bare,
    Length(u64),
    Chunked,
    UntilClose,
}

fn framing(method: &str, answer: &Answer, http10: bool) -> Framing {
    match (answer.status, answer.carried.declared) {
        (204 | 205 | 304, _) => Framing::Bare,
        _ if method == "HEAD" => Framing::Bare,
        (_, Content::None) => Framing::Length(0),
        (_, Content::Length(n)) => Framing::Length(n),
        (_, Content::Unknown) if http10 => Framing::UntilClose,
        (_, Content::Unknown) => Framing::Chunked,
    }
}
