//! `explain` on the case files: whole, byte by byte, and at random cuts; and against the oracle on
//! whatever proptest thinks of.
#![allow(clippy::indexing_slicing, clippy::print_stdout)]

#[path = "../examples/explain/account.rs"]
#[allow(dead_code)]
mod account;
mod oracle;
#[path = "../examples/explain/print.rs"]
#[allow(dead_code)]
mod print;

use account::{Entry, Options, Role, account};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use proptest::prelude::*;
use serde_json::Value;
use std::path::Path;

struct Case {
    name: String,
    options: Options,
    bytes: Vec<u8>,
    expect: Vec<Value>,
}

/// Undoes the escapes of the case files.
fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix("{repeat ") {
            let (inner, tail) = after.split_once('}').expect("a closing brace");
            let (count, what) = inner.split_once(' ').expect("a count and a text");
            out.extend(unescape(what).repeat(count.parse().expect("a count")));
            rest = tail;
            continue;
        }
        if c == '\\' {
            let kind = rest.as_bytes()[1];
            let (octet, len) = match kind {
                b'r' => (b'\r', 2),
                b'n' => (b'\n', 2),
                b't' => (b'\t', 2),
                b'\\' => (b'\\', 2),
                b'x' => (u8::from_str_radix(&rest[2..4], 16).expect("hex"), 4),
                other => panic!("unknown escape {}", char::from(other)),
            };
            out.push(octet);
            rest = &rest[len..];
            continue;
        }
        let mut buffer = [0; 4];
        out.extend_from_slice(c.encode_utf8(&mut buffer).as_bytes());
        rest = &rest[c.len_utf8()..];
    }
    out
}

fn parse(file: &Path) -> Vec<Case> {
    let text = std::fs::read_to_string(file).expect("a case file");
    let mut cases: Vec<Case> = Vec::new();
    #[derive(PartialEq)]
    enum In {
        Head,
        Input,
        Expect,
    }
    let mut place = In::Head;
    let mut repeat: Option<(usize, Vec<Value>)> = None;
    for line in text.lines().filter(|l| !l.trim().is_empty()) {
        if let Some(title) = line.strip_prefix("# ") {
            let stem = file.file_stem().unwrap().to_string_lossy();
            cases.push(Case {
                name: format!("{stem}: {title}"),
                options: Options {
                    role: Role::Server,
                    requests: vec!["GET".into()],
                    offered_upgrade: false,
                    eof: false,
                    split: usize::MAX,
                    trickle: None,
                },
                bytes: Vec::new(),
                expect: Vec::new(),
            });
            place = In::Head;
            continue;
        }
        let Some(case) = cases.last_mut() else { continue };
        match (line, &place) {
            ("input:", In::Head) => place = In::Input,
            ("expect:", In::Head | In::Input) => place = In::Expect,
            (_, In::Input) => case.bytes.extend(unescape(line)),
            ("{end}", In::Expect) => {
                let (n, values) = repeat.take().expect("a repeat");
                for _ in 0..n {
                    case.expect.extend(values.iter().cloned());
                }
            }
            (_, In::Expect) => {
                if let Some(n) = line.strip_prefix("{repeat ").and_then(|l| l.strip_suffix('}')) {
                    repeat = Some((n.parse().expect("a count"), Vec::new()));
                    continue;
                }
                let value: Value = serde_json::from_str(line).expect(line);
                match &mut repeat {
                    Some((_, values)) => values.push(value),
                    None => case.expect.push(value),
                }
            }
            (_, In::Head) => {
                let (key, value) = line.split_once(':').expect(line);
                let value = value.trim();
                let o = &mut case.options;
                match key {
                    "role" if value == "client" => o.role = Role::Client,
                    "role" => assert_eq!(value, "server"),
                    "request" => {
                        o.requests = value
                            .split(',')
                            .map(|m| m.trim().to_owned())
                            .filter(|m| !m.is_empty())
                            .collect();
                    }
                    "offered-upgrade" => o.offered_upgrade = value == "yes",
                    "eof" => o.eof = value == "yes",
                    "rule" | "note" => {}
                    other => panic!("unknown key {other}"),
                }
            }
        }
    }
    cases
}

fn cases() -> Vec<Case> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/explain");
    let mut files: Vec<_> = std::fs::read_dir(dir)
        .expect("the cases")
        .map(|e| e.expect("an entry").path())
        .filter(|p| p.extension().is_some_and(|e| e == "case"))
        .collect();
    files.sort();
    files.iter().flat_map(|f| parse(f)).collect()
}

