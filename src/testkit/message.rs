//! Messages to be sent: valid ones, and ones with exactly one flaw.
//!
//! Both are drawn from a [`Source`]; a flaw knows the [`Kind`] of failure that it is.

use super::chance::Source;
use crate::error::Kind;
use std::prelude::v1::*;
use std::{format, vec};

/// Field lines, in order.
pub type Lines = Vec<(String, String)>;

/// How a message shows where its content ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Framing {
    /// It has none.
    None,
    /// By Content-Length.
    Length,
    /// By the chunked coding.
    Chunked,
    /// By the end of the connection: responses only.
    UntilClose,
}

/// The content of a message, and how it goes out.
///
/// ```
/// use keepalive::testkit::{Body, Framing};
/// let (framing, content) = (Framing::Chunked, b"hello".to_vec());
/// let body = Body { framing, content, chunks: vec![3], trailers: vec![] };
/// assert_eq!(body.octets(), b"3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    /// How its end is shown.
    pub framing: Framing,
    /// The octets.
    pub content: Vec<u8>,
    /// Octets in each chunk, in turns; a zero counts as one.
    pub chunks: Vec<usize>,
    /// Trailers: with the chunked coding only.
    pub trailers: Lines,
}

impl Body {
    /// No content.
    #[must_use]
    pub const fn none() -> Self {
        Self {
            framing: Framing::None,
            content: Vec::new(),
            chunks: Vec::new(),
            trailers: Vec::new(),
        }
    }

    fn draw(source: &mut Source<'_>, framing: Framing) -> Self {
        if framing == Framing::None {
            return Self::none();
        }
        let len = match source.byte() {
            0..24 => 0,
            24..160 => source.up_to(40),
            160..248 => source.up_to(900),
            _ => source.up_to(30_000),
        };
        // Content that is easily recognised, and never twice the same.
        let from = source.byte();
        let content = (0..len).map(|i| from.wrapping_add((i % 251) as u8)).collect();
        let chunked = framing == Framing::Chunked;
        let chunks = if chunked { vec![source.pick(&[usize::MAX, 900, 40, 7, 1])] } else { vec![] };
        let trailers = if chunked && source.chance(60) {
            vec![("X-Sum".to_owned(), len.to_string())]
        } else {
            vec![]
        };
        Self { framing, content, chunks, trailers }
    }

    fn line(&self) -> Option<(String, String)> {
        match self.framing {
            Framing::None | Framing::UntilClose => None,
            Framing::Length => Some(("Content-Length".to_owned(), self.content.len().to_string())),
            Framing::Chunked => Some(("Transfer-Encoding".to_owned(), "chunked".to_owned())),
        }
    }

    /// What follows the head.
    #[must_use]
    pub fn octets(&self) -> Vec<u8> {
        match self.framing {
            Framing::None => return Vec::new(),
            Framing::Length | Framing::UntilClose => return self.content.clone(),
            Framing::Chunked => {}
        }
        let mut out = Vec::new();
        let mut rest = &self.content[..];
        let mut sizes = self.chunks.iter().cycle();
        while !rest.is_empty() {
            let size = sizes.next().map_or(rest.len(), |&n| n.clamp(1, rest.len()));
            let (chunk, more) = rest.split_at(size);
            out.extend(format!("{size:x}\r\n").into_bytes());
            out.extend(chunk);
            out.extend(b"\r\n");
            rest = more;
        }
        out.extend(b"0\r\n");
        put(&mut out, &self.trailers);
        out.extend(b"\r\n");
        out
    }
}

fn put(out: &mut Vec<u8>, lines: &[(String, String)]) {
    for (name, value) in lines {
        out.extend(format!("{name}: {value}\r\n").into_bytes());
    }
}

const NAMES: &[&str] =
    &["Accept", "X-A", "x-a", "Date", "ETag", "A!#$%&'*+-.^_`|~9", "If-None-Match", "Link"];
const VALUES: &[&str] =
    &["a", "", "*/*", "a, b", "\"q,\\\"\"", "x\ty", "text/plain; q=0.5", "W/\"1\"", "\u{e9}"];

fn some_lines(source: &mut Source<'_>, most: u8) -> Lines {
    (0..source.below(most))
        .map(|_| (source.pick(NAMES).to_owned(), source.pick(VALUES).to_owned()))
        .collect()
}

