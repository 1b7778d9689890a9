//! Message framing against the slow oracle of `tests/oracle`: the same verdict on each message, the same
//! length, the same content, the same end. For requests and responses, at any cuts, with any room.
//!
//! The oracle gives no positions. It need not: where a message ends differently, the next one begins
//! differently, and behind the last one stands what is ignored or tunnelled. To make sure that there is
//! something behind it, a sentinel follows each stream.

#[allow(clippy::result_unit_err)] // public only to tests
#[path = "../oracle/mod.rs"]
pub mod oracle;

use super::codec::Source;
use super::unpack;
use keepalive::client;
use keepalive::server;
use keepalive::{
    Content, Failure, Instant, Io, Kind, Line, NO_FIELDS, RequestFraming, RequestHead,
    ResponseFraming, ResponseHead,
};
use oracle::{Event, Field, Framing, Part};

const NOW: Instant = Instant::from_micros(0);

/// How a stream is shown: so many octets more at a time, and so much room for content.
#[derive(Clone, Copy, Debug)]
struct Manner {
    by: usize,
    room: usize,
}

const WHOLE: Manner = Manner { by: usize::MAX, room: usize::MAX };

/// A stream on its way into a machine, and what came of it.
struct Reader<'b> {
    stream: &'b [u8],
    from: usize,
    end: usize,
    manner: Manner,
    events: Vec<Event>,
    /// Where the octets began that the machine refused.
    refused: usize,
}

impl<'b> Reader<'b> {
    fn new(stream: &'b [u8], manner: Manner) -> Self {
        Self { stream, from: 0, end: 0, manner, events: Vec::new(), refused: 0 }
    }

    fn shown(&self) -> &'b [u8] {
        &self.stream[self.from..self.end]
    }

    fn more(&mut self) -> bool {
        let before = self.end;
        self.end = self.end.saturating_add(self.manner.by).min(self.stream.len());
        self.end > before
    }

    fn content(&mut self, piece: &[u8]) {
        match self.events.last_mut() {
            Some(Event::Content(all)) => all.extend_from_slice(piece),
            _ => self.events.push(Event::Content(piece.to_vec())),
        }
    }

    fn verdict(&mut self, persist: bool) {
        self.events.push(Event::Persistence { persist, rule: "" });
    }

    /// What stands behind the last message.
    fn rest(&mut self, tunnel: bool) {
        let rest = self.stream[self.from..].to_vec();
        if !rest.is_empty() {
            self.events.push(if tunnel { Event::Tunnel(rest) } else { Event::Ignored(rest) });
        }
    }

    /// How it ends. The status is a server's.
    fn failed(&mut self, failure: Failure, server: bool) {
        self.events.push(match failure.kind {
            Kind::IncompleteHead => Event::Incomplete(Part::Head),
            Kind::IncompleteContent => Event::Incomplete(Part::Content),
            Kind::IncompleteTrailers => Event::Incomplete(Part::Trailers),
            // Nothing of a response that was waited for.
            Kind::NoResponse => return,
            kind => Event::Error { status: kind.status().filter(|_| server) },
        });
    }
}

fn fields<'b>(lines: impl Iterator<Item = Line<'b>>) -> Vec<Field> {
    lines.map(|line| (line.name.to_vec(), line.value.to_vec())).collect()
}

fn request(head: &RequestHead<'_>) -> Event {
    Event::Request {
        method: head.method().to_owned(),
        target: head.target().to_vec(),
        version: head.version().to_string(),
        fields: fields(head.fields()),
        framing: match head.framing() {
            RequestFraming::None => Framing::None,
            RequestFraming::Length(n) => Framing::Length(n),
            RequestFraming::Chunked => Framing::Chunked,
        },
        expect: head.expects_continue(),
        upgrade: head.is_connect() || head.offers_upgrade(),
    }
}

fn response(head: &ResponseHead<'_>, interim: bool) -> Event {
    Event::Response {
        status: head.status(),
        reason: head.reason().to_vec(),
        version: head.version().to_string(),
        fields: fields(head.fields()),
        framing: match head.framing() {
            ResponseFraming::None => Framing::None,
            ResponseFraming::Length(n) => Framing::Length(n),
            ResponseFraming::Chunked => Framing::Chunked,
            ResponseFraming::UntilClose => Framing::Close,
            ResponseFraming::Tunnel => Framing::Tunnel,
        },
        interim,
    }
}