/// Whether what is printed contains what is expected.
fn contains(printed: &Value, expected: &Value) -> bool {
    expected.as_object().expect("an object").iter().all(|(key, want)| {
        if key == "octets" {
            let octets = STANDARD.decode(printed["base64"].as_str().unwrap_or("")).expect("base64");
            let text: String = octets.iter().map(|&b| char::from(b)).collect();
            return Some(text.as_str()) == want.as_str();
        }
        printed.get(key) == Some(want)
    })
}

fn told(entries: &[Entry]) -> Vec<Value> {
    entries.iter().map(print::json).collect()
}

#[test]
fn cases_hold_at_every_cut() {
    let cases = cases();
    assert!(cases.len() > 300, "the cases are there");
    let fail_fast = std::env::var_os("FAIL_FAST").is_some();
    let mut wrong = Vec::new();
    for case in &cases {
        if fail_fast && !wrong.is_empty() {
            break;
        }
        let whole = account(&case.bytes, &case.options);
        let printed = told(&whole);
        let fits = printed.len() == case.expect.len()
            && printed.iter().zip(&case.expect).all(|(p, e)| contains(p, e));
        if !fits {
            let show = |v: &[Value]| v.iter().map(|x| format!("    {x}\n")).collect::<String>();
            wrong.push(format!(
                "{}\n  printed\n{}  expected\n{}",
                case.name,
                show(&printed),
                show(&case.expect)
            ));
            continue;
        }
        // Long inputs are cut more coarsely, so that the test stays short.
        let splits = if case.bytes.len() < 4096 { 1..=40 } else { 997..=1000 };
        for split in splits.chain([1].into_iter().filter(|_| case.bytes.len() < 200_000)) {
            let options = Options { split, ..case.options.clone() };
            let cut = account(&case.bytes, &options);
            assert_eq!(cut, whole, "{}: split {split}", case.name);
        }
    }
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    println!("{} cases, whole and at every cut", cases.len());
}

// ---- against the oracle ----

fn oracle_says(bytes: &[u8], options: &Options) -> Vec<oracle::Event> {
    let methods: Vec<&str> = options.requests.iter().map(String::as_str).collect();
    oracle::read(&oracle::Input {
        role: match options.role {
            Role::Server => oracle::Role::Server,
            Role::Client => oracle::Role::Client,
        },
        bytes,
        eof: options.eof,
        requests: &methods,
        offered_upgrade: options.offered_upgrade,
    })
}

/// An entry in the oracle's terms.
fn translate(entry: &Entry) -> oracle::Event {
    use account::Item;
    let framing = |f: &account::Framing| match (f.name, f.length) {
        ("length", Some(n)) => oracle::Framing::Length(n),
        ("chunked", _) => oracle::Framing::Chunked,
        ("close", _) => oracle::Framing::Close,
        ("tunnel", _) => oracle::Framing::Tunnel,
        _ => oracle::Framing::None,
    };
    match &entry.item {
        Item::Request { method, target, version, fields, framing: f, expect, upgrade } => {
            oracle::Event::Request {
                method: method.clone(),
                target: target.clone(),
                version: version.clone(),
                fields: fields.clone(),
                framing: framing(f),
                expect: *expect,
                upgrade: *upgrade,
            }
        }
        Item::Response { status, reason, version, fields, framing: f, interim } => {
            oracle::Event::Response {
                status: *status,
                reason: reason.clone(),
                version: version.clone(),
                fields: fields.clone(),
                framing: framing(f),
                interim: *interim,
            }
        }
        Item::Content(octets) => oracle::Event::Content(octets.clone()),
        Item::End { trailers } => oracle::Event::End { trailers: trailers.clone() },
        Item::Persistence { persist, rule, .. } => {
            oracle::Event::Persistence { persist: *persist, rule }
        }
        Item::Tunnel(octets) => oracle::Event::Tunnel(octets.clone()),
        Item::Ignored(octets) => oracle::Event::Ignored(octets.clone()),
        Item::Error { status, .. } => oracle::Event::Error { status: *status },
        Item::Deadline { .. } => panic!("nobody asked for deadlines"),
        Item::Incomplete { part } => oracle::Event::Incomplete(match *part {
            "head" => oracle::Part::Head,
            "trailers" => oracle::Part::Trailers,
            _ => oracle::Part::Content,
        }),
    }
}

/// Rules that both cite differently without meaning anything else.
fn plain(event: oracle::Event, role: Role) -> oracle::Event {
    match event {
        oracle::Event::Persistence { persist, rule } => oracle::Event::Persistence {
            persist,
            // S1.1 has no row in S1.3; at the client the first of several reasons is no contract.
            rule: if role == Role::Client || matches!(rule, "S1.1" | "S1.3-4") { "" } else { rule },
        },
        other => other,
    }
}