/// A request that every server must take.
///
/// ```
/// use keepalive::{RequestHead, testkit::{Request, Source}};
/// for seed in 0..100 {
///     let request = Request::draw(&mut Source::seeded(seed));
///     let octets = request.octets();
///     let head = RequestHead::parse(&octets)?;
///     assert_eq!(head.method(), request.method);
///     assert_eq!(head.as_bytes(), request.head());
/// }
/// # Ok::<(), keepalive::Failure>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The method.
    pub method: &'static str,
    /// The target.
    pub target: String,
    /// The minor version: 0 or 1.
    pub minor: u8,
    /// Field lines, but for the one that frames the content.
    pub fields: Lines,
    /// The content.
    pub body: Body,
}

impl Request {
    /// The plainest one: `GET / HTTP/1.1`, with a Host.
    #[must_use]
    pub fn plain() -> Self {
        Self {
            method: "GET",
            target: "/".to_owned(),
            minor: 1,
            fields: vec![("Host".to_owned(), "a".to_owned())],
            body: Body::none(),
        }
    }

    /// Any one. The plainest where all decisions are zero.
    pub fn draw(source: &mut Source<'_>) -> Self {
        let method = source.pick(&[
            "GET", "GET", "GET", "POST", "POST", "PUT", "HEAD", "DELETE", "OPTIONS", "get",
        ]);
        let minor = u8::from(!source.chance(40));
        let target = match (method, source.byte()) {
            ("OPTIONS", 128..) => "*".to_owned(),
            (_, 0..200) => format!("/{}", source.pick(&["", "x", "x?y=z", "a/b;c", "%7e"])),
            _ => "http://a/x".to_owned(),
        };
        let mut fields = some_lines(source, 5);
        if minor == 1 || source.chance(128) {
            let at = source.up_to(fields.len() as u64) as usize;
            fields.insert(at, ("Host".to_owned(), source.pick(&["a", "a:80", "[::1]"]).to_owned()));
        }
        let option = match (minor, source.byte()) {
            (0, 100..) => Some("keep-alive"),
            (_, 0..190) => None,
            (_, 190..220) => Some("Keep-Alive"),
            (_, 220..240) => Some("close"),
            _ => Some("foo, , close"),
        };
        fields.extend(option.map(|o| ("Connection".to_owned(), o.to_owned())));
        let uploads = matches!(method, "POST" | "PUT") || source.chance(10);
        let framing = match (uploads, minor, source.byte()) {
            (false, ..) => Framing::None,
            (true, 1, 128..) => Framing::Chunked,
            _ => Framing::Length,
        };
        let body = Body::draw(source, framing);
        if framing != Framing::None && minor == 1 && source.chance(50) {
            fields.push(("Expect".to_owned(), "100-continue".to_owned()));
        }
        Self { method, target, minor, fields, body }
    }

    /// Whether it waits for a 100.
    #[must_use]
    pub fn expects(&self) -> bool {
        self.fields.iter().any(|(name, _)| name == "Expect")
    }

    /// The head.
    #[must_use]
    pub fn head(&self) -> Vec<u8> {
        let (method, target, minor) = (self.method, &self.target, self.minor);
        let mut out = format!("{method} {target} HTTP/1.{minor}\r\n").into_bytes();
        put(&mut out, &self.fields);
        put(&mut out, self.body.line().as_slice());
        out.extend(b"\r\n");
        out
    }

    /// All of it.
    #[must_use]
    pub fn octets(&self) -> Vec<u8> {
        [self.head(), self.body.octets()].concat()
    }
}

/// A response that every client must take, to a request with the method it was drawn for.
///
/// ```
/// use keepalive::{ResponseHead, testkit::{Response, Source}};
/// for seed in 0..100 {
///     let response = Response::draw(&mut Source::seeded(seed), "GET");
///     let octets = response.octets();
///     assert_eq!(ResponseHead::parse(&octets, "GET")?.status(), response.status);
/// }
/// # Ok::<(), keepalive::Failure>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// The minor version: 0 or 1.
    pub minor: u8,
    /// Field lines, but for the one that frames the content.
    pub fields: Lines,
    /// The content.
    pub body: Body,
    /// Whether the head only is sent: the answer to HEAD.
    pub bare: bool,
}

