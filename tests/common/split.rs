//! Cuts: what comes of a stream does not depend on how it is cut, nor on how the output space is.

use super::codec::Source;
use super::{Seed, client_ops, piece, server_ops};
use keepalive::{
    CloseReason, Content, End, Failure, Instant, Io, Moved, NO_FIELDS, Persistence, Plan,
    SendError, Started,
};
use keepalive::{client, server};

const NOW: Instant = Instant::from_micros(1_000);

/// What happened, with content in one piece. Octets are escaped, so that a difference can be read.
#[derive(Clone, Debug, PartialEq)]
enum Told {
    Head(String),
    Content(String),
    End(Vec<(String, String)>),
    Failed(Failure),
    /// A response of the machine's own, but for a 100.
    Own(String),
    /// A head that was sent, without the 100 in front of it, and the content behind it, without its
    /// wrapping.
    Out(String, String),
    /// A request that was not to be made.
    Refused(SendError),
    Over(Option<End>, Option<CloseReason>, usize),
}

fn shown(octets: &[u8]) -> String {
    octets.escape_ascii().to_string()
}

fn content(log: &mut Vec<Told>, piece: &[u8]) {
    match log.last_mut() {
        Some(Told::Content(all)) => all.push_str(&shown(piece)),
        _ => log.push(Told::Content(shown(piece))),
    }
}

fn lines<'b>(fields: impl Iterator<Item = keepalive::Line<'b>>) -> Vec<(String, String)> {
    fields.map(|l| (shown(l.name), shown(l.value))).collect()
}

/// How a run is cut: octets shown, room for content, output space, in turns.
#[derive(Clone, Debug)]
pub struct Cuts {
    pub bytes: Vec<usize>,
    pub rooms: Vec<usize>,
    pub outs: Vec<usize>,
}

impl Cuts {
    fn none() -> Self {
        Self { bytes: vec![usize::MAX], rooms: vec![usize::MAX], outs: vec![1 << 16] }
    }

    /// From octets: pieces that are often small.
    pub fn of(source: &mut Source<'_>) -> Self {
        let mut some = |zero: bool| -> Vec<usize> {
            let n = source.below(4) + 1;
            let all: Vec<usize> = (0..n).map(|_| usize::from(source.byte()) % 40).collect();
            let least = usize::from(!zero || all.iter().all(|&n| n == 0));
            all.into_iter().map(|n| n.max(least)).collect()
        };
        Self { bytes: some(false), rooms: some(true), outs: some(true) }
    }
}

/// Lengths, in turns.
struct Turns<'c> {
    of: &'c [usize],
    at: usize,
}

impl<'c> Turns<'c> {
    fn new(of: &'c [usize]) -> Self {
        Self { of, at: 0 }
    }

    fn next(&mut self) -> usize {
        self.at += 1;
        self.of[self.at % self.of.len()]
    }
}

/// A head, into as much space as there is, and into what it needs if that is too little.
fn begin(
    outs: &mut Turns<'_>,
    mut call: impl FnMut(&mut [u8]) -> Result<Started, SendError>,
) -> Result<(Started, Vec<u8>), SendError> {
    let mut out = vec![0; outs.next()];
    let started = match call(&mut out) {
        Err(SendError::Short { needed }) => {
            out.resize(needed, 0);
            Ok(call(&mut out).expect("it will do"))
        }
        done => done,
    }?;
    out.truncate(started.written);
    Ok((started, out))
}

/// Content, into space as it comes. Gives what was written.
fn pour(
    mut rest: &[u8],
    outs: &mut Turns<'_>,
    mut send: impl FnMut(&[u8], &mut [u8]) -> Moved,
) -> Vec<u8> {
    let mut written = Vec::new();
    while !rest.is_empty() {
        let mut out = vec![0; outs.next()];
        let mut moved = send(rest, &mut out);
        // The chunked coding needs some space for itself.
        if moved.taken == 0 {
            assert!(out.len() < 6, "no progress with {} octets of space", out.len());
            assert_eq!(moved.written, 0, "wrapping, and nothing in it");
            out.resize(16, 0);
            moved = send(rest, &mut out);
            assert!(moved.taken > 0);
        }
        written.extend_from_slice(&out[..moved.written]);
        rest = &rest[moved.taken..];
    }
    written
}

/// Without its wrapping.
fn unwrapped(plan: Plan, written: &[u8]) -> String {
    if plan != Plan::Chunked {
        return shown(written);
    }
    let (plain, rest) = super::codec::dechunk(written).expect("well-formed");
    assert_eq!(rest, b"\r\n");
    shown(&plain)
}