/// A server that reads all content, and then answers with an empty 200.
fn serve(stream: &[u8], manner: Manner) -> (Vec<Event>, usize) {
    let mut conn = server::Connection::new(&server::Config::origin(), NOW);
    let mut r = Reader::new(stream, manner);
    let (mut connect, mut out) = (false, [0; 512]);
    loop {
        let step = conn.receive(NOW, r.shown(), manner.room);
        conn.check_invariants();
        r.refused = r.from;
        r.from += step.consumed;
        match step.event {
            Some(server::Event::Request(head)) => {
                connect = head.is_connect();
                conn.read_content(NOW);
                r.events.push(request(&head));
            }
            Some(server::Event::Content(piece)) => r.content(piece),
            Some(server::Event::End(trailers)) => {
                r.events.push(Event::End { trailers: fields(trailers) });
                let answer = conn.respond(NOW, 200, NO_FIELDS, Content::None, &mut out);
                conn.transmitted(NOW, answer.expect("an answer that is owed").written as u64);
                let persists = conn.persistence().persists();
                r.verdict(persists);
                if !persists {
                    r.rest(connect);
                    return (r.events, r.refused);
                }
            }
            Some(server::Event::Failed(f)) => {
                r.failed(f, true);
                return (r.events, r.refused);
            }
            None => {
                let n = conn.emit(NOW, &mut out).expect("room for a 100");
                conn.transmitted(NOW, n as u64);
                if !r.more() {
                    break;
                }
            }
        }
    }
    conn.received_eof(NOW);
    if let Some(server::Event::Failed(f)) = conn.receive(NOW, r.shown(), manner.room).event {
        r.failed(f, true);
    }
    (r.events, r.refused)
}

/// A client, the requests of which are out before anything comes.
struct Asking<'a> {
    methods: &'a [&'a str],
    offers: bool,
    eof: bool,
}

/// Makes the request, as if it had been made before these bytes came.
fn ask(conn: &mut client::Connection, method: &str, offers: bool) -> bool {
    let target = if method == "CONNECT" { "a:80" } else { "/" };
    // An offer of several protocols counts as one of any, which is what the oracle takes.
    let offer = (offers && method != "CONNECT").then_some(("Upgrade", "a, b, c"));
    let lines = [("Host", "a")].into_iter().chain(offer);
    conn.checkout(NOW, Io::Nothing, b"");
    let mut out = [0; 512];
    match conn.request(NOW, method, target, lines, Content::None, &mut out) {
        Ok(started) => {
            conn.transmitted(NOW, started.written as u64);
            true
        }
        Err(_) => false,
    }
}

fn fetch(stream: &[u8], asking: &Asking<'_>, manner: Manner) -> Vec<Event> {
    let mut conn = client::Connection::new(&client::Config::direct(), NOW);
    let mut r = Reader::new(stream, manner);
    let mut methods = asking.methods.iter();
    let mut next = |conn: &mut client::Connection| {
        methods.next().is_some_and(|method| ask(conn, method, asking.offers))
    };
    let (mut waiting, mut answered) = (next(&mut conn), false);
    while waiting {
        let step = conn.receive(NOW, r.shown(), manner.room);
        conn.check_invariants();
        r.from += step.consumed;
        match step.event {
            Some(client::Event::Interim(head)) => r.events.push(response(&head, true)),
            Some(client::Event::Response(head)) => r.events.push(response(&head, false)),
            Some(client::Event::Content(piece)) => r.content(piece),
            Some(client::Event::End(trailers)) => {
                r.events.push(Event::End { trailers: fields(trailers) });
                if !conn.persistence().persists() {
                    return closed(r, &conn);
                }
                answered = true;
                waiting = next(&mut conn);
                if waiting {
                    r.verdict(true);
                }
            }
            Some(client::Event::Failed(f)) => {
                r.failed(f, false);
                return r.events;
            }
            None if !r.more() => return unfinished(r, conn, asking),
            None => {}
        }
    }
    surplus(r, conn, answered)
}

fn closed(mut r: Reader<'_>, conn: &client::Connection) -> Vec<Event> {
    r.verdict(false);
    r.rest(conn.wants().end == Some(keepalive::End::Tunnel));
    r.events
}