/// Pieces from which streams are made that are valid, nearly valid, or not valid at all.
const PIECES: &[&str] = &[
    "GET / HTTP/1.1\r\n",
    "GET / HTTP/1.0\r\n",
    "POST /x HTTP/1.1\r\n",
    "HEAD / HTTP/1.1\r\n",
    "CONNECT a:1 HTTP/1.1\r\n",
    "OPTIONS * HTTP/1.1\r\n",
    "GET http://b/ HTTP/1.1\r\n",
    "Host: a\r\n",
    "Host:\r\n",
    "Content-Length: 3\r\n",
    "Content-Length: 0\r\n",
    "Content-Length: 3, 3\r\n",
    "Content-Length: +3\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Transfer-Encoding: gzip, chunked\r\n",
    "Transfer-Encoding: gzip\r\n",
    "Transfer-Encoding: ,chunked\r\n",
    "Connection: close\r\n",
    "Connection: keep-alive\r\n",
    "Connection: Upgrade\r\n",
    "Upgrade: x\r\n",
    "Connection: a b\r\n",
    "Expect: 100-continue\r\n",
    "Via: 1.0 x\r\n",
    "Proxy-Connection: keep-alive\r\n",
    "Keep-Alive: timeout=5, max=3\r\n",
    "Keep-Alive: timeout=1\r\n",
    "Keep-Alive: timeout=0\r\n",
    "Keep-Alive: max=0\r\n",
    "X: y\r\n",
    "X : y\r\n",
    " X: y\r\n",
    "X:\ty \r\n",
    "X: a\r\n b\r\n",
    ": y\r\n",
    "X\r\n",
    "\r\n",
    "\r\n\r\n",
    "\r",
    "\n",
    "abc",
    "3\r\nabc\r\n",
    "0\r\n\r\n",
    "0\r\nT: 1\r\n\r\n",
    "3;e=1\r\nabc\r\n",
    "3 \r\nabc\r\n",
    "03\r\n",
    "g\r\n",
    "0\r\nContent-Length: 5\r\nX-T: v\r\n\r\n",
    "HTTP/1.1 200 OK\r\n",
    "HTTP/1.0 200 OK\r\n",
    "HTTP/1.1 204\r\n",
    "HTTP/1.1 304 x\r\n",
    "HTTP/1.1 100 Continue\r\n\r\n",
    "HTTP/1.1 101 S\r\n",
    "HTTP/1.1 408 T\r\n",
    "HTTP/1.1 099 x\r\n",
    "HTTP/2 200\r\n",
    "\u{0}",
    "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
];

fn stream() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        20 => proptest::sample::select(PIECES).prop_map(|p| p.as_bytes().to_vec()),
        1 => proptest::collection::vec(any::<u8>(), 1..4),
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|p| p.concat())
}

fn options() -> impl Strategy<Value = Options> {
    let method = proptest::sample::select(&["GET", "HEAD", "POST", "CONNECT", "PUT"][..]);
    (any::<bool>(), proptest::collection::vec(method, 0..4), any::<bool>(), any::<bool>()).prop_map(
        |(server, methods, offered_upgrade, eof)| Options {
            role: if server { Role::Server } else { Role::Client },
            requests: methods.into_iter().map(String::from).collect(),
            offered_upgrade,
            eof,
            split: usize::MAX,
            trickle: None,
        },
    )
}

/// Many short cases; `PROPTEST_CASES` asks for another number.
fn config() -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok());
    ProptestConfig {
        cases: cases.unwrap_or(20_000),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_machine_agrees_with_the_oracle(bytes in stream(), options in options()) {
        let told = account(&bytes, &options);
        let ours: Vec<_> = told.iter().map(|e| plain(translate(e), options.role)).collect();
        let theirs = |bytes: &[u8]| -> Vec<_> {
            oracle_says(bytes, &options).into_iter().map(|e| plain(e, options.role)).collect()
        };
        // The oracle judges a chunk line or a trailer line when it is whole, the machine an octet
        // at a time: a line that is wrong and unfinished is an error to one, incomplete to the other.
        // Once it is ended, both say the same.
        let early = matches!(ours.last(), Some(oracle::Event::Error { .. }))
            && matches!(theirs(&bytes).last(), Some(oracle::Event::Incomplete(_)));
        let bytes = if early { [&bytes[..], b"\r\n"].concat() } else { bytes };
        prop_assert_eq!(ours, theirs(&bytes), "{}", bytes.escape_ascii());
    }

    #[test]
    fn the_account_does_not_depend_on_the_cuts(bytes in stream(), options in options(), split in 1usize..30) {
        let whole = account(&bytes, &options);
        prop_assert_eq!(account(&bytes, &Options { split, ..options.clone() }), whole.clone());
        prop_assert_eq!(account(&bytes, &Options { split: 1, ..options }), whole);
    }
}
