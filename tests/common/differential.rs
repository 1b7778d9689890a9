//! Against another parser, `httparse`: heads and chunk sizes.
//!
//! Where both accept, they agree on method, target, version, status, names and values, and on where the
//! head ends. Where only one accepts, the difference is of one of the [`CLASSES`], each with its rule and
//! reason; what is of none is a failure. `fuzz/DIFFERENCES.md` is printed from the table.

use super::codec::Source;
use super::unpack;
use keepalive::client;
use keepalive::server;
use keepalive::{Content, Instant, Kind, Line, RequestHead, ResponseHead};

const NOW: Instant = Instant::from_micros(0);

/// What is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    Request,
    Response,
    /// The line of a chunk size in a request, or in a response.
    Chunk(Role),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Server,
    Client,
}

/// What one of the two says of the octets.
#[derive(Clone, Debug, PartialEq)]
enum Says<E> {
    Accepted(Read),
    /// Not to be decided yet.
    Partial,
    Refused(E),
}

/// What was read.
#[derive(Clone, Debug, Default, PartialEq)]
struct Read {
    /// Method and target.
    request: Option<(String, Vec<u8>)>,
    /// Status, and the reason where it is of ASCII: `httparse` gives no other.
    response: Option<(u16, Option<Vec<u8>>)>,
    minor: u8,
    lines: Vec<(Vec<u8>, Vec<u8>)>,
    /// Of a chunk.
    size: u64,
    /// Where it ends.
    end: usize,
}

/// Octets on which the two differ: exactly one of them accepts.
#[derive(Debug)]
pub struct Difference<'b> {
    what: What,
    bytes: &'b [u8],
    /// How we refuse, and where; `None` where they refuse.
    refused: Option<(Kind, usize)>,
    /// What the other one read, whoever that is.
    read: Read,
}

/// Who accepts what the other one refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepts {
    Theirs,
    Ours,
}

/// A kind of difference that is wanted.
#[derive(Debug)]
pub struct Class {
    pub name: &'static str,
    /// Our rule, and the section of the RFC behind it.
    pub rule: &'static str,
    pub rfc: &'static str,
    pub accepts: Accepts,
    pub why: &'static str,
    /// Told from the octets, and not from our word alone.
    holds: fn(&Difference<'_>) -> bool,
}

macro_rules! classes {
    ($($name:literal $who:ident $rule:literal $rfc:literal $why:literal $holds:expr;)*) => {
        &[$(Class {
            name: $name,
            rule: $rule,
            rfc: $rfc,
            accepts: Accepts::$who,
            why: $why,
            holds: $holds,
        },)*]
    };
}

/// All differences that are wanted, and no others.
pub const CLASSES: &[Class] = classes! {
    // ---- they accept ----
    "LF alone ends a line" Theirs "S8.4" "RFC 9112 §2.2"
        "A recipient MAY take it; where all refuse it, nobody can be told another message than a neighbour."
        |d| d.kind(&[Kind::BareLf]) && d.at(0) == Some(b'\n') && d.before() != Some(b'\r');
    "target in no form that the method may have" Theirs "S8.11" "RFC 9112 §3.2"
        "Which resource is meant would be anybody's guess; `httparse` leaves the target to others."
        |d| d.kind(&[Kind::TargetInvalid]) && d.odd_target();
    "Host missing, repeated or malformed" Theirs "S8.4, S8.11" "RFC 9112 §3.2"
        "A server MUST answer 400; `httparse` reads no field."
        |d| d.kind(&[Kind::HostMissing, Kind::HostRepeated, Kind::HostInvalid]) && d.odd_host();
    "ambiguous framing" Theirs "S8, S8.1, S8.2" "RFC 9112 §6.3"
        "Transfer-Encoding and Content-Length decide where the message ends; `httparse` reads no field."
        |d| d.framing_kind() && d.odd_framing();
    "CONNECT with content" Theirs "S8-2" "RFC 9110 §9.3.6"
        "What follows is the tunnel's; a length would say otherwise."
        |d| d.kind(&[Kind::ConnectContent]) && d.method() == "CONNECT" && d.has_framing();
    "longer than a limit" Theirs "S8.4" "RFC 9110 §5.4, RFC 9112 §3"
        "Head, target, method and the number of lines are bounded; `httparse` leaves that to the caller."
        |d| d.kind(&[Kind::HeadTooLong, Kind::TooManyFields, Kind::TargetTooLong, Kind::MethodTooLong])
            && d.oversized();
    "status below 100" Theirs "S8.4" "RFC 9110 §15"
        "A status is from 100 on: what class 0xx would be, nobody says."
        |d| d.kind(&[Kind::StatusCode]) && d.read.response.as_ref().is_some_and(|r| r.0 < 100);
    "chunk size without a digit" Theirs "S8.3" "RFC 9112 §7.1"
        "1*HEXDIG: an empty size read as 0 ends the content where another reader sees none end."
        |d| d.kind(&[Kind::ChunkSize])
            && d.bytes.first().is_some_and(|b| !b.is_ascii_hexdigit()) && d.read.size == 0;
    "chunk size beyond 63 bits" Theirs "S8.3" "RFC 9112 §7.1"
        "It must fit a signed integer everywhere else; `httparse` takes 64 bits."
        |d| d.kind(&[Kind::ChunkTooLarge]) && d.read.size > i64::MAX as u64;
    "space behind the chunk size of a request" Theirs "S8.3" "RFC 9112 §7.1"
        "Servers send it, and a client takes it; in requests no honest sender has it."
        |d| d.what == What::Chunk(Role::Server) && d.kind(&[Kind::ChunkExtension])
            && d.at(0) == Some(b'\r') && matches!(d.before(), Some(b' ' | b'\t'));
    "control octets in a chunk extension" Theirs "S8.3" "RFC 9112 §7.1.1"
        "Neither a token nor a quoted string holds one; a bare LF there splits messages."
        |d| d.kind(&[Kind::BareLf, Kind::ControlByte, Kind::BareCr]) && d.in_extension()
            && d.at(0).is_some_and(|b| b < b' ' || b == 0x7f);
    "chunk line of more than 4 KiB" Theirs "S8.3" "RFC 9112 §7.1.1"
        "Extensions are bounded: a recipient ought to limit them."
        |d| d.kind(&[Kind::ChunkLineTooLong]) && d.bytes.len() > 4096;
    // ---- we accept ----
    "minor version from 2 on" Ours "S1.2" "RFC 9110 §2.5"
        "It is to be processed as the highest minor version known."
        |d| (2..=9).contains(&d.read.minor);
    "octets of no UTF-8 in the target" Ours "S8.11" "RFC 9112 §3.2"
        "Octets from 0x80 on pass, whatever they mean: `httparse` gives text, and so needs it to be one."
        |d| d.read.request.as_ref().is_some_and(|(_, target)| std::str::from_utf8(target).is_err());
};

impl Difference<'_> {
    fn kind(&self, kinds: &[Kind]) -> bool {
        self.refused.is_some_and(|(kind, _)| kinds.contains(&kind))
    }

