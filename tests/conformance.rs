//! `docs/03-conformance.md` against the house: each test that it names exists, each place that it names
//! is there, none of the requirements is missing, and its sums are right. Behind that, the tests that
//! the page needs and that stand nowhere else.
#![allow(clippy::indexing_slicing, clippy::string_slice)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

// ---- the page ----

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

fn page() -> String {
    read(&root().join("docs/03-conformance.md")).expect("the page")
}

/// How many sentences with MUST, MUST NOT, SHOULD, SHOULD NOT, REQUIRED or RECOMMENDED each section has
/// in the text of the RFC, all roles together. Counted with a script over the XML of the RFC editor;
/// §1.1 of RFC 9112, which explains the words, is left out.
const SENTENCES: &[(&str, &[(&str, usize)])] = &[
    (
        "RFC 9112",
        &[
            ("2.2", 9),
            ("2.3", 2),
            ("3", 3),
            ("3.2", 6),
            ("3.2.1", 2),
            ("3.2.2", 6),
            ("3.2.3", 1),
            ("3.2.4", 2),
            ("4", 2),
            ("5.1", 2),
            ("5.2", 4),
            ("6.1", 11),
            ("6.2", 1),
            ("6.3", 13),
            ("7.1", 3),
            ("7.1.1", 1),
            ("7.1.2", 2),
            ("7.2", 1),
            ("7.3", 4),
            ("7.4", 2),
            ("8", 1),
            ("9.2", 2),
            ("9.3", 6),
            ("9.3.2", 5),
            ("9.5", 5),
            ("9.6", 8),
            ("9.7", 1),
            ("9.8", 5),
            ("10.1", 1),
        ],
    ),
    (
        "RFC 9110",
        &[
            ("6", 1),
            ("6.2", 5),
            ("6.5.1", 3),
            ("6.5.2", 1),
            ("6.6.1", 4),
            ("6.6.2", 1),
            ("7.6", 2),
            ("7.6.1", 4),
            ("7.6.2", 3),
            ("7.6.3", 6),
            ("7.7", 4),
            ("7.8", 8),
            ("8.6", 10),
            ("9.2.1", 2),
            ("9.2.2", 3),
            ("9.3.1", 2),
            ("9.3.2", 4),
            ("9.3.3", 1),
            ("9.3.4", 8),
            ("9.3.5", 3),
            ("9.3.6", 6),
            ("9.3.7", 3),
            ("9.3.8", 4),
            ("10.1.1", 10),
            ("15.2", 3),
            ("15.2.2", 1),
        ],
    ),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Kept,
    Deviation,
    Left,
}

/// Requirements in one place of the page: a row, or an item of a "Left to" line.
#[derive(Debug)]
struct Entry {
    rfc: String,
    section: String,
    count: usize,
    class: Class,
    /// Line of the page.
    line: usize,
    text: String,
}

/// `6.1 ×2 …`: the section, and how many of its sentences.
fn section(text: &str) -> (String, usize) {
    let number: String =
        text.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '.').collect();
    let rest = text[number.len()..].trim_start();
    let count = rest.strip_prefix('×').map_or(1, |n| {
        let digits: String = n.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().expect("a number behind ×")
    });
    (number.trim_end_matches('.').to_owned(), count)
}

fn cells(line: &str) -> Vec<&str> {
    line.trim().trim_matches('|').split('|').map(str::trim).collect()
}

fn entries(page: &str) -> Vec<Entry> {
    let (mut found, mut rfc) = (Vec::new(), String::new());
    for (n, text) in page.lines().enumerate() {
        let mut entry = |at: &str, class| {
            let (section, count) = section(at);
            let text = text.to_owned();
            found.push(Entry { rfc: rfc.clone(), section, count, class, line: n + 1, text });
        };
        if let Some(name) = text.strip_prefix("## ") {
            rfc = name.to_owned();
        } else if let Some(rest) = text.strip_prefix("| §").filter(|r| !r.starts_with(' ')) {
            let place = *cells(text).get(2).unwrap_or_else(|| panic!("line {}: no place", n + 1));
            let class = if place.starts_with("DEVIATION") {
                Class::Deviation
            } else if place.starts_with("left to") {
                Class::Left
            } else {
                Class::Kept
            };
            entry(rest, class);
        } else if text.starts_with("- Left to ") {
            text.split('§').skip(1).for_each(|item| entry(item, Class::Left));
        }
    }
    found
}