/// Without the 100 that a machine writes in front of a head, and whether there was one.
fn behind_100(head: &[u8]) -> (&[u8], bool) {
    if !head.starts_with(b"HTTP/1.1 100 ") {
        return (head, false);
    }
    let end = head.windows(4).position(|w| w == b"\r\n\r\n").expect("a whole head") + 4;
    (&head[end..], true)
}

/// What the application does with the content of requests, and when it answers.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Manner {
    /// It asks for the content, and answers by the target, on the spot.
    Prompt,
    /// It asks for the content, and answers when it has it.
    Late,
    /// It has no use for the content, and answers on the spot. It does ask for content that waits for a
    /// 100: whether that is incomplete without one (S1.3-13) would be a matter of cuts again.
    Skips,
}

/// A server, and how it is cut.
struct Serving<'c> {
    conn: server::Connection,
    outs: Turns<'c>,
    log: Vec<Told>,
    /// Requests so far.
    n: usize,
    connect: bool,
    proxy: bool,
    /// A client waits for a 100, and is to have one (S8.8). Whether content came first is by its nature a
    /// matter of cuts; so a 100 is no part of what is compared, but looked for where it belongs.
    due: bool,
}

impl Serving<'_> {
    fn request(&mut self, manner: Manner, expects: bool) {
        if expects && self.proxy {
            // The next hop's: there a 100 is never the machine's (S8.8).
            let mut out = [0; 256];
            let n = self.conn.inform(NOW, 100, NO_FIELDS, &mut out).expect("a 100 to pass on");
            self.conn.transmitted(NOW, n as u64);
            self.log.push(Told::Out(shown(&out[..n]), String::new()));
        }
        if manner == Manner::Skips && !expects {
            self.conn.skip_content(NOW);
        } else {
            self.conn.read_content(NOW);
        }
        if manner != Manner::Late {
            self.answer();
        }
    }

    fn continued(&mut self, told: bool) {
        assert!(!told || self.due, "a 100 that nobody waits for");
        self.due &= !told;
    }

    fn answer(&mut self) {
        let kinds = [Content::Length(50), Content::Unknown, Content::None];
        let kind = if self.connect { Content::None } else { kinds[self.n % 3] };
        let conn = &mut self.conn;
        let call = |out: &mut [u8]| conn.respond(NOW, 200, [("X", "y")], kind, out);
        let (started, out) = begin(&mut self.outs, call).expect("a response that is owed");
        conn.transmitted(NOW, out.len() as u64);
        let mut body = Vec::new();
        if !matches!(started.plan, Plan::None | Plan::Tunnel) {
            body = pour(&[b'r'; 50], &mut self.outs, |rest, out| {
                let moved = conn.send(NOW, rest, out).expect("content that was declared");
                conn.transmitted(NOW, moved.written as u64);
                moved
            });
        }
        if matches!(started.plan, Plan::Chunked | Plan::UntilClose) {
            let mut out = [0; 64];
            let n = conn.finish(NOW, NO_FIELDS, &mut out).expect("the end");
            conn.transmitted(NOW, n as u64);
            body.extend_from_slice(&out[..n]);
        }
        let (head, continued) = behind_100(&out);
        self.log.push(Told::Out(shown(head), unwrapped(started.plan, &body)));
        self.continued(continued);
        assert!(!self.due, "answered, and a 100 was due");
    }

    /// Whether the machine had something to say of its own.
    fn emit(&mut self) -> bool {
        let mut out = [0; 256];
        let n = self.conn.emit(NOW, &mut out).expect("room enough");
        self.conn.transmitted(NOW, n as u64);
        let (own, continued) = behind_100(&out[..n]);
        if !own.is_empty() {
            self.log.push(Told::Own(shown(own)));
        }
        self.continued(continued);
        n > 0
    }
}