    /// The octet that is refused, or one so far behind it.
    fn at(&self, further: usize) -> Option<u8> {
        self.refused.and_then(|(_, at)| self.bytes.get(at + further)).copied()
    }

    /// The octet before the one that is refused.
    fn before(&self) -> Option<u8> {
        self.refused.and_then(|(_, at)| self.bytes.get(at.checked_sub(1)?)).copied()
    }

    fn in_extension(&self) -> bool {
        let at = self.refused.map_or(0, |(_, at)| at);
        matches!(self.what, What::Chunk(_)) && self.bytes[..at].contains(&b';')
    }

    fn method(&self) -> &str {
        self.read.request.as_ref().map_or("", |(method, _)| method)
    }

    /// Not the plain origin-form, for which there is no reason to refuse it.
    fn odd_target(&self) -> bool {
        let Some((method, target)) = &self.read.request else { return false };
        method == "CONNECT" || !target.starts_with(b"/") || target.contains(&b'#')
    }

    fn values(&self, name: &str) -> Vec<&[u8]> {
        let named = |line: &&(Vec<u8>, Vec<u8>)| line.0.eq_ignore_ascii_case(name.as_bytes());
        self.read.lines.iter().filter(named).map(|line| &line.1[..]).collect()
    }

    /// Not one plain name or none at all on 1.0.
    fn odd_host(&self) -> bool {
        let plain = |v: &[u8]| v.iter().all(|b| b.is_ascii_alphanumeric() || b"-.".contains(b));
        match &self.values("host")[..] {
            [] => self.read.minor > 0,
            [one] => !plain(one),
            _ => true,
        }
    }

    fn framing_kind(&self) -> bool {
        self.kind(&[
            Kind::CodingWithLength,
            Kind::CodingOnHttp10,
            Kind::CodingInvalid,
            Kind::CodingUnknown,
            Kind::LengthInvalid,
            Kind::LengthRepeated,
        ])
    }

    fn has_framing(&self) -> bool {
        !self.values("transfer-encoding").is_empty() || !self.values("content-length").is_empty()
    }