/// The bytes end before the last response does, or with it.
fn unfinished(mut r: Reader<'_>, mut conn: client::Connection, asking: &Asking<'_>) -> Vec<Event> {
    conn.received_eof(NOW);
    match conn.receive(NOW, r.shown(), r.manner.room).event {
        Some(client::Event::Failed(f)) => r.failed(f, false),
        Some(client::Event::End(_)) if asking.eof => {
            r.events.push(Event::End { trailers: Vec::new() });
            return closed(r, &conn);
        }
        // Only the end of the connection ends it, and it did not come.
        Some(client::Event::End(_)) => r.events.push(Event::Incomplete(Part::Content)),
        _ => {}
    }
    r.events
}

/// Behind the last response: up to eight octets of empty lines are nothing, anything else is too much.
fn surplus(mut r: Reader<'_>, mut conn: client::Connection, answered: bool) -> Vec<Event> {
    let rest = &r.stream[r.from..];
    let blank = rest.iter().take(8).take_while(|b| matches!(b, b'\r' | b'\n')).count();
    let mut at = r.from;
    loop {
        at += conn.receive(NOW, &r.stream[at..r.end], r.manner.room).consumed;
        if !r.more() {
            break;
        }
    }
    r.from += blank;
    if answered {
        r.verdict(conn.persistence().persists());
        if conn.persistence().persists() {
            return r.events;
        }
    }
    r.rest(false);
    r.events
}

// ---- where the two may differ, and why ----

/// Trailers that the machine drops beyond those the oracle drops. S8.5 names groups, with "routing,
/// authentication, connection" among them; RFC 9110 §6.5.1 adds request modifiers and response control.
const ALSO_DROPPED: [&str; 4] = ["expect", "max-forwards", "cache-control", "range"];

/// `protocol-name ["/" protocol-version]`, both tokens (RFC 9110 §7.8). The oracle takes any member of an
/// Upgrade field for an offer, the machine only one that is a protocol; SEMANTICS says nothing of others.
fn is_protocol(member: &[u8]) -> bool {
    let mut parts = member.splitn(2, |&b| b == b'/');
    parts.all(|part| !part.is_empty() && part.iter().all(is_tchar))
}

fn is_tchar(b: &u8) -> bool {
    b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b)
}

fn offers_protocol(fields: &[Field]) -> bool {
    fields
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case(b"upgrade"))
        .flat_map(|(_, value)| value.split(|&b| b == b','))
        .any(|member| is_protocol(member.trim_ascii()))
}

/// The oracle's account, without what is no contract: which of several rules is cited.
fn plain(event: Event) -> Event {
    match event {
        Event::Request { method, target, version, fields, framing, expect, upgrade } => {
            let upgrade = upgrade && (method == "CONNECT" || offers_protocol(&fields));
            Event::Request { method, target, version, fields, framing, expect, upgrade }
        }
        Event::Persistence { persist, .. } => Event::Persistence { persist, rule: "" },
        Event::End { mut trailers } => {
            trailers.retain(|(name, _)| {
                !ALSO_DROPPED.iter().any(|d| name.eq_ignore_ascii_case(d.as_bytes()))
            });
            Event::End { trailers }
        }
        other => other,
    }
}

fn oracle_says(input: &oracle::Input<'_>) -> Vec<Event> {
    oracle::read(input).into_iter().map(plain).collect()
}

/// Request lines with more than one fault: which is told, SEMANTICS leave open. The machine judges from
/// left to right, but the version before the target, and looks at no more of a line than may be valid; the
/// oracle looks at the whole line first.
fn either_will_do(ours: u16, theirs: u16, line: &[u8]) -> bool {
    const LONGEST: usize = 32 + 8 * 1024 + "  HTTP/1.1".len();
    let line = line.windows(2).position(|w| w == b"\r\n").map_or(line, |end| &line[..end]);
    let parts: Vec<_> = line.split(|&b| b == b' ').collect();
    // Too long to be valid, whatever else it is.
    if line.len() > LONGEST {
        return matches!((ours, theirs), (414 | 501, 400 | 414 | 431 | 501 | 505));
    }
    match (ours, theirs) {
        // A method that is too long, and no token further on.
        (501, 400) => line.len() > 32 && line[..33].iter().all(is_tchar),
        // Another major version, and more than three parts.
        (505, 400) => parts.len() > 3 && parts.last().is_some_and(|v| v.starts_with(b"HTTP/")),
        // A target that is too long, and more than three parts.
        (414, 400) => parts.len() > 3 && line.len() > 8 * 1024,
        _ => false,
    }
}