/// A server, until its stream is over.
fn serve(
    (config, proxy): (&server::Config, bool),
    manner: Manner,
    stream: &[u8],
    cuts: &Cuts,
) -> Vec<Told> {
    let conn = server::Connection::new(config, NOW);
    let outs = Turns::new(&cuts.outs);
    let mut s = Serving { conn, outs, log: Vec::new(), n: 0, connect: false, proxy, due: false };
    let (mut from, mut end, mut eof) = (0, 0, false);
    let (mut bytes, mut rooms) = (Turns::new(&cuts.bytes), Turns::new(&cuts.rooms));
    let mut idle = 0;
    loop {
        let step = s.conn.receive(NOW, &stream[from..end], rooms.next());
        from += step.consumed;
        idle = if step.event.is_some() { 0 } else { idle };
        match step.event {
            Some(server::Event::Request(head)) => {
                s.log.push(Told::Head(shown(head.as_bytes())));
                s.connect = head.is_connect();
                s.n += 1;
                s.due = head.expects_continue() && from == end && !s.proxy;
                s.request(manner, head.expects_continue());
                continue;
            }
            Some(server::Event::Content(piece)) => {
                content(&mut s.log, piece);
                continue;
            }
            Some(server::Event::End(t)) => {
                s.log.push(Told::End(lines(t)));
                if manner == Manner::Late {
                    s.answer();
                }
                continue;
            }
            Some(server::Event::Failed(f)) => {
                s.log.push(Told::Failed(f));
                s.due = false;
                continue;
            }
            None if s.emit() => continue,
            None => {}
        }
        if s.conn.wants().end == Some(End::ShutdownWrite) {
            s.conn.write_closed(NOW);
        }
        s.conn.check_invariants();
        let tunnel = s.conn.wants().end == Some(End::Tunnel);
        if end < stream.len() {
            end = end.saturating_add(bytes.next()).min(stream.len());
        } else if idle < cuts.rooms.len() {
            // A room of 0 may be what keeps it.
            idle += 1;
        } else if !eof && !tunnel {
            s.conn.received_eof(NOW);
            eof = true;
            idle = 0;
        } else {
            break;
        }
    }
    s.log.push(over(s.conn.wants().end, s.conn.persistence(), from));
    s.log
}

fn over(end: Option<End>, persistence: Persistence, from: usize) -> Told {
    let reason = match persistence {
        Persistence::Close(reason) => Some(reason),
        Persistence::Persist { .. } => None,
    };
    Told::Over(end, reason, from)
}

/// What a client asks for: one request, and two more at once when it is answered.
#[derive(Clone, Copy, Debug)]
struct Asking {
    method: &'static str,
    /// A POST has content of unknown length.
    unknown: bool,
    /// It waits for a 100 before it sends any.
    expect: bool,
    /// The first response the content of which is of no use, if it is one of them.
    skip: usize,
}

/// A client, and how its output is cut.
struct Fetching<'c> {
    conn: client::Connection,
    outs: Turns<'c>,
    log: Vec<Told>,
    /// A request whose content is still to be sent: its head, and how it is wrapped.
    open: Option<(Vec<u8>, Plan)>,
}

impl Fetching<'_> {
    /// Whether the request was made.
    fn ask(
        &mut self,
        method: &'static str,
        fields: &[(&str, &str)],
        content: Content,
    ) -> Result<(), SendError> {
        let target = if method == "CONNECT" { "a:1" } else { "/" };
        let conn = &mut self.conn;
        let (started, head) = begin(&mut self.outs, |out| {
            conn.request(NOW, method, target, fields.iter().copied(), content, out)
        })?;
        conn.transmitted(NOW, head.len() as u64);
        if started.plan == Plan::None {
            self.log.push(Told::Out(shown(&head), String::new()));
        } else {
            self.open = Some((head, started.plan));
            self.send();
        }
        Ok(())
    }

    /// Sends the content, if it may be sent.
    fn send(&mut self) {
        let conn = &mut self.conn;
        if !conn.wants().content {
            return;
        }
        let Some((head, plan)) = self.open.take() else { return };
        let mut body = pour(&[b'q'; 20], &mut self.outs, |rest, out| {
            let moved = conn.send(NOW, rest, out).expect("content that was declared");
            conn.transmitted(NOW, moved.written as u64);
            moved
        });
        if plan == Plan::Chunked {
            let mut out = [0; 64];
            let n = conn.finish(NOW, NO_FIELDS, &mut out).expect("the end");
            conn.transmitted(NOW, n as u64);
            body.extend_from_slice(&out[..n]);
        }
        self.log.push(Told::Out(shown(&head), unwrapped(plan, &body)));
    }

    /// Two more, the second behind the first.
    fn ask_again(&mut self) {
        self.conn.checkout(NOW, Io::Nothing, b"");
        for _ in 0..2 {
            if let Err(e) = self.ask("GET", &[("Host", "a")], Content::None) {
                self.log.push(Told::Refused(e));
            }
        }
    }
}

const EXPECT: [(&str, &str); 2] = [("Host", "a"), ("Expect", "100-continue")];

