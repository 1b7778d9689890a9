//! Heads: what is read from a whole head, and what a connection reads from it piece by piece, is the
//! same; and so are the kind and the place of what is wrong with it.
//!
//! `codec::request_head` asks the same of an origin with default settings and octet by octet. Here the
//! fuzzer chooses settings, cuts and pauses, for requests and responses, and its inputs reach every limit.

use super::codec::Source;
use super::unpack;
use keepalive::client;
use keepalive::server;
use keepalive::{Content, Failure, Fields, Instant, Kind, Line, RequestHead, ResponseHead};

const NOW: Instant = Instant::from_micros(0);

/// What became of a head, and where it ended; or how it failed, and where.
#[derive(Clone, Debug, PartialEq)]
enum Found {
    Head(Vec<String>, usize),
    Failed(Kind, u64),
    /// Nothing has begun.
    Nothing,
}

fn failed(f: Failure) -> Found {
    Found::Failed(f.kind, f.offset)
}

/// The field lines of a head, read from its octets as plainly as can be: names, and values in the pieces
/// that they were folded into, mostly one.
fn plain_lines(head: &[u8]) -> Vec<(Vec<u8>, Vec<Vec<u8>>)> {
    let mut lines: Vec<(Vec<u8>, Vec<Vec<u8>>)> = Vec::new();
    for line in head.split(|&b| b == b'\n').skip(1) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match (line.first(), lines.last_mut()) {
            (None, _) => break,
            (Some(b' ' | b'\t'), Some((_, pieces))) => pieces.push(spaceless(line).to_vec()),
            _ => {
                let colon = line.iter().position(|&b| b == b':').expect("a colon");
                let value = spaceless(&line[colon + 1..]).to_vec();
                lines.push((line[..colon].to_vec(), vec![value]));
            }
        }
    }
    lines
}

fn spaceless(mut v: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = v {
        v = rest;
    }
    v
}

/// The fields of a head are its lines; and each way to ask for one finds the same.
fn assert_fields(fields: Fields<'_>, head: &[u8]) {
    let pieces = |line: Line<'_>| line.pieces().map(<[u8]>::to_vec).collect::<Vec<_>>();
    let came: Vec<_> = fields.map(|line| (line.name.to_vec(), pieces(line))).collect();
    assert_eq!(came, plain_lines(head));
    for (n, line) in fields.enumerate() {
        let Ok(name) = std::str::from_utf8(line.name) else { continue };
        let (lower, upper) = (name.to_ascii_lowercase(), name.to_ascii_uppercase());
        let same: Vec<_> = fields.filter(|l| l.is(&lower)).map(|l| l.value).collect();
        assert_eq!(fields.all(&upper).collect::<Vec<_>>(), same);
        assert_eq!(fields.get(&lower), same.first().copied());
        // From the middle on it is the same.
        let mut later = fields;
        assert_eq!(later.nth(n), Some(line));
        assert_eq!(later.count(), came.len() - n - 1);
        if n > 40 {
            break;
        }
    }
}

/// All that a request head tells.
fn request_told(head: &RequestHead<'_>) -> Vec<String> {
    assert_fields(head.fields(), head.as_bytes());
    let mut told = vec![
        format!("{:?} {:?}", head.method(), head.target().escape_ascii().to_string()),
        format!("{} {:?}", head.version(), head.framing()),
        format!("{:?}", head.authority().map(|a| a.escape_ascii().to_string())),
        format!("{} {:?}", head.expects_continue(), head.outbound()),
        format!("{} {}", head.offers_upgrade(), head.is_connect()),
        format!("{:?}", head.upgrade().collect::<Vec<_>>()),
    ];
    told.extend(head.fields().map(|line| format!("{line:?}")));
    told.push(head.as_bytes().escape_ascii().to_string());
    told
}

/// All that a response head tells.
fn response_told(head: &ResponseHead<'_>) -> Vec<String> {
    assert_fields(head.fields(), head.as_bytes());
    let mut told = vec![
        format!("{} {:?}", head.status(), head.reason().escape_ascii().to_string()),
        format!("{} {:?}", head.version(), head.framing()),
        format!("{:?} {:?}", head.declared_length(), head.outbound()),
    ];
    told.extend(head.fields().map(|line| format!("{line:?}")));
    told.push(head.as_bytes().escape_ascii().to_string());
    told
}

/// How much more is shown at each turn, and whether the reader is paused before it.
struct Cuts<'d> {
    sizes: &'d [u8],
    at: usize,
}

