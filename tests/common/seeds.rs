//! Inputs of the fuzz targets out of the cases of `tests/cases`: streams and scripts, each in the form that
//! a target reads. All of them are replayed by `tests/fuzz_replay.rs`; the few that reach something new are
//! seeds (`fuzz/seeds`).

use super::{REQUESTS, RESPONSES};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// An input: the target that it is for, and the case that it is from.
pub type Input = (&'static str, String, Vec<u8>);

/// A stream out of a case file.
struct Stream {
    name: String,
    client: bool,
    /// Of the requests that the responses answer.
    methods: Vec<String>,
    offers: bool,
    eof: bool,
    bytes: Vec<u8>,
    /// The lines of a scenario; else none.
    script: Vec<String>,
}

impl Stream {
    fn new(name: String) -> Self {
        Self {
            name,
            client: false,
            methods: vec!["GET".into()],
            offers: false,
            eof: false,
            bytes: Vec::new(),
            script: Vec::new(),
        }
    }
}

/// All inputs, by target and name. A body looks at no more than 2048 octets of one.
pub fn inputs() -> Vec<Input> {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    // The fuzz package stands one directory below the crate.
    let below = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/cases");
    let cases = if cases.exists() { cases } else { below };
    let mut streams = Vec::new();
    for kind in ["explain", "scenarios", "attacks"] {
        for file in files(&cases.join(kind)) {
            let text = fs::read_to_string(&file).expect("a case file");
            let stem = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let parse = if kind == "explain" { explained } else { scripted };
            streams.extend(parse(&format!("{}-{}", &kind[..1], &stem[..2]), &text));
        }
    }
    let mut all: BTreeMap<(&'static str, String), Vec<u8>> = BTreeMap::new();
    for (n, stream) in streams.iter().enumerate() {
        for (target, suffix, input) in candidates(n, stream) {
            let name = format!("{}{suffix}", stream.name);
            // Titles that are cut short may meet.
            let again = all.contains_key(&(target, name.clone()));
            let name = if again { format!("{name}-{n}") } else { name };
            if !input.is_empty() && input.len() <= 2048 {
                all.insert((target, name), input);
            }
        }
    }
    all.into_iter().map(|((target, name), input)| (target, name, input)).collect()
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).expect("cases").map(|e| e.expect("an entry").path());
    let mut files: Vec<_> =
        entries.filter(|p| p.extension().is_some_and(|e| e == "case")).collect();
    files.sort();
    files
}

fn slug(prefix: &str, title: &str) -> String {
    let mut name = String::from(prefix);
    let words = title.split(|c: char| !c.is_ascii_alphanumeric()).filter(|w| !w.is_empty());
    for word in words {
        if name.len() + word.len() > 44 {
            break;
        }
        name.push('-');
        name.push_str(&word.to_lowercase());
    }
    name
}

// ---- the formats of the case files: see the READMEs there ----

fn explained(prefix: &str, text: &str) -> Vec<Stream> {
    let mut streams: Vec<Stream> = Vec::new();
    let mut input = false;
    for line in text.lines().filter(|l| !l.trim().is_empty()) {
        if let Some(title) = line.strip_prefix("# ") {
            streams.push(Stream::new(slug(prefix, title)));
            input = false;
            continue;
        }
        let Some(stream) = streams.last_mut() else { continue };
        match line.split_once(": ") {
            _ if line == "input:" => input = true,
            _ if line == "expect:" => input = false,
            _ if input => stream.bytes.extend(unescape(line)),
            Some(("role", role)) => stream.client = role == "client",
            Some(("request", list)) => {
                stream.methods = list.split(',').map(|m| m.trim().to_owned()).collect();
            }
            Some(("offered-upgrade", yes)) => stream.offers = yes == "yes",
            Some(("eof", yes)) => stream.eof = yes == "yes",
            _ => {}
        }
    }
    streams
}

fn scripted(prefix: &str, text: &str) -> Vec<Stream> {
    let mut streams: Vec<Stream> = Vec::new();
    // What comes from the next hop, where there is one.
    let mut upstream: Vec<Stream> = Vec::new();
    for line in text.lines() {
        if let Some(title) = line.strip_prefix("# ") {
            streams.push(Stream::new(slug(prefix, title)));
            let name = format!("{}-up", slug(prefix, title));
            upstream.push(Stream { client: true, ..Stream::new(name) });
            continue;
        }
        let Some(stream) = streams.last_mut() else { continue };
        stream.script.push(line.to_owned());
        if let Some((bytes, up)) = line.strip_prefix("<< ").zip(upstream.last_mut()) {
            up.bytes.extend(unescape(bytes));
        }
        if line == "role: client" || line.starts_with("forward: response") {
            stream.client = true;
        } else if let Some(bytes) = line.strip_prefix("< ") {
            stream.bytes.extend(unescape(bytes));
        } else if line == "eof" {
            stream.eof = true;
        } else if let Some(request) = line.strip_prefix("do request ") {
            stream.methods.push(request.split(' ').next().unwrap_or("GET").to_owned());
        }
    }
    streams.extend(upstream.into_iter().filter(|stream| !stream.bytes.is_empty()));
    streams
}

/// Octets as the case files write them, with the names of the scenarios and the attacks.
fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        if c == '{'
            && let Some((inside, tail)) = after.split_once('}')
            && let Some(named) = name(inside)
        {
            out.extend(named);
            rest = tail;
            continue;
        }
        let (octets, len) = match (c, after.as_bytes().first()) {
            ('\\', Some(b'r')) => (vec![b'\r'], 1),
            ('\\', Some(b'n')) => (vec![b'\n'], 1),
            ('\\', Some(b't')) => (vec![b'\t'], 1),
            ('\\', Some(b'x')) => (
                vec![after.get(1..3).map_or(b'?', |h| u8::from_str_radix(h, 16).unwrap_or(b'?'))],
                3,
            ),
            ('\\', Some(&b)) => (vec![b], 1),
            _ => (c.to_string().into_bytes(), 0),
        };
        out.extend(octets);
        rest = after.get(len..).unwrap_or_default();
    }
    out
}