impl Response {
    /// Any final one to a request with this method.
    pub fn draw(source: &mut Source<'_>, method: &str) -> Self {
        let status =
            source.pick(&[200, 200, 200, 200, 404, 204, 304, 206, 500, 503, 302, 413, 417, 408]);
        let minor = u8::from(!source.chance(30));
        let mut fields = some_lines(source, 4);
        let hint = source.pick(&[
            None,
            None,
            None,
            None,
            Some(("keep-alive", Some("timeout=5, max=2"))),
            Some(("keep-alive", Some("timeout=1"))),
            Some(("keep-alive", None)),
            Some(("close", None)),
        ]);
        if let Some((option, field)) = hint {
            fields.push(("Connection".to_owned(), option.to_owned()));
            fields.extend(field.map(|f| ("Keep-Alive".to_owned(), f.to_owned())));
        }
        let framing = match (status, minor, source.byte()) {
            (204 | 304, ..) => Framing::None,
            (_, _, 0..128) => Framing::Length,
            (_, 1, 128..230) => Framing::Chunked,
            _ => Framing::UntilClose,
        };
        Self { status, minor, fields, body: Body::draw(source, framing), bare: method == "HEAD" }
    }

    /// The head.
    #[must_use]
    pub fn head(&self) -> Vec<u8> {
        let (status, reason) = (self.status, crate::status::reason(self.status));
        let mut out = format!("HTTP/1.{} {status} {reason}\r\n", self.minor).into_bytes();
        put(&mut out, &self.fields);
        put(&mut out, self.body.line().as_slice());
        out.extend(b"\r\n");
        out
    }

    /// All of it.
    #[must_use]
    pub fn octets(&self) -> Vec<u8> {
        let body = if self.bare { Vec::new() } else { self.body.octets() };
        [self.head(), body].concat()
    }
}

/// A way to be wrong: one of [`Flaw::REQUESTS`] or [`Flaw::RESPONSES`].
///
/// ```
/// use keepalive::{Instant, server, testkit::{Flaw, Source}};
/// let flaw = Flaw::REQUESTS.iter().find(|f| f.name == "chunked twice").unwrap();
/// let octets = flaw.message(&mut Source::seeded(7));
/// let mut conn = server::Connection::new(&server::Config::origin(), Instant::default());
/// let step = conn.receive(Instant::default(), &octets, usize::MAX);
/// assert!(matches!(step.event, Some(server::Event::Failed(f)) if f.kind == flaw.kind));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flaw {
    /// What is wrong.
    pub name: &'static str,
    /// What a machine with default settings says of it.
    pub kind: Kind,
    /// Whether the head is in order, and the flaw is in what follows.
    pub behind_head: bool,
    start: &'static str,
    /// Whether a Host is added: to requests only.
    host: bool,
    /// In place of the framing, at the beginning of the section or somewhere in it.
    lines: &'static str,
    content: &'static str,
}

const fn head(
    name: &'static str,
    kind: Kind,
    start: &'static str,
    host: bool,
    lines: &'static str,
) -> Flaw {
    Flaw { name, kind, behind_head: false, start, host, lines, content: "" }
}

/// A flaw in the field section of a request.
const fn line(name: &'static str, kind: Kind, lines: &'static str) -> Flaw {
    head(name, kind, "POST / HTTP/1.1", true, lines)
}

/// A flaw in its start line.
const fn start(name: &'static str, kind: Kind, start: &'static str) -> Flaw {
    head(name, kind, start, true, "")
}

/// A flaw in its chunks.
const fn chunks(name: &'static str, kind: Kind, content: &'static str) -> Flaw {
    let lines = "Transfer-Encoding: chunked\r\n";
    let start = "POST / HTTP/1.1";
    Flaw { name, kind, behind_head: true, start, host: true, lines, content }
}

/// The same in a response.
const fn answer(flaw: Flaw) -> Flaw {
    Flaw { start: "HTTP/1.1 200 OK", host: false, ..flaw }
}

const SPACE_BEFORE_COLON: Flaw = line("space before a colon", Kind::SpaceBeforeColon, "X : y\r\n");
const BARE_LF: Flaw = line("bare LF behind a field line", Kind::BareLf, "X: y\n");
const BARE_CR: Flaw = line("bare CR in a value", Kind::BareCr, "X: a\rb\r\n");
const NUL: Flaw = line("NUL in a value", Kind::ControlByte, "X: a\0b\r\n");
const FOLD: Flaw = line("folded line", Kind::ObsFold, "X: a\r\n b\r\n");
const NO_NAME: Flaw = line("empty field name", Kind::FieldName, ": y\r\n");
const NO_COLON: Flaw = line("no colon", Kind::FieldName, "Xy\r\n");
const SIGN: Flaw = line("length with a sign", Kind::LengthInvalid, "Content-Length: +5\r\n");
const TWO_LENGTHS: Flaw =
    line("lengths that differ", Kind::LengthInvalid, "Content-Length: 5\r\nContent-Length: 6\r\n");