    /// Not one plain length alone, and not one plain `chunked` alone on 1.1.
    fn odd_framing(&self) -> bool {
        match (&self.values("transfer-encoding")[..], &self.values("content-length")[..]) {
            ([], []) => false,
            ([], [n]) => n.is_empty() || n.len() > 18 || !n.iter().all(u8::is_ascii_digit),
            ([te], []) => self.read.minor == 0 || !te.eq_ignore_ascii_case(b"chunked"),
            _ => true,
        }
    }

    /// The bounds of SEMANTICS, S8.4, by the slowest of counts.
    fn oversized(&self) -> bool {
        let (method, target) = self.read.request.clone().unwrap_or_default();
        let most = if self.what == What::Request { 100 } else { 1000 };
        self.read.end > 32 * 1024
            || target.len() > 8 * 1024
            || method.len() > 32
            || self.read.lines.len() > most
    }
}

// ---- the two ----

fn lines<'b>(fields: impl Iterator<Item = Line<'b>>) -> Vec<(Vec<u8>, Vec<u8>)> {
    fields.map(|line| (line.name.to_vec(), line.value.to_vec())).collect()
}

fn ascii(reason: &[u8]) -> Option<Vec<u8>> {
    reason.is_ascii().then(|| reason.to_vec())
}

fn ours(what: What, bytes: &[u8]) -> Says<(Kind, usize)> {
    let read = match what {
        What::Request => RequestHead::parse(bytes).map(|head| Read {
            request: Some((head.method().to_owned(), head.target().to_vec())),
            minor: head.version().minor(),
            lines: lines(head.fields()),
            end: head.as_bytes().len(),
            ..Read::default()
        }),
        What::Response => ResponseHead::parse(bytes, "GET").map(|head| Read {
            response: Some((head.status(), ascii(head.reason()))),
            minor: head.version().minor(),
            lines: lines(head.fields()),
            end: head.as_bytes().len(),
            ..Read::default()
        }),
        What::Chunk(role) => return chunk(role, bytes),
    };
    match read {
        Ok(read) => Says::Accepted(read),
        Err(f) if f.kind == Kind::IncompleteHead => Says::Partial,
        Err(f) => Says::Refused((f.kind, f.offset as usize)),
    }
}

/// A size line, by a connection that is in the middle of chunked content: nothing else of it is shown, so
/// that what comes next on the wire is the data.
fn chunk(role: Role, bytes: &[u8]) -> Says<(Kind, usize)> {
    let end = bytes.windows(2).position(|w| w == b"\r\n").map(|at| at + 2);
    let line = &bytes[..end.unwrap_or(bytes.len())];
    let (failed, size, head) = match role {
        Role::Server => {
            let mut conn = server::Connection::new(&server::Config::origin(), NOW);
            let head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
            conn.receive(NOW, head, usize::MAX);
            conn.check_invariants();
            conn.read_content(NOW);
            let failed = match conn.receive(NOW, line, usize::MAX).event {
                Some(server::Event::Failed(f)) => Some(f),
                Some(other) => panic!("{other:?} of a size line"),
                None => None,
            };
            conn.check_invariants();
            (failed, conn.content_run(), head.len())
        }
        Role::Client => {
            let mut conn = client::Connection::new(&client::Config::direct(), NOW);
            let mut out = [0; 99];
            let host = [("Host", "a")];
            let n = conn.request(NOW, "GET", "/", host, Content::None, &mut out).expect("it");
            conn.transmitted(NOW, n.written as u64);
            let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
            conn.receive(NOW, head, usize::MAX);
            conn.check_invariants();
            let failed = match conn.receive(NOW, line, usize::MAX).event {
                Some(client::Event::Failed(f)) => Some(f),
                Some(other) => panic!("{other:?} of a size line"),
                None => None,
            };
            conn.check_invariants();
            (failed, conn.content_run(), head.len())
        }
    };
    match (failed, end) {
        (Some(f), _) => Says::Refused((f.kind, f.offset as usize - head)),
        (None, Some(end)) => Says::Accepted(Read { size, end, ..Read::default() }),
        (None, None) => Says::Partial,
    }
}