fn name(inside: &str) -> Option<Vec<u8>> {
    let words: Vec<&str> = inside.splitn(3, ' ').collect();
    let chunked = "Transfer-Encoding: chunked\r\n\r\n";
    let text = match words[..] {
        ["repeat", n, what] => {
            // Beyond all limits is far enough.
            let (what, n) = (unescape(what), n.parse::<usize>().ok()?);
            return Some(what.repeat(n.min(100_000 / what.len().max(1) + 1)));
        }
        ["G"] => "GET / HTTP/1.1\r\nHost: a\r\n\r\n".into(),
        ["X"] => "GET /x HTTP/1.1\r\nHost: a\r\n\r\n".into(),
        ["G0"] => "GET / HTTP/1.0\r\n\r\n".into(),
        ["K0"] => "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n".into(),
        ["P", n] => format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {n}\r\n\r\n"),
        ["R", n] => format!("HTTP/1.1 200 OK\r\nContent-Length: {n}\r\n\r\n"),
        ["RC", n] => {
            format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {n}\r\n\r\n")
        }
        ["RX"] => "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil".into(),
        ["C"] => format!("POST / HTTP/1.1\r\nHost: a\r\n{chunked}"),
        ["RCH"] => format!("HTTP/1.1 200 OK\r\n{chunked}"),
        ["100"] => "HTTP/1.1 100 Continue\r\n\r\n".into(),
        _ => return None,
    };
    Some(text.into_bytes())
}

// ---- the inputs of the targets ----

/// A stream with its long runs written short: what `unpack` undoes.
fn pack(bytes: &[u8]) -> Vec<u8> {
    // More than that does not come out of it.
    let bytes = &bytes[..bytes.len().min(80 * 1024)];
    let mut out: Vec<u8> = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let octet = bytes[at];
        let run = bytes[at..].iter().take_while(|&&b| b == octet).count();
        let line = &bytes[..at];
        let begin =
            line[..at.saturating_sub(1)].iter().rposition(|&b| b == b'\n').map_or(0, |n| n + 1);
        let last = &bytes[begin..at];
        let again = match last.last() {
            Some(b'\n') => bytes[at..].chunks(last.len()).take_while(|c| c == &last).count(),
            _ => 0,
        };
        if again >= 8 {
            let n = (again / 4).min(255);
            out.extend([2, n as u8]);
            at += n * 4 * last.len();
        } else if run >= 64 {
            let n = (run / 64).min(255);
            out.extend([1, n as u8, octet]);
            at += n * 64;
        } else {
            out.push(if octet == 1 || octet == 2 { 3 } else { octet });
            at += 1;
        }
    }
    out
}

fn with(prefix: &[u8], rest: &[u8]) -> Vec<u8> {
    [prefix, rest].concat()
}

fn method(stream: &Stream) -> u8 {
    let known = ["GET", "HEAD", "CONNECT", "POST"];
    let first = stream.methods.last().map_or("GET", String::as_str);
    known.iter().position(|m| *m == first).unwrap_or(3) as u8
}