const BOTH: Flaw = line(
    "coding and length",
    Kind::CodingWithLength,
    "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
);
const CHUNKED_TWICE: Flaw = line(
    "chunked twice",
    Kind::CodingInvalid,
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
);
const CODING: Flaw =
    line("coding that is unknown", Kind::CodingUnknown, "Transfer-Encoding: gzip, chunked\r\n");
const HEX_PREFIX: Flaw = chunks("chunk size with 0x", Kind::ChunkSize, "0x5\r\nhello\r\n0\r\n\r\n");
const NO_SIZE: Flaw = chunks("no chunk size", Kind::ChunkSize, "\r\nhello\r\n0\r\n\r\n");
const LONG_CHUNK: Flaw =
    chunks("more chunk data than its size", Kind::ChunkEnd, "4\r\nhello\r\n0\r\n\r\n");
const CHUNK_LF: Flaw = chunks("bare LF behind a chunk size", Kind::BareLf, "5\nhello\r\n0\r\n\r\n");
const HUGE_CHUNK: Flaw =
    chunks("chunk size of 17 digits", Kind::ChunkTooLarge, "00000000000000005\r\nhello\r\n");
const TRAILER: Flaw =
    chunks("space before a colon in a trailer", Kind::SpaceBeforeColon, "0\r\nX : y\r\n\r\n");