fn theirs(what: What, bytes: &[u8]) -> Says<String> {
    // More than there are lines in any input, so that their limit does not speak.
    let mut slots = vec![httparse::EMPTY_HEADER; bytes.len() / 3 + 1];
    let copied = |headers: &[httparse::Header<'_>]| {
        headers.iter().map(|h| (h.name.as_bytes().to_vec(), h.value.to_vec())).collect()
    };
    let said = match what {
        What::Request => {
            let mut head = httparse::Request::new(&mut slots);
            let said = head.parse(bytes).map_err(|e| format!("{e:?}"));
            said.map(|status| {
                let Some(end) = complete(status) else { return Says::Partial };
                let target = head.path.unwrap_or_default().as_bytes().to_vec();
                Says::Accepted(Read {
                    request: Some((head.method.unwrap_or_default().to_owned(), target)),
                    minor: head.version.unwrap_or_default(),
                    lines: copied(head.headers),
                    end,
                    ..Read::default()
                })
            })
        }
        What::Response => {
            let mut head = httparse::Response::new(&mut slots);
            let said = head.parse(bytes).map_err(|e| format!("{e:?}"));
            said.map(|status| {
                let Some(end) = complete(status) else { return Says::Partial };
                // Instead of a reason that is not of ASCII they give none at all.
                let line = bytes.split(|&b| b == b'\n').next().unwrap_or_default();
                let reason = head.reason.unwrap_or_default().as_bytes();
                Says::Accepted(Read {
                    response: Some((
                        head.code.unwrap_or_default(),
                        line.is_ascii().then(|| reason.to_vec()),
                    )),
                    minor: head.version.unwrap_or_default(),
                    lines: copied(head.headers),
                    end,
                    ..Read::default()
                })
            })
        }
        What::Chunk(_) => httparse::parse_chunk_size(bytes)
            .map(|status| match complete(status) {
                Some((end, size)) => Says::Accepted(Read { size, end, ..Read::default() }),
                None => Says::Partial,
            })
            .map_err(|e| format!("{e:?}")),
    };
    said.unwrap_or_else(Says::Refused)
}

fn complete<T>(status: httparse::Status<T>) -> Option<T> {
    match status {
        httparse::Status::Complete(value) => Some(value),
        httparse::Status::Partial => None,
    }
}

/// What is read, and the octets; the class of the difference, if there is one.
pub fn compare(data: &[u8]) -> Option<&'static Class> {
    let s = &mut Source::new(data);
    let what = match s.byte() % 4 {
        0 => What::Request,
        1 => What::Response,
        2 => What::Chunk(Role::Server),
        _ => What::Chunk(Role::Client),
    };
    let mut bytes = unpack(s.rest());
    if !matches!(what, What::Chunk(_)) {
        // Empty lines before a head are a connection's affair, and counted by it.
        let blank = bytes.iter().take_while(|&&b| b == b'\r' || b == b'\n').count();
        bytes.drain(..blank);
    }
    let undecided = |a: &Says<_>, b: &Says<_>| match (a, b) {
        (Says::Partial, Says::Partial) => false,
        (Says::Partial, _) | (_, Says::Partial) => true,
        _ => false,
    };
    let (mut a, mut b) = (ours(what, &bytes), theirs(what, &bytes));
    // One of them judges a line before the other does. When it is whole, and the head with it, both have.
    if undecided(&a, &b) {
        bytes.extend_from_slice(b"\r\n\r\n");
        (a, b) = (ours(what, &bytes), theirs(what, &bytes));
    }
    let shown = bytes.escape_ascii();
    let difference = match (a, b) {
        (Says::Accepted(a), Says::Accepted(b)) => {
            assert_eq!(a, b, "{what:?} {shown}");
            return None;
        }
        (Says::Refused(_), Says::Refused(_)) | (Says::Partial, Says::Partial) => return None,
        (Says::Refused(refused), Says::Accepted(read)) => {
            Difference { what, bytes: &bytes, refused: Some(refused), read }
        }
        (Says::Accepted(read), Says::Refused(_)) => {
            Difference { what, bytes: &bytes, refused: None, read }
        }
        (a, b) => panic!("{a:?}, but httparse {b:?}, of {what:?} {shown}"),
    };
    let accepts = if difference.refused.is_some() { Accepts::Theirs } else { Accepts::Ours };
    let class = CLASSES.iter().find(|c| c.accepts == accepts && (c.holds)(&difference));
    assert!(class.is_some(), "a difference of no class: {difference:?} {shown}");
    class
}

/// Which reader, and then the octets.
pub fn differential(data: &[u8]) {
    compare(data);
}

/// The classes, as a table.
pub fn differences() -> String {
    let mut page = String::from(
        "# Differences\n\nWhere this crate and `httparse` differ on a head or a chunk size, and why. The \
         fuzz target `differential` fails on any other.\nPrinted from the table in \
         `tests/common/differential.rs` by `UPDATE=1 cargo test --test fuzz_replay`.\n\n\
         | Who accepts | What | Rule | RFC | Why |\n|---|---|---|---|---|\n",
    );
    for class in CLASSES {
        let Class { name, rule, rfc, why, accepts, .. } = class;
        let who = match accepts {
            Accepts::Theirs => "`httparse`",
            Accepts::Ours => "this crate",
        };
        page.push_str(&format!("| {who} | {name} | {rule} | {rfc} | {why} |\n"));
    }
    page
}