/// Inputs out of the `n`th stream, for all targets that can make use of it.
fn candidates(n: usize, stream: &Stream) -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let mut all = Vec::new();
    let mut add = |target, suffix, input| all.push((target, suffix, input));
    // Settings go by turns.
    let turn = n as u8;
    let packed = pack(&stream.bytes);
    let body = stream.bytes.windows(4).position(|w| w == b"\r\n\r\n").map(|at| at + 4);
    let chunked = stream.bytes.windows(7).any(|w| w.eq_ignore_ascii_case(b"chunked"));
    let method = method(stream);
    if stream.client {
        add("response_head", "", stream.bytes.clone());
        let methods = stream.methods.iter().skip(usize::from(stream.methods.len() > 1)).take(3);
        let count = methods.count().max(1) as u8;
        let role = 1
            | count << 1
            | u8::from(stream.offers) << 3
            | u8::from(stream.eof) << 4
            | (turn & 1) << 5;
        let which = method | method << 2 | method << 4;
        add("framing", "", with(&[role, turn % 7, 200, which], &packed));
        add("scan", "", with(&[1 + method * 2, turn % 14, 2, 4, 0x80 | turn], &packed));
        add("differential", "", with(&[1], &packed));
        add("forward", "", with(&[2 + method * 4, turn], &packed));
        if chunked {
            add("forward", "-trailers", with(&[3, turn], &packed));
            add("differential", "-chunk", with(&[3], &pack(&stream.bytes[body.unwrap_or(0)..])));
        }
        add("split", "", split(1, turn, method, &stream.bytes));
        add("client_ops", "", operations(stream, turn));
    } else {
        add("request_head", "", stream.bytes.clone());
        add("framing", "", with(&[0, turn % 7, 100 + turn % 60], &packed));
        add("scan", "", with(&[0, turn % 14, 2, 4, 0x80 | turn], &packed));
        add("differential", "", with(&[0], &packed));
        add("forward", "", with(&[0, turn], &packed));
        if chunked && let Some(body) = body {
            add("chunked", "", with(&[turn % 32, turn % 9], &stream.bytes[body..]));
            add("differential", "-chunk", with(&[2], &pack(&stream.bytes[body..])));
        }
        add("split", "", split(0, turn, 0, &stream.bytes));
        add("server_ops", "", operations(stream, turn));
    }
    all
}

/// Octets as pieces of the lists that operations choose from: the longest that fits, else three octets,
/// else one. `kind` is what the operation that brings them begins with.
fn pieces(list: &[&[u8]], kind: u8, mut bytes: &[u8]) -> Vec<[u8; 6]> {
    let mut seeds = Vec::new();
    let single = list.iter().position(|p| p.len() == 1).unwrap_or_default() as u8;
    while !bytes.is_empty() {
        let longest =
            (0..list.len()).filter(|&i| bytes.starts_with(list[i])).max_by_key(|&i| list[i].len());
        match (longest, bytes) {
            (Some(i), _) => {
                seeds.push([kind, i as u8, 255, 0, 0, 0]);
                bytes = &bytes[list[i].len()..];
            }
            (None, [a, b, c, rest @ ..]) => {
                seeds.push([kind, 0, 0, *a, *b, *c]);
                bytes = rest;
            }
            (None, [octet, rest @ ..]) => {
                seeds.push([kind, single, 24, 0, *octet, 0]);
                bytes = rest;
            }
            (None, []) => break,
        }
    }
    seeds
}

fn split(role: u8, turn: u8, method: u8, bytes: &[u8]) -> Vec<u8> {
    let method = [0, 1, 3, 2][usize::from(method)];
    let mut input = vec![turn % 18, 0, role, method, turn, 0];
    input.extend([2, 1, 9, 5, 1, 3, 0, 7, 2, 30, 5, 12, 0, 0, 0, 0, 0, 0]);
    let list = if role == 0 { REQUESTS } else { RESPONSES };
    input.extend(pieces(list, 0, bytes).into_iter().take(16).flatten());
    input
}

/// A scenario as operations: what the peer sends, what the application does, what the clock says. What
/// has no operation of its own is left out.
fn operations(stream: &Stream, turn: u8) -> Vec<u8> {
    let list = if stream.client { RESPONSES } else { REQUESTS };
    let script: Vec<String> = if stream.script.is_empty() {
        // A case without a script: a request for each method, and then the stream.
        let asks = stream.methods.iter().map(|m| format!("do request {m} / none"));
        let ask = asks.filter(|_| stream.client);
        return ask
            .flat_map(|line| operation(&line, stream.client))
            .chain(pieces(list, 0, &stream.bytes))
            .chain([[if stream.client { 33 } else { 38 }, 255, 0, 0, 0, 0]])
            .fold(vec![turn, 0, 0, 0, 0, 0], |mut all, op| {
                all.extend(op);
                all
            });
    } else {
        stream.script.clone()
    };
    let mut input = vec![turn, 0, 0, 0, 0, 0];
    for line in &script {
        match line.strip_prefix("< ") {
            Some(bytes) => input.extend(pieces(list, 0, &unescape(bytes)).into_iter().flatten()),
            None => input.extend(operation(line, stream.client).into_iter().flatten()),
        }
    }
    input.truncate(720);
    input
}