impl Cuts<'_> {
    /// Octets, from one to many, and whether to pause. Without sizes: all at once.
    fn next(&mut self) -> (usize, bool) {
        let Some(&b) = self.sizes.get(self.at % self.sizes.len().max(1)) else {
            return (usize::MAX, false);
        };
        self.at += 1;
        let n = usize::from(b & 0x3f) + 1;
        (if b & 0x40 == 0 { n } else { n * n }, b & 0x80 != 0)
    }
}

/// Shows a stream in pieces, each time in a buffer of its own and of exactly that size: the machine must
/// keep nothing of an earlier one. `look` gives what was consumed, and what was found.
fn shown(
    stream: &[u8],
    mut cuts: Cuts<'_>,
    mut look: impl FnMut(&[u8], usize) -> (usize, Option<Found>),
) -> (usize, Option<Found>) {
    let (mut from, mut end) = (0usize, 0usize);
    loop {
        let (more, pause) = cuts.next();
        end = end.saturating_add(more).min(stream.len());
        let buffer = stream[from..end].to_vec();
        if pause {
            let (consumed, found) = look(&buffer, 0);
            from += consumed;
            assert!(!matches!(found, Some(Found::Head(..))), "delivered into no room");
            if found.is_some() {
                return (from, found);
            }
        }
        let buffer = stream[from..end].to_vec();
        let (consumed, found) = look(&buffer, usize::MAX);
        from += consumed;
        if found.is_some() || end == stream.len() {
            return (from, found);
        }
    }
}

fn server_config(b: u8) -> server::Config {
    let c = server::Config::origin();
    match b % 12 {
        0 => c.max_head(64).max_target(16),
        1 => c.max_target(8),
        2 => c.max_fields(2),
        3 => c.refuse_empty_host(true),
        4 => c.refuse_other_expectations(true),
        5 => c.tolerate_coding_with_length(true),
        6 => server::Config::proxy().max_head(u16::MAX).max_target(u16::MAX).max_fields(u16::MAX),
        7 => c.max_head(1).max_target(1).max_fields(0),
        _ => c,
    }
}

fn client_config(b: u8) -> client::Config {
    let c = client::Config::direct();
    match b % 12 {
        0 => c.max_head(64),
        1 => c.max_fields(2),
        2 => c.accept_bare_lf(true),
        3 => c.unfold(true),
        4 => c.accept_bare_lf(true).unfold(true),
        5 => c.tolerate_coding_with_length(true).raw_codings(true),
        6 => c.max_head(u16::MAX).max_fields(u16::MAX),
        7 => c.max_head(1).max_fields(0),
        8 => c.accept_bare_lf(true).unfold(true).max_head(40),
        _ => c,
    }
}

/// What a server reads.
fn serve(config: &server::Config, stream: &[u8], cuts: Cuts<'_>) -> Found {
    let mut conn = server::Connection::new(config, NOW);
    let mut from = 0;
    let (from, found) = shown(stream, cuts, |bytes, room| {
        let step = conn.receive(NOW, bytes, room);
        conn.check_invariants();
        from += step.consumed;
        let found = match step.event {
            Some(server::Event::Request(head)) => Some(Found::Head(request_told(&head), from)),
            Some(server::Event::Failed(f)) => Some(failed(f)),
            Some(other) => panic!("{other:?} before a head"),
            None => None,
        };
        (step.consumed, found)
    });
    found.unwrap_or_else(|| {
        conn.received_eof(NOW);
        match conn.receive(NOW, &stream[from..], usize::MAX).event {
            Some(server::Event::Failed(f)) => failed(f),
            Some(other) => panic!("{other:?} of an end"),
            None => Found::Nothing,
        }
    })
}

/// What a server must read, by the reader of whole heads and by what S8.4 says of empty lines.
fn served(config: &server::Config, stream: &[u8]) -> Found {
    let blank = stream.chunks(2).take_while(|c| c == b"\r\n").count();
    if blank > 4 {
        return Found::Failed(Kind::EmptyLines, 8);
    }
    let lead = blank * 2;
    match &stream[lead..] {
        [] => Found::Nothing,
        // It may yet be an empty line.
        b"\r" => Found::Failed(Kind::IncompleteHead, lead as u64 + 1),
        rest => match RequestHead::parse_with(rest, config) {
            Ok(head) => Found::Head(request_told(&head), lead + head.as_bytes().len()),
            Err(f) => Found::Failed(f.kind, lead as u64 + f.offset),
        },
    }
}