/// The code spans of a line.
fn spans(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn no_requirement_is_missing() {
    let mut told: BTreeMap<(String, String), usize> = BTreeMap::new();
    for e in entries(&page()) {
        *told.entry((e.rfc, e.section)).or_default() += e.count;
    }
    let mut wrong = Vec::new();
    for (rfc, sections) in SENTENCES {
        for (section, count) in *sections {
            let n = told.remove(&((*rfc).to_owned(), (*section).to_owned())).unwrap_or(0);
            if n != *count {
                wrong.push(format!("{rfc} §{section}: {n} of {count}"));
            }
        }
    }
    wrong.extend(told.into_keys().map(|(rfc, section)| format!("{rfc} §{section}: unknown")));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_sums_are_right() {
    let page = page();
    let entries = entries(&page);
    let sum = |class: Option<Class>| -> usize {
        entries.iter().filter(|e| class.is_none_or(|c| c == e.class)).map(|e| e.count).sum()
    };
    let excepted = |e: &&Entry| e.class == Class::Kept && !deviations(&e.text).is_empty();
    let want = format!(
        "{} requirements: {} kept ({} of them with an exception), {} not kept, {} left to others.",
        sum(None),
        sum(Some(Class::Kept)),
        entries.iter().filter(excepted).map(|e| e.count).sum::<usize>(),
        sum(Some(Class::Deviation)),
        sum(Some(Class::Left))
    );
    assert!(page.contains(&want), "the page does not say: {want}");
}

/// What stands in `src` by this name: a function or another item, a row by its name or its label.
fn stands(code: &str, name: &str) -> bool {
    if let Some(label) = name.strip_prefix('"') {
        return code.contains(&format!("\"{label}"));
    }
    let item = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    let word = |before: &str| {
        code.match_indices(&format!("{before}{name}")).any(|(at, found)| {
            let is_part = |c: char| c.is_alphanumeric() || c == '_';
            let (head, tail) = (&code[..at], &code[at + found.len()..]);
            !tail.starts_with(is_part) && !head.ends_with(is_part)
        })
    };
    if item { word("fn ") } else { word("") }
}

/// The span of a place, `head/scan.rs::field` or `framing.rs "S8-4 chunked"`, taken apart.
fn place(span: &str) -> Option<(&str, &str)> {
    let (file, name) = span.split_once("::").or_else(|| span.split_once(' '))?;
    file.ends_with(".rs").then_some((file, name))
}

#[test]
fn every_place_is_where_the_page_says() {
    let page = page();
    let mut wrong = Vec::new();
    for e in entries(&page) {
        let row = e.text.starts_with('|');
        let text = if row { cells(&e.text)[2].to_owned() } else { e.text.clone() };
        let places: Vec<_> = spans(&text).filter_map(place).collect();
        if e.class == Class::Kept && places.is_empty() {
            wrong.push(format!("line {}: kept, but where?", e.line));
        }
        for (file, name) in places {
            match read(&root().join("src").join(file)) {
                None => wrong.push(format!("line {}: no file src/{file}", e.line)),
                Some(code) if !stands(&code, name) => {
                    wrong.push(format!("line {}: no {name} in src/{file}", e.line));
                }
                Some(_) => {}
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The titles of all cases in a folder of `tests/cases`.
fn titles(folder: &str) -> Vec<String> {
    let files = std::fs::read_dir(root().join("tests/cases").join(folder)).expect("a folder");
    let cases = files.map(|f| f.expect("an entry").path());
    cases
        .filter(|p| p.extension().is_some_and(|e| e == "case"))
        .flat_map(|p| {
            let text = read(&p).expect("a text");
            let titles = text.lines().filter_map(|l| l.strip_prefix("# ").map(str::to_owned));
            titles.collect::<Vec<_>>()
        })
        .collect()
}

/// Whether a Rust file has a test of this name: the attribute stands among the lines above it.
fn has_test(code: &str, name: &str) -> bool {
    let lines: Vec<&str> = code.lines().map(str::trim).collect();
    let at = lines.iter().position(|l| l.starts_with(&format!("fn {name}(")));
    at.is_some_and(|at| {
        let above = lines[..at].iter().rev();
        above.take_while(|l| l.starts_with("#[") || l.starts_with("//")).any(|l| *l == "#[test]")
    })
}

fn rust_file(name: &str) -> PathBuf {
    let folder = if name.starts_with("src/") { "" } else { "tests" };
    root().join(folder).join(name)
}

#[test]
fn every_test_exists() {
    let page = page();
    let cases = [("explain", titles("explain")), ("scenarios", titles("scenarios"))];
    let mut wrong = Vec::new();
    for e in entries(&page).iter().filter(|e| e.text.starts_with('|')) {
        let cells = cells(&e.text);
        assert_eq!(cells.len(), 4, "line {}: not four cells", e.line);
        let tests: Vec<_> = spans(cells[3]).collect();
        if tests.is_empty() && e.class == Class::Kept {
            wrong.push(format!("line {}: kept, and no test", e.line));
        }
        for test in tests {
            let known = match test.split_once(": ") {
                Some((folder, title)) => cases.iter().filter(|c| c.0 == folder).any(|(_, all)| {
                    let rest = |t: &String| t.strip_prefix(title).map(str::to_owned);
                    all.iter().filter_map(rest).any(|r| !r.starts_with(char::is_alphanumeric))
                }),
                None => test.split_once("::").is_some_and(|(file, name)| {
                    read(&rust_file(file)).is_some_and(|code| has_test(&code, name))
                }),
            };
            if !known {
                wrong.push(format!("line {}: no test {test:?}", e.line));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The deviations by number, `D1`, that a text speaks of.
fn deviations(text: &str) -> BTreeSet<u32> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric());
    words.filter_map(|w| w.strip_prefix('D').and_then(|n| n.parse().ok())).collect()
}

#[test]
fn the_deviations_are_collected() {
    let page = page();
    let listed: Vec<u32> = page
        .lines()
        .filter_map(|l| l.strip_prefix("- **D").and_then(|l| l.split_once("**")?.0.parse().ok()))
        .collect();
    assert_eq!(listed, (1..=listed.len() as u32).collect::<Vec<_>>(), "in order, each once");
    let rows: BTreeSet<u32> = entries(&page).iter().flat_map(|e| deviations(&e.text)).collect();
    assert_eq!(rows, listed.into_iter().collect(), "those of the rows are those of the list");
    for e in entries(&page).iter().filter(|e| e.class == Class::Deviation) {
        assert!(!deviations(&e.text).is_empty(), "line {}: which one?", e.line);
    }
}

#[test]
fn a_wrong_page_is_noticed() {
    assert!(stands("fn advance(&self) {}", "advance") && !stands("fn advanced() {}", "advance"));
    assert!(!stands("advance", "advance") && stands("    BareCr Peer 400", "BareCr"));
    assert!(stands("\"S8-4 chunked\" x", "\"S8-4 chunked\"") && !stands("S8-4", "\"S8-4\""));
    assert_eq!(place("framing.rs \"S8-4 chunked\""), Some(("framing.rs", "\"S8-4 chunked\"")));
    assert!(has_test("#[test]\n#[ignore]\nfn a() {}", "a") && !has_test("fn a() {}", "a"));
    assert_eq!(section("9.3.4 ×8 PUT"), ("9.3.4".to_owned(), 8));
    assert_eq!(deviations("but D7, D12; D"), BTreeSet::from([7, 12]));
    let page =
        "## RFC 9112\n| §6.1 ×2 | a | left to x | – |\n- Left to the driver: §9.8 b; §9.7 c\n";
    let found: Vec<_> = entries(page).into_iter().map(|e| (e.section, e.count)).collect();
    assert_eq!(found, [("6.1".to_owned(), 2), ("9.8".to_owned(), 1), ("9.7".to_owned(), 1)]);
}

// ---- tests that the page needs ----

use keepalive::{
    Content, End, Instant, Io, Lost, NO_FIELDS, Part, Plan, RequestHead, ResponseHead, SendError,
    Timer, Version, client, forward, server,
};

const NOW: Instant = Instant::from_micros(0);
const G: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// A server's connection that has received this much of a request, its content included.
fn asked(config: &server::Config, bytes: &str) -> server::Connection {
    let mut conn = server::Connection::new(config, NOW);
    let mut at = 0;
    loop {
        let step = conn.receive(NOW, &bytes.as_bytes()[at..], usize::MAX);
        at += step.consumed;
        match step.event {
            Some(server::Event::Request(_)) => conn.read_content(NOW),
            Some(_) => {}
            None => return conn,
        }
    }
}

fn origin(bytes: &str) -> server::Connection {
    asked(&server::Config::origin(), bytes)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What a response head looks like on the wire.
fn respond(
    conn: &mut server::Connection,
    status: u16,
    fields: &[(&'static str, &'static str)],
    content: Content,
) -> Result<String, SendError> {
    let mut out = [0; 1024];
    let fields = fields.iter().copied();
    conn.respond(NOW, status, fields, content, &mut out).map(|s| text(&out[..s.written]))
}

fn inform(
    conn: &mut server::Connection,
    status: u16,
    fields: &[(&'static str, &'static str)],
) -> Result<String, SendError> {
    let mut out = [0; 1024];
    conn.inform(NOW, status, fields.iter().copied(), &mut out).map(|n| text(&out[..n]))
}

/// What a request head looks like on the wire; all of it is transmitted.
fn ask(
    conn: &mut client::Connection,
    method: &str,
    target: &str,
    fields: &[(&'static str, &'static str)],
    content: Content,
) -> Result<String, SendError> {
    let mut out = [0; 1024];
    let fields = fields.iter().copied();
    let started = conn.request(NOW, method, target, fields, content, &mut out)?;
    conn.transmitted(NOW, started.written as u64);
    Ok(text(&out[..started.written]))
}

/// Gives a client's connection these bytes; what came of them, in words.
fn answer(conn: &mut client::Connection, bytes: &str) -> Vec<String> {
    let (mut at, mut events) = (0, Vec::new());
    loop {
        let step = conn.receive(NOW, &bytes.as_bytes()[at..], usize::MAX);
        at += step.consumed;
        match step.event {
            Some(client::Event::Interim(h) | client::Event::Response(h)) => {
                events.push(h.status().to_string());
            }
            Some(client::Event::Content(c)) => events.push(text(c)),
            Some(client::Event::End(_)) => events.push("end".to_owned()),
            Some(client::Event::Failed(f)) => events.push(f.kind.name().to_owned()),
            None => return events,
        }
    }
}

fn direct() -> client::Connection {
    client::Connection::new(&client::Config::direct(), NOW)
}

const HOST: &[(&str, &str)] = &[("Host", "a")];

fn invalid<T>(part: Part) -> Result<T, SendError> {
    Err(SendError::Invalid(part))
}

#[test]
fn what_could_split_a_message_is_not_written() {
    for value in ["a\rb", "a\nb", "a\r\n b", "a\r\n\r\nGET / HTTP/1.1", "a\0"] {
        let got = respond(&mut origin(G), 200, &[("X", value)], Content::None);
        assert_eq!(got, invalid(Part::FieldValue), "{value:?}");
        let fields = [("Host", "a"), ("X", value)];
        let got = ask(&mut direct(), "GET", "/", &fields, Content::None);
        assert_eq!(got, invalid(Part::FieldValue), "{value:?}");
    }
    for name in [" X", "X ", "X\r", "", "X:Y"] {
        let got = respond(&mut origin(G), 200, &[(name, "a")], Content::None);
        assert_eq!(got, invalid(Part::FieldName), "{name:?}");
    }
    let mut out = [0; 256];
    let got = origin(G).respond(NOW, (200, "a\rb"), NO_FIELDS, Content::None, &mut out);
    assert_eq!(got.map(|_| ()), invalid(Part::Reason));
    for (method, target) in [("G\rET", "/"), ("GET", "/\r"), ("GET", "/ HTTP/1.1\r\nX:")] {
        assert!(
            ask(&mut direct(), method, target, HOST, Content::None).is_err(),
            "{method} {target}"
        );
    }
    // Trailers, too.
    let mut conn = origin(G);
    respond(&mut conn, 200, &[], Content::Unknown).unwrap();
    assert_eq!(conn.finish(NOW, [("X", "a\r\n b")], &mut out), invalid(Part::FieldValue));
    assert_eq!(conn.finish(NOW, [("Content-Length", "1")], &mut out), invalid(Part::Framing));
    assert_eq!(conn.finish(NOW, [("X", "a")], &mut out), Ok("0\r\nX: a\r\n\r\n".len()));
}

#[test]
fn a_request_stands_alone() {
    let mut conn = direct();
    let mut out = [0; 256];
    let head = ask(&mut conn, "POST", "/", HOST, Content::Length(2)).unwrap();
    assert_eq!(
        head,
        "POST / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\n"
    );
    let n = conn.send(NOW, b"hi", &mut out).unwrap().written;
    assert_eq!(&out[..n], b"hi", "nothing behind it");
    assert!(conn.send(NOW, b"\r\n", &mut out).is_err(), "more than was declared");
    conn.transmitted(NOW, n as u64);
    answer(&mut conn, "HTTP/1.1 204 No Content\r\n\r\n");
    conn.checkout(NOW, Io::Nothing, b"");
    assert!(ask(&mut conn, "GET", "/", HOST, Content::None).unwrap().starts_with("GET /"));
}

#[test]
fn the_version_is_our_own() {
    let wire = |version: &str| {
        let request = format!("GET / HTTP/{version}\r\nHost: a\r\n\r\n");
        respond(&mut origin(&request), 200, &[], Content::None).unwrap()
    };
    for version in ["1.0", "1.1", "1.7"] {
        assert!(wire(version).starts_with("HTTP/1.1 200 "), "{version}");
    }
    let mut conn = origin("GET / HTTP/2.0\r\n\r\n");
    let mut out = [0; 256];
    let n = conn.emit(NOW, &mut out).unwrap();
    assert!(out[..n].starts_with(b"HTTP/1.1 505 "));
    assert!(ask(&mut direct(), "GET", "/", HOST, Content::None).unwrap().contains(" HTTP/1.1\r\n"));
    // Through a relay, in both directions.
    let hop = forward::Hop::to_origin("me").unwrap();
    let head = RequestHead::parse(b"GET / HTTP/1.0\r\nHost: a\r\n\r\n").unwrap();
    let onward = forward::request(&head, &hop).unwrap();
    let mut out = [0; 256];
    direct().request(NOW, "GET", onward.target(), onward.lines(), Content::None, &mut out).unwrap();
    assert!(out.starts_with(b"GET / HTTP/1.1\r\n"));
}

#[test]
fn the_space_before_an_absent_reason_is_written() {
    let wire = respond(&mut origin(G), 299, &[], Content::None).unwrap();
    assert!(wire.starts_with("HTTP/1.1 299 \r\n"), "{wire}");
}

#[test]
fn every_request_of_1_1_has_one_host() {
    let host = |fields: &[(&'static str, &'static str)], target| {
        ask(&mut direct(), "GET", target, fields, Content::None)
    };
    assert_eq!(host(&[], "/"), invalid(Part::Host));
    assert_eq!(host(&[], "http://a/"), invalid(Part::Host));
    assert_eq!(host(&[("Host", "a"), ("Host", "a")], "/"), invalid(Part::Host));
    assert_eq!(host(&[("Host", "u@a")], "/"), invalid(Part::Host));
    assert!(host(&[("Host", "")], "/").is_ok(), "no authority");
    assert!(host(HOST, "http://a/").is_ok());
}

/// RFC 9110 §7.2 speaks of requests only. A relay passes on what an origin sends by that name.
#[test]
fn host_in_a_response_is_a_field_like_any_other() {
    let wire = respond(&mut origin(G), 200, &[("Host", "a b"), ("Host", "c")], Content::None);
    assert!(wire.unwrap().contains("\r\nHost: a b\r\nHost: c\r\n"));
    let mut out = [0; 64];
    let n = origin(G).inform(NOW, 103, [("Host", "u@a")], &mut out).unwrap();
    assert_eq!(&out[..n], b"HTTP/1.1 103 Early Hints\r\nHost: u@a\r\n\r\n");
}

#[test]
fn framing_is_what_was_declared_and_never_two_things() {
    let try_response = |fields: &[(&'static str, &'static str)], content| {
        respond(&mut origin(G), 200, fields, content)
    };
    let framing: Result<String, _> = invalid(Part::Framing);
    assert_eq!(try_response(&[("Transfer-Encoding", "gzip, chunked")], Content::Unknown), framing);
    assert_eq!(
        try_response(&[("Transfer-Encoding", "chunked, chunked")], Content::Unknown),
        framing
    );
    assert_eq!(try_response(&[("Transfer-Encoding", "chunked")], Content::Length(5)), framing);
    assert_eq!(try_response(&[("Content-Length", "5")], Content::Unknown), framing);
    assert_eq!(try_response(&[("Content-Length", "5, 5")], Content::Length(5)), framing);
    assert_eq!(try_response(&[("Content-Length", "6")], Content::Length(5)), framing);
    let both = [("Transfer-Encoding", "chunked"), ("Content-Length", "5")];
    assert_eq!(try_response(&both, Content::Unknown), framing);
    let wire = try_response(&[("Transfer-Encoding", "Chunked")], Content::Unknown).unwrap();
    assert_eq!(wire.matches("Transfer-Encoding: chunked\r\n").count(), 1);
    assert!(!wire.contains("Content-Length"));
    let fields = [("Host", "a"), ("Transfer-Encoding", "gzip")];
    assert_eq!(ask(&mut direct(), "POST", "/", &fields, Content::Unknown), framing);

    // Content is held to its length.
    let mut conn = origin(G);
    let mut out = [0; 64];
    respond(&mut conn, 200, &[], Content::Length(3)).unwrap();
    assert_eq!(conn.send(NOW, b"four", &mut out), Err(SendError::Length { left: 3 }));
    conn.send(NOW, b"th", &mut out).unwrap();
    assert_eq!(conn.finish(NOW, NO_FIELDS, &mut out), Err(SendError::Length { left: 1 }));
}

#[test]
fn where_no_content_can_be_nothing_frames_it() {
    for field in [("Content-Length", "0"), ("Transfer-Encoding", "chunked")] {
        assert_eq!(inform(&mut origin(G), 103, &[field]), invalid(Part::Framing));
        let mut connect = origin("CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\n");
        assert_eq!(respond(&mut connect, 200, &[field], Content::None), invalid(Part::Framing));
        assert_eq!(respond(&mut origin(G), 204, &[field], Content::None), invalid(Part::Framing));
    }
    assert_eq!(respond(&mut origin(G), 204, &[], Content::Unknown), invalid(Part::Content));
    assert_eq!(
        respond(&mut origin(G), 204, &[], Content::None).unwrap(),
        "HTTP/1.1 204 No Content\r\n\r\n"
    );
    assert_eq!(inform(&mut origin(G), 103, &[]).unwrap(), "HTTP/1.1 103 Early Hints\r\n\r\n");
    let head = "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n";
    assert!(!respond(&mut origin(head), 200, &[], Content::Unknown).unwrap().contains("chunked"));
}

#[test]
fn a_length_is_declared_where_it_is_known_and_means_something() {
    let wire = |method, content| ask(&mut direct(), method, "/", HOST, content).unwrap();
    for method in ["POST", "PUT", "PATCH"] {
        assert!(wire(method, Content::None).contains("Content-Length: 0\r\n"), "{method}");
    }
    for method in ["GET", "HEAD", "DELETE", "OPTIONS"] {
        assert!(!wire(method, Content::None).contains("Content-Length"), "{method}");
    }
    assert!(wire("POST", Content::Length(7)).contains("Content-Length: 7\r\n"));
    assert!(wire("POST", Content::Unknown).contains("Transfer-Encoding: chunked\r\n"));
    let response = |content| respond(&mut origin(G), 200, &[], content).unwrap();
    assert!(response(Content::Length(7)).contains("Content-Length: 7\r\n"));
    assert!(response(Content::None).contains("Content-Length: 0\r\n"));
}

#[test]
fn content_on_connect_and_trace_is_refused() {
    for (method, target) in [("TRACE", "/"), ("CONNECT", "h:1")] {
        let got = ask(&mut direct(), method, target, HOST, Content::Length(1));
        assert_eq!(got, invalid(Part::Content), "{method}");
    }
    for target in ["h", "h:", "h:0", "http://h:1/", "/"] {
        let got = ask(&mut direct(), "CONNECT", target, HOST, Content::None);
        assert_eq!(got, invalid(Part::Target), "{target}");
    }
    assert!(
        ask(&mut direct(), "CONNECT", "h:1", HOST, Content::None)
            .unwrap()
            .starts_with("CONNECT h:1 ")
    );
}

#[test]
fn an_expectation_comes_with_content_or_not_at_all() {
    let fields = [("Host", "a"), ("Expect", "100-continue")];
    assert_eq!(ask(&mut direct(), "POST", "/", &fields, Content::None), invalid(Part::Content));
    assert_eq!(ask(&mut direct(), "GET", "/", &fields, Content::None), invalid(Part::Content));
    let mut conn = direct();
    assert!(
        ask(&mut conn, "POST", "/", &fields, Content::Length(1))
            .unwrap()
            .contains("Expect: 100-continue\r\n")
    );
    assert!(!conn.wants().content, "it waits");
    let mut conn = direct();
    ask(&mut conn, "POST", "/", HOST, Content::Length(1)).unwrap();
    assert!(conn.wants().content, "without Expect nothing waits");
}

#[test]
fn a_417_asks_for_the_request_without_the_expectation() {
    let mut conn = direct();
    let fields = [("Host", "a"), ("Expect", "100-continue")];
    ask(&mut conn, "POST", "/", &fields, Content::Length(1)).unwrap();
    let head = b"HTTP/1.1 417 Expectation Failed\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    assert!(conn.receive(NOW, head, usize::MAX).event.is_some());
    let retry = conn.retry(0).unwrap();
    assert!(retry.allows(true) && retry.reason().contains("without Expect"));
}

#[test]
fn control_fields_carry_their_option() {
    let fields = [("Host", "a"), ("TE", "trailers"), ("Upgrade", "x"), ("Connection", "X-Own")];
    let wire = ask(&mut direct(), "GET", "/", &fields, Content::None).unwrap();
    assert!(wire.contains("Connection: X-Own\r\n"), "{wire}");
    assert!(wire.contains("Connection: keep-alive, upgrade, TE\r\n"), "{wire}");
    let wire = respond(&mut origin(G), 200, &[("Upgrade", "x")], Content::None).unwrap();
    assert!(wire.contains("Connection: upgrade\r\n"), "{wire}");
    let wire = inform(&mut origin(G), 103, &[("Upgrade", "x")]).unwrap();
    assert!(wire.contains("Connection: upgrade\r\n"), "{wire}");
    let wire = respond(&mut origin(G), 426, &[("Upgrade", "x")], Content::None).unwrap();
    assert!(wire.contains("Connection: upgrade\r\n"), "{wire}");
    // Where it has no place it is not sent, nor left out where it must be.
    let mut connect = origin("CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\n");
    let got = respond(&mut connect, 200, &[("Upgrade", "x")], Content::None);
    assert_eq!(got, invalid(Part::Upgrade));
    assert_eq!(respond(&mut origin(G), 426, &[], Content::None), invalid(Part::Upgrade));
    let fields = [("Host", "a"), ("TE", "trailers, Chunked")];
    assert_eq!(ask(&mut direct(), "GET", "/", &fields, Content::None), invalid(Part::FieldValue));
}

#[test]
fn a_switch_needs_an_offer_of_the_protocol() {
    let offer =
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: WebSocket, y/2\r\n\r\n";
    let switch = |request, fields: &[(&'static str, &'static str)]| {
        respond(&mut origin(request), 101, fields, Content::None)
    };
    assert_eq!(switch(offer, &[]), invalid(Part::Upgrade));
    assert_eq!(switch(offer, &[("Upgrade", "z")]), invalid(Part::Upgrade));
    assert_eq!(switch(offer, &[("Upgrade", "y/1")]), invalid(Part::Upgrade));
    assert_eq!(switch(G, &[("Upgrade", "websocket")]), invalid(Part::Upgrade));
    assert!(switch(offer, &[("Upgrade", "websocket")]).is_ok());
    assert!(switch(offer, &[("Upgrade", "y/2")]).is_ok());
}

#[test]
fn a_client_of_1_0_gets_no_interim_response() {
    let mut conn = origin("GET / HTTP/1.0\r\n\r\n");
    assert_eq!(inform(&mut conn, 100, &[]).unwrap(), "");
    assert_eq!(inform(&mut conn, 103, &[]).unwrap(), "");
    let hop = forward::Hop::to_origin("me").unwrap();
    let head = ResponseHead::parse(b"HTTP/1.1 103 E\r\nLink: x\r\n\r\n", "GET").unwrap();
    let onward = forward::response(&head, &hop).unwrap();
    assert!(onward.may_go_to(Version::HTTP_11) && !onward.may_go_to(Version::HTTP_10));
}

#[test]
fn what_is_not_kept_says_close() {
    let never = server::Config::origin().idle(core::time::Duration::ZERO);
    for status in [200, 204, 304, 404] {
        let wire = respond(&mut asked(&never, G), status, &[], Content::None).unwrap();
        assert!(wire.contains("Connection: close\r\n"), "{wire}");
    }
    assert!(!inform(&mut asked(&never, G), 103, &[]).unwrap().contains("close"));
    let mut conn = client::Connection::new(&client::Config::direct().one_shot(true), NOW);
    let wire = ask(&mut conn, "GET", "/", HOST, Content::None).unwrap();
    assert!(wire.contains("Connection: close\r\n"), "{wire}");
}

#[test]
fn our_own_responses_have_no_date_of_ours() {
    let mut conn = origin("GET\r\n\r\n");
    let mut out = [0; 256];
    let n = conn.clone().emit(NOW, &mut out).unwrap();
    assert!(!text(&out[..n]).to_lowercase().contains("date:"));
    let date = [("Date", "Sun, 06 Nov 1994 08:49:37 GMT")];
    let n = conn.emit_with(NOW, date, &mut out).unwrap();
    assert!(text(&out[..n]).contains("Date: Sun, 06 Nov 1994"));
}

#[test]
fn back_pressure_is_ours_and_not_the_peers() {
    let mut conn = origin("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n");
    assert_eq!(conn.deadline().unwrap().timer, Timer::MinRate);
    assert_eq!(conn.receive(NOW, b"abc", 0).event, None);
    let later = NOW + core::time::Duration::from_secs(500);
    conn.expire(later);
    assert!(conn.persistence().persists() && conn.wants().end.is_none());
    assert!(matches!(conn.receive(later, b"abc", 9).event, Some(server::Event::Content(b"abc"))));
    assert_eq!(conn.deadline().unwrap().timer, Timer::MinRate, "its time begins anew");
}

#[test]
fn an_incomplete_close_of_tls_completes_what_is_whole() {
    let whole =
        ["Content-Length: 2\r\n\r\nhi", "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"];
    for rest in whole {
        let mut conn = direct();
        ask(&mut conn, "GET", "/", HOST, Content::None).unwrap();
        conn.lost(NOW, Lost::Truncated);
        assert_eq!(answer(&mut conn, &format!("HTTP/1.1 200 OK\r\n{rest}")), ["200", "hi", "end"]);
    }
    let mut conn = direct();
    ask(&mut conn, "GET", "/", HOST, Content::None).unwrap();
    conn.lost(NOW, Lost::Truncated);
    let events = answer(&mut conn, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi");
    assert_eq!(events, ["200", "hi", "IncompleteContent"]);
    // A server goes on as after any EOF.
    let mut conn = origin(G);
    conn.lost(NOW, Lost::Truncated);
    assert!(conn.wants().head);
    respond(&mut conn, 200, &[], Content::None).unwrap();
    conn.receive(NOW, b"", usize::MAX);
    conn.transmitted(NOW, conn.untransmitted());
    assert!(matches!(conn.wants().end, Some(End::Close(_))));
}

#[test]
fn pipelining_waits_for_proof_and_stops_behind_unsafe_ends() {
    let config = client::Config::direct().pipeline(true);
    let fresh = || client::Connection::new(&config, NOW);
    let get = |conn: &mut client::Connection| ask(conn, "GET", "/", HOST, Content::None);
    let proven = || {
        let mut conn = fresh();
        get(&mut conn).unwrap();
        answer(&mut conn, "HTTP/1.1 204 No Content\r\n\r\n");
        conn.checkout(NOW, Io::Nothing, b"");
        conn
    };
    let mut conn = fresh();
    get(&mut conn).unwrap();
    assert!(get(&mut conn).is_err(), "not at once after the connection was made");
    let mut conn = proven();
    assert!(get(&mut conn).is_ok() && get(&mut conn).is_ok());
    assert!(ask(&mut conn, "POST", "/", HOST, Content::None).is_err());
    let mut conn = proven();
    ask(&mut conn, "POST", "/", HOST, Content::None).unwrap();
    assert!(get(&mut conn).is_err(), "not behind POST");
    answer(&mut conn, "HTTP/1.1 204 No Content\r\n\r\n");
    conn.checkout(NOW, Io::Nothing, b"");
    assert!(get(&mut conn).is_ok());
}

#[test]
fn behind_a_close_no_request_is_made() {
    let config = client::Config::direct().pipeline(true);
    let closes = [
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nab",
        "HTTP/1.1 103 Early Hints\r\nConnection: close\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\nab",
        "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nab",
    ];
    for close in closes {
        let mut conn = client::Connection::new(&config, NOW);
        ask(&mut conn, "GET", "/", HOST, Content::None).unwrap();
        answer(&mut conn, "HTTP/1.1 204 No Content\r\n\r\n");
        conn.checkout(NOW, Io::Nothing, b"");
        ask(&mut conn, "GET", "/", HOST, Content::None).unwrap();
        answer(&mut conn, close);
        assert!(!conn.persistence().persists());
        assert!(ask(&mut conn, "GET", "/", HOST, Content::None).is_err(), "{close:?}");
    }
}

#[test]
fn a_server_that_answered_as_1_0_gets_no_chunks() {
    let mut conn = direct();
    ask(&mut conn, "GET", "/", HOST, Content::None).unwrap();
    answer(&mut conn, "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n");
    conn.checkout(NOW, Io::Nothing, b"");
    assert_eq!(ask(&mut conn, "POST", "/", HOST, Content::Unknown), invalid(Part::Framing));
    assert!(ask(&mut conn, "POST", "/", HOST, Content::Length(1)).is_ok());
}

#[test]
fn unread_response_content_is_read_before_reuse() {
    let mut conn = direct();
    ask(&mut conn, "GET", "/", HOST, Content::None).unwrap();
    answer(&mut conn, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n");
    conn.skip_content(NOW);
    assert_eq!(conn.checkout(NOW, Io::Nothing, b""), client::Reuse::Busy);
    assert!(ask(&mut conn, "GET", "/", HOST, Content::None).is_err());
    assert!(answer(&mut conn, "abcd").is_empty());
    assert!(matches!(conn.checkout(NOW, Io::Nothing, b""), client::Reuse::Ready { .. }));
}

#[test]
fn a_relay_keeps_to_its_hop() {
    let hop = forward::Hop::to_origin("me").unwrap();
    let lines = |bytes: &str| {
        let head = RequestHead::parse(bytes.as_bytes()).unwrap();
        let onward = forward::request(&head, &hop).map_err(|r| (r.name(), r.status()))?;
        let lines: Vec<String> = onward.lines().map(|l| format!("{l:?}")).collect();
        Ok::<_, (&str, Option<u16>)>((text(onward.target()), lines.join(", ")))
    };
    let ok = |bytes, target: &str, fields: &str| {
        assert_eq!(lines(bytes), Ok((target.to_owned(), fields.to_owned())), "{bytes}");
    };
    ok("GET http://h/p?q HTTP/1.1\r\nHost: other\r\n\r\n", "/p?q", "Host: h, Via: 1.1 me");
    ok("GET http://h HTTP/1.1\r\nHost: h\r\n\r\n", "/", "Host: h, Via: 1.1 me");
    ok(
        "GET /%7e//../a?%41 HTTP/1.1\r\nHost: H.\r\n\r\n",
        "/%7e//../a?%41",
        "Host: H., Via: 1.1 me",
    );
    ok("OPTIONS http://h:8 HTTP/1.1\r\nHost: h\r\n\r\n", "*", "Host: h:8, Via: 1.1 me");
    ok("OPTIONS http://h?q HTTP/1.1\r\nHost: h\r\n\r\n", "/?q", "Host: h, Via: 1.1 me");
    ok(
        "OPTIONS / HTTP/1.1\r\nHost: h\r\nMax-Forwards: 3\r\n\r\n",
        "/",
        "Host: h, Max-Forwards: 2, Via: 1.1 me",
    );
    ok("OPTIONS / HTTP/1.1\r\nHost: h\r\n\r\n", "/", "Host: h, Via: 1.1 me");
    ok(
        "GET / HTTP/1.0\r\nHost: h\r\nVia: 1.1 x (a), 1.0 y\r\n\r\n",
        "/",
        "Host: h, Via: 1.1 x (a), 1.0 y, Via: 1.0 me",
    );
    ok(
        "GET / HTTP/1.1\r\nHost: h\r\nConnection: TE, X\r\nTE: gzip, trailers\r\nX: 1\r\nKeep-Alive: a\r\nServer: b\r\n\r\n",
        "/",
        "Host: h, Server: b, TE: trailers, Via: 1.1 me",
    );
    let refused = |bytes, name, status| assert_eq!(lines(bytes), Err((name, status)), "{bytes}");
    refused("GET / HTTP/1.1\r\nHost: h\r\nVia: 1.1 x, 1.1 me\r\n\r\n", "Loop", Some(508));
    refused("TRACE / HTTP/1.1\r\nHost: h\r\nMax-Forwards: 0\r\n\r\n", "LastHop", None);
    let head = ResponseHead::parse(b"HTTP/1.0 200 OK\r\nServer: b\r\n\r\n", "GET").unwrap();
    let onward = forward::response(&head, &hop).unwrap();
    let lines: Vec<String> = onward.lines().map(|l| format!("{l:?}")).collect();
    assert_eq!(lines, ["Server: b", "Via: 1.0 me"]);
    assert!(onward.lacks_date());
    for kind in [keepalive::Kind::LengthInvalid, keepalive::Kind::ObsFold] {
        assert_eq!(forward::gateway_status(kind), 502);
    }
}

#[test]
fn a_relay_sends_one_framing_and_the_right_one() {
    let config = server::Config::origin().tolerate_coding_with_length(true);
    let bytes =
        b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n";
    let head = RequestHead::parse_with(bytes, &config).unwrap();
    let hop = forward::Hop::to_origin("me").unwrap();
    let onward = forward::request(&head, &hop).unwrap();
    assert_eq!(onward.content(), Some(Content::Unknown));
    assert!(onward.lines().all(|l| !l.is("content-length") && !l.is("transfer-encoding")));
    let head =
        ResponseHead::parse(b"HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\n", "GET").unwrap();
    let onward = forward::response(&head, &hop).unwrap();
    let mut conn = origin(G);
    let mut out = [0; 256];
    let started = conn.respond(NOW, 200, onward.lines(), onward.content(), &mut out).unwrap();
    assert_eq!(started.plan, Plan::Length(5));
    let wire = text(&out[..started.written]);
    assert_eq!(wire.matches("Content-Length: 5\r\n").count(), 1, "{wire}");
}