/// The operations of a line: see `op` in `tests/common/server_ops.rs` and `client_ops.rs`.
fn operation(line: &str, client: bool) -> Vec<[u8; 6]> {
    let words: Vec<&str> = line.split(' ').collect();
    let pick = |server: [u8; 6], other: [u8; 6]| vec![if client { other } else { server }];
    let declared = |word: &str| match word.split_once('=') {
        Some((_, n)) => (1, n.parse::<u64>().unwrap_or(5).min(255) as u8),
        None if word == "unknown" => (3, 0),
        None => (0, 0),
    };
    let status = |word: &str| {
        let all =
            ["200", "", "", "", "204", "304", "205", "404", "426", "101", "", "100", "103", "500"];
        all.iter().position(|s| *s == word).unwrap_or(0) as u8
    };
    match words[..] {
        ["at", time, ..] => {
            let seconds = time.trim_end_matches('s').parse::<f64>().unwrap_or(1.0);
            pick(
                [12, 3, seconds.min(255.0) as u8, 0, 0, 0],
                [12, 3, seconds.min(255.0) as u8, 0, 0, 0],
            )
        }
        ["expire"] => pick([13, 0, 0, 0, 0, 0], [13, 0, 0, 0, 0, 0]),
        ["eof"] => pick([10, 0, 0, 0, 0, 0], [10, 0, 0, 0, 0, 0]),
        ["lost", ..] => pick([11, 0, 0, 0, 0, 0], [11, 0, 0, 0, 0, 0]),
        ["transmit" | "release", ..] => pick([33, 0, 0, 0, 0, 0], [25, 0, 0, 0, 0, 0]),
        ["room", "0"] => pick([38, 0, 0, 0, 0, 0], [33, 0, 0, 0, 0, 0]),
        ["do", "read_content"] => pick([16, 0, 0, 0, 0, 0], [33, 255, 0, 0, 0, 0]),
        ["do", "skip_content"] => pick([18, 0, 0, 0, 0, 0], [27, 0, 0, 0, 0, 0]),
        ["do", "write_closed"] => pick([37, 0, 0, 0, 0, 0], [30, 0, 0, 0, 0, 0]),
        ["do", "abort"] => pick([36, 0, 0, 0, 0, 0], [29, 0, 0, 0, 0, 0]),
        ["do", "retire", how] => {
            let how = ["application", "drain", "pressure"].iter().position(|h| *h == how);
            let how = how.unwrap_or(0) as u8;
            pick([35, how, 0, 0, 0, 0], [28, how, 0, 0, 0, 0])
        }
        ["do", "inform", code, ..] => pick([19, status(code), 0, 255, 0, 0], [0; 6]),
        ["do", "reply", code, ..] => pick([20, status(code), 0, 2, 255, 0], [0; 6]),
        ["do", "respond", code, content, ..] => {
            let (kind, len) = declared(content);
            pick([23, status(code), 0, kind, len, 255], [0; 6])
        }
        ["do", "send", ..] => pick([26, 5, 255, 0, 0, 0], [21, 5, 255, 0, 0, 0]),
        ["do", "finish", ..] => pick([29, 200, 255, 0, 0, 0], [23, 200, 255, 0, 0, 0]),
        ["do", "checkout", ..] => vec![[31, 255, 0, 0, 0, 0]],
        ["do", "request", name, _, content, ..] => {
            let methods =
                ["GET", "", "", "POST", "", "PUT", "HEAD", "CONNECT", "OPTIONS", "DELETE"];
            let method = methods.iter().position(|m| *m == name).unwrap_or(0) as u8;
            let (kind, len) = declared(content);
            let odd = u8::from(kind != 0);
            // Transmitted at once, as the scenarios do.
            vec![[16, method, odd, kind, len, 255], [25, 0, 0, 0, 0, 0]]
        }
        _ => Vec::new(),
    }
}

/// For what no case can be written: inputs drawn at random, the same every time.
pub fn drawn() -> Vec<Input> {
    let mut x = 0x9e37_79b9_7f4a_7c15_u64;
    let mut octet = move || {
        x ^= x >> 12;
        x ^= x << 25;
        x ^= x >> 27;
        (x.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 56) as u8
    };
    let mut all = Vec::new();
    for (target, len) in
        [("pair", 100), ("encode_decode", 160), ("server_ops", 240), ("client_ops", 240)]
    {
        for n in 0..300 {
            all.push((target, format!("drawn-{n:03}"), (0..len).map(|_| octet()).collect()));
        }
    }
    all
}