/// What a client reads, with one request out.
fn fetch(config: &client::Config, method: &str, stream: &[u8], cuts: Cuts<'_>) -> Found {
    let mut conn = client::Connection::new(config, NOW);
    let target = if method == "CONNECT" { "a:1" } else { "/" };
    let offers = [("Host", "a"), ("Upgrade", "x")];
    let offers = if method == "CONNECT" { &offers[..1] } else { &offers };
    let mut out = [0; 256];
    let started =
        conn.request(NOW, method, target, offers.iter().copied(), Content::None, &mut out);
    conn.transmitted(NOW, started.expect("a request").written as u64);
    let mut from = 0;
    let (from, found) = shown(stream, cuts, |bytes, room| {
        let step = conn.receive(NOW, bytes, room);
        conn.check_invariants();
        from += step.consumed;
        let found = match step.event {
            Some(client::Event::Interim(head) | client::Event::Response(head)) => {
                Some(Found::Head(response_told(&head), from))
            }
            Some(client::Event::Failed(f)) => Some(failed(f)),
            Some(other) => panic!("{other:?} before a head"),
            None => None,
        };
        (step.consumed, found)
    });
    found.unwrap_or_else(|| {
        conn.received_eof(NOW);
        match conn.receive(NOW, &stream[from..], usize::MAX).event {
            Some(client::Event::Failed(f)) => failed(f),
            other => panic!("{other:?} of an end"),
        }
    })
}

/// What a client with default settings must read.
fn fetched(method: &str, stream: &[u8]) -> Found {
    let lead = stream.iter().take_while(|&&b| b == b'\r' || b == b'\n').count();
    if lead > 8 {
        return Found::Failed(Kind::EmptyLines, 8);
    }
    match &stream[lead..] {
        [] => Found::Failed(Kind::NoResponse, lead as u64),
        rest => match ResponseHead::parse(rest, method) {
            // One matching protocol, and nothing else, was offered.
            Ok(head) if head.status() == 101 && !switches_to_x(&head, method) => {
                Found::Failed(Kind::SwitchRefused, (lead + head.as_bytes().len()) as u64)
            }
            Ok(head) => Found::Head(response_told(&head), lead + head.as_bytes().len()),
            Err(f) => Found::Failed(f.kind, lead as u64 + f.offset),
        },
    }
}

fn switches_to_x(head: &ResponseHead<'_>, method: &str) -> bool {
    let mut protocols = head.fields().all("upgrade").flat_map(|v| v.split(|&b| b == b','));
    let mut some = false;
    let all = protocols.all(|p| {
        let p = p.trim_ascii();
        some |= !p.is_empty();
        p.is_empty() || p.eq_ignore_ascii_case(b"x")
    });
    method != "CONNECT" && some && all
}

/// Settings and cuts, and then a stream.
pub fn scan(data: &[u8]) {
    let s = &mut Source::new(data);
    let (what, setting) = (s.byte(), s.byte());
    let n = usize::from(s.below(5));
    let cuts = s.take(n);
    let stream = unpack(s.rest());
    // Octet by octet is quadratic here, since each octet is shown in a buffer of its own.
    let cuts = if stream.len() > 4_000 { &[0xff, 0x7f][..] } else { &cuts };
    let none = || Cuts { sizes: &[], at: 0 };
    let some = || Cuts { sizes: cuts, at: 0 };
    let single = || Cuts { sizes: &[0], at: 0 };
    if what.is_multiple_of(2) {
        let config = server_config(setting);
        let want = served(&config, &stream);
        assert_eq!(serve(&config, &stream, none()), want, "whole");
        assert_eq!(serve(&config, &stream, some()), want, "cut");
        if stream.len() < 600 {
            assert_eq!(serve(&config, &stream, single()), want, "octet by octet");
        }
    } else {
        let method = ["GET", "HEAD", "CONNECT", "POST"][usize::from(what / 2 % 4)];
        let config = client_config(setting);
        let want = fetch(&config, method, &stream, none());
        if config == client::Config::direct() {
            assert_eq!(want, fetched(method, &stream), "by itself, and whole");
        }
        assert_eq!(fetch(&config, method, &stream, some()), want, "cut");
        if stream.len() < 600 {
            assert_eq!(fetch(&config, method, &stream, single()), want, "octet by octet");
        }
    }
}