/// A client, until its stream is over.
fn fetch(config: &client::Config, asking: Asking, stream: &[u8], cuts: &Cuts) -> Vec<Told> {
    let conn = client::Connection::new(config, NOW);
    let outs = Turns::new(&cuts.outs);
    let mut f = Fetching { conn, outs, log: Vec::new(), open: None };
    let http10 = config_is_10(config);
    let (fields, declared): (&[_], _) = match asking.method {
        "GET" if !http10 => (&[("Host", "a"), ("Upgrade", "x")], Content::None),
        "POST" if http10 => (&[("Host", "a")], Content::Length(20)),
        "POST" => {
            let content = if asking.unknown { Content::Unknown } else { Content::Length(20) };
            (&EXPECT[..1 + usize::from(asking.expect)], content)
        }
        _ => (&[("Host", "a")], Content::None),
    };
    f.ask(asking.method, fields, declared).expect("a request");
    let (mut from, mut end, mut eof) = (0, 0, false);
    let (mut bytes, mut rooms) = (Turns::new(&cuts.bytes), Turns::new(&cuts.rooms));
    let (mut idle, mut responses) = (0, 0);
    loop {
        let step = f.conn.receive(NOW, &stream[from..end], rooms.next());
        from += step.consumed;
        idle = if step.event.is_some() { 0 } else { idle };
        match step.event {
            Some(client::Event::Interim(head)) => f.log.push(Told::Head(shown(head.as_bytes()))),
            Some(client::Event::Response(head)) => {
                f.log.push(Told::Head(shown(head.as_bytes())));
                responses += 1;
                if responses == asking.skip {
                    f.conn.skip_content(NOW);
                }
            }
            Some(client::Event::Content(piece)) => content(&mut f.log, piece),
            Some(client::Event::End(t)) => {
                f.log.push(Told::End(lines(t)));
                if responses == 1 && f.open.is_none() {
                    f.ask_again();
                }
            }
            Some(client::Event::Failed(e)) => f.log.push(Told::Failed(e)),
            None => {
                f.conn.check_invariants();
                let tunnel = f.conn.wants().end == Some(End::Tunnel);
                if end < stream.len() {
                    end = end.saturating_add(bytes.next()).min(stream.len());
                } else if idle < cuts.rooms.len() {
                    idle += 1;
                } else if !eof && !tunnel {
                    f.conn.received_eof(NOW);
                    eof = true;
                    idle = 0;
                } else {
                    break;
                }
            }
        }
        f.send();
    }
    f.log.push(over(f.conn.wants().end, f.conn.persistence(), from));
    f.log
}

/// Requests of 1.0 cannot offer an upgrade.
fn config_is_10(config: &client::Config) -> bool {
    let mut probe = client::Connection::new(config, NOW);
    let fields = [("Host", "a"), ("Upgrade", "x")];
    probe.request(NOW, "GET", "/", fields, Content::None, &mut [0; 256]).is_err()
}

fn stream(pieces: &[&[u8]], seeds: &[Seed]) -> Vec<u8> {
    seeds.iter().flat_map(|&s| piece(pieces, s)).collect()
}

/// Whole, octet by octet, and cut as told.
pub fn run(head: Seed, seeds: &[Seed], cuts: &Cuts) {
    let by_one = Cuts { bytes: vec![1], ..Cuts::none() };
    let [a, b, role, method, manner, _] = head;
    if role.is_multiple_of(2) {
        let config = (&server_ops::config(a, b), server_ops::is_proxy(b));
        let stream = stream(super::REQUESTS, seeds);
        let manner = [Manner::Prompt, Manner::Late, Manner::Skips][usize::from(manner % 3)];
        let whole = serve(config, manner, &stream, &Cuts::none());
        for cuts in [cuts, &by_one] {
            let cut = serve(config, manner, &stream, cuts);
            assert_eq!(cut, whole, "{manner:?} {}", stream.escape_ascii());
        }
    } else {
        let config = client_ops::config(a, b);
        let stream = stream(super::RESPONSES, seeds);
        let asking = Asking {
            method: ["GET", "HEAD", "POST", "CONNECT"][usize::from(method % 4)],
            unknown: manner & 1 != 0,
            expect: manner & 2 != 0,
            skip: usize::from(manner >> 2) % 4,
        };
        let whole = fetch(&config, asking, &stream, &Cuts::none());
        for cuts in [cuts, &by_one] {
            let cut = fetch(&config, asking, &stream, cuts);
            assert_eq!(cut, whole, "{asking:?} {}", stream.escape_ascii());
        }
    }
}