/// Compares. The machine may judge a line of the chunked coding before it is whole, where the oracle
/// waits for its end: then the oracle must come to the same when the end is there.
fn agree(ours: &[Event], refused: usize, input: &oracle::Input<'_>) {
    let theirs = oracle_says(input);
    if ours == theirs {
        return;
    }
    if let (
        [before @ .., Event::Error { status: Some(one) }],
        [same @ .., Event::Error { status: Some(other) }],
    ) = (ours, &theirs[..])
        && before == same
        && !matches!(before.last(), Some(Event::Request { .. } | Event::Content(_)))
        && either_will_do(*one, *other, unblank(&input.bytes[refused..]))
    {
        return;
    }
    let early = matches!(ours.last(), Some(Event::Error { .. }))
        && matches!(theirs.last(), Some(Event::Incomplete(_)));
    if early {
        let ended = [input.bytes, b"\r\n"].concat();
        let theirs = oracle_says(&oracle::Input { bytes: &ended, ..*input });
        assert_eq!(ours, theirs, "ended: {}", ended.escape_ascii());
        return;
    }
    assert_eq!(ours, theirs, "{}", input.bytes.escape_ascii());
}

/// Without the empty lines before a request line.
fn unblank(mut bytes: &[u8]) -> &[u8] {
    while let Some(rest) = bytes.strip_prefix(b"\r\n") {
        bytes = rest;
    }
    bytes
}

/// What a server makes of these octets: the same however they are cut, and the same as the oracle.
fn requests(stream: &[u8], cut: Manner) -> Vec<Event> {
    let (ours, refused) = serve(stream, WHOLE);
    assert_eq!(serve(stream, cut).0, ours, "{cut:?}");
    let (role, bytes) = (oracle::Role::Server, stream);
    let input = oracle::Input { role, bytes, eof: false, requests: &[], offered_upgrade: false };
    agree(&ours, refused, &input);
    ours
}

/// The same of a client.
fn responses(stream: &[u8], asking: &Asking<'_>, cut: Manner) -> Vec<Event> {
    let ours = fetch(stream, asking, WHOLE);
    assert_eq!(fetch(stream, asking, cut), ours, "{cut:?}");
    let (role, bytes, eof) = (oracle::Role::Client, stream, asking.eof);
    let (requests, offered_upgrade) = (asking.methods, asking.offers);
    agree(&ours, 0, &oracle::Input { role, bytes, eof, requests, offered_upgrade });
    ours
}

const BY_ONE: Manner = Manner { by: 1, room: usize::MAX };

/// A request, whole and octet by octet.
pub fn served(stream: &[u8]) -> Vec<Event> {
    requests(stream, BY_ONE)
}

/// A response to a request with this method, and then the end of the connection.
pub fn fetched(stream: &[u8], method: &str) -> Vec<Event> {
    responses(stream, &Asking { methods: &[method], offers: false, eof: true }, BY_ONE)
}

/// Role and manner, and then a stream.
pub fn framing(data: &[u8]) {
    let s = &mut Source::new(data);
    let (role, by, room) = (s.byte(), s.byte(), s.byte());
    let cut = Manner {
        by: usize::from(by % 64) + 1,
        room: if room < 128 { usize::MAX } else { usize::from(room - 127) },
    };
    if role.is_multiple_of(2) {
        let mut stream = unpack(s.rest());
        stream.extend_from_slice(b"GET /sentinel HTTP/1.1\r\nHost: s\r\n\r\n");
        requests(&stream, cut);
    } else {
        let which = s.byte();
        let methods: Vec<&str> = (0..(role >> 1) % 4)
            .map(|n| ["GET", "HEAD", "CONNECT", "POST"][usize::from(which >> (2 * n) & 3)])
            .collect();
        let (offers, eof) = (role & 0x08 != 0, role & 0x10 != 0);
        let mut stream = unpack(s.rest());
        if role & 0x20 != 0 {
            stream.extend_from_slice(b"HTTP/1.1 299 Sentinel\r\nContent-Length: 0\r\n\r\n");
        }
        responses(&stream, &Asking { methods: &methods, offers, eof }, cut);
    }
}