impl Flaw {
    /// What can be wrong with a request.
    pub const REQUESTS: &'static [Self] = &[
        SPACE_BEFORE_COLON,
        BARE_LF,
        BARE_CR,
        NUL,
        FOLD,
        NO_NAME,
        NO_COLON,
        line("whitespace before the first line", Kind::LeadingSpace, " X: y\r\n"),
        line("two Hosts", Kind::HostRepeated, "Host: b\r\n"),
        head("no Host", Kind::HostMissing, "GET / HTTP/1.1", false, ""),
        head("invalid Host", Kind::HostInvalid, "GET / HTTP/1.1", false, "Host: a b\r\n"),
        SIGN,
        TWO_LENGTHS,
        line("length given twice", Kind::LengthRepeated, "Content-Length: 5, 5\r\n"),
        BOTH,
        CHUNKED_TWICE,
        line("empty coding", Kind::CodingInvalid, "Transfer-Encoding: ,chunked\r\n"),
        line("coding other than chunked", Kind::CodingInvalid, "Transfer-Encoding: chunked, x\r\n"),
        CODING,
        head(
            "coding on 1.0",
            Kind::CodingOnHttp10,
            "POST / HTTP/1.0",
            true,
            "Transfer-Encoding: chunked\r\n",
        ),
        start("two spaces in the request line", Kind::RequestLine, "GET  / HTTP/1.1"),
        start("version in lower case", Kind::VersionInvalid, "GET / http/1.1"),
        start("version with two digits", Kind::VersionInvalid, "GET / HTTP/1.10"),
        start("no version", Kind::VersionInvalid, "GET /"),
        start("version 2.0", Kind::VersionUnsupported, "GET / HTTP/2.0"),
        start("method that is no token", Kind::MethodInvalid, "G(T / HTTP/1.1"),
        start("target without a form", Kind::TargetInvalid, "GET x HTTP/1.1"),
        start("asterisk with GET", Kind::TargetInvalid, "GET * HTTP/1.1"),
        HEX_PREFIX,
        NO_SIZE,
        LONG_CHUNK,
        CHUNK_LF,
        HUGE_CHUNK,
        TRAILER,
    ];

    /// What can be wrong with a response.
    pub const RESPONSES: &'static [Self] = &[
        answer(SPACE_BEFORE_COLON),
        answer(BARE_LF),
        answer(BARE_CR),
        answer(NUL),
        answer(FOLD),
        answer(NO_NAME),
        answer(NO_COLON),
        answer(SIGN),
        answer(TWO_LENGTHS),
        answer(BOTH),
        answer(CHUNKED_TWICE),
        answer(CODING),
        head("no status", Kind::StatusLine, "HTTP/1.1", false, ""),
        head("status below 100", Kind::StatusCode, "HTTP/1.1 099 No", false, ""),
        head("status of two digits", Kind::StatusCode, "HTTP/1.1 20 OK", false, ""),
        head("version 2.0", Kind::VersionUnsupported, "HTTP/2.0 200 OK", false, ""),
        answer(HEX_PREFIX),
        answer(NO_SIZE),
        answer(LONG_CHUNK),
        answer(CHUNK_LF),
        answer(HUGE_CHUNK),
        answer(TRAILER),
    ];

    /// A message with this flaw and no other.
    #[must_use]
    pub fn message(&self, source: &mut Source<'_>) -> Vec<u8> {
        let mut lines: Vec<String> = some_lines(source, 4)
            .into_iter()
            .map(|(name, value)| format!("{name}: {value}\r\n"))
            .collect();
        if self.host {
            lines.push("Host: a\r\n".to_owned());
        }
        // Stray whitespace is called a fold behind another line.
        let first = self.lines.starts_with(' ');
        let at = if first { 0 } else { source.up_to(lines.len() as u64) as usize };
        lines.insert(at, self.lines.to_owned());
        format!("{}\r\n{}\r\n{}", self.start, lines.concat(), self.content).into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Content, Instant, client, server};

    const NOW: Instant = Instant::from_micros(5);

    fn served(octets: &[u8]) -> (usize, Option<Kind>) {
        let mut conn = server::Connection::new(&server::Config::origin(), NOW);
        let (mut rest, mut heads) = (octets, 0);
        loop {
            let step = conn.receive(NOW, rest, usize::MAX);
            rest = &rest[step.consumed..];
            match step.event {
                Some(server::Event::Request(_)) => heads += 1,
                Some(server::Event::Failed(f)) => return (heads, Some(f.kind)),
                Some(server::Event::End(_)) => {
                    assert!(rest.is_empty(), "one message");
                    return (heads, None);
                }
                Some(server::Event::Content(_)) => {}
                None => panic!("no end: {}", octets.escape_ascii()),
            }
            conn.read_content(NOW);
        }
    }

    fn answered(octets: &[u8], method: &str) -> (usize, Option<Kind>) {
        let mut conn = client::Connection::new(&client::Config::direct(), NOW);
        let mut out = [0; 99];
        let started = conn.request(NOW, method, "/", [("Host", "a")], Content::None, &mut out);
        conn.transmitted(NOW, started.unwrap().written as u64);
        let (mut rest, mut heads) = (octets, 0);
        loop {
            let step = conn.receive(NOW, rest, usize::MAX);
            rest = &rest[step.consumed..];
            match step.event {
                Some(client::Event::Response(_)) => heads += 1,
                Some(client::Event::Failed(f)) => return (heads, Some(f.kind)),
                Some(client::Event::End(_)) => {
                    assert!(rest.is_empty(), "one message");
                    return (heads, None);
                }
                Some(_) => {}
                None if rest.is_empty() => conn.received_eof(NOW),
                None => panic!("no end: {}", octets.escape_ascii()),
            }
        }
    }

    #[test]
    fn what_is_drawn_is_valid() {
        for seed in 0..5_000 {
            let mut source = Source::seeded(seed);
            let request = Request::draw(&mut source);
            let octets = request.octets();
            assert_eq!(served(&octets), (1, None), "{seed}: {}", octets.escape_ascii());
            let response = Response::draw(&mut source, "GET");
            let octets = response.octets();
            assert_eq!(answered(&octets, "GET"), (1, None), "{seed}: {}", octets.escape_ascii());
            let response = Response::draw(&mut source, "HEAD");
            let octets = response.octets();
            assert_eq!(answered(&octets, "HEAD"), (1, None), "{seed}: {}", octets.escape_ascii());
        }
        assert_eq!(
            Request::draw(&mut Source::new(b"")).head(),
            b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
        );
        assert_eq!(Request::draw(&mut Source::new(b"")), Request::plain());
    }

    #[test]
    fn each_flaw_is_called_by_its_name() {
        for seed in 0..50 {
            for flaw in Flaw::REQUESTS {
                let octets = flaw.message(&mut Source::seeded(seed));
                let heads = usize::from(flaw.behind_head);
                let found = served(&octets);
                assert_eq!(found, (heads, Some(flaw.kind)), "{flaw:?}: {}", octets.escape_ascii());
            }
            for flaw in Flaw::RESPONSES {
                let octets = flaw.message(&mut Source::seeded(seed));
                let heads = usize::from(flaw.behind_head);
                let found = answered(&octets, "GET");
                assert_eq!(found, (heads, Some(flaw.kind)), "{flaw:?}: {}", octets.escape_ascii());
            }
        }
    }
}
