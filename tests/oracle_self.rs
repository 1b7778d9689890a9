//! Tests of the oracle itself, derived by hand from the scenarios of SEMANTICS: it judges the crate,
//! so something else must judge it.
#![allow(clippy::indexing_slicing, clippy::unwrap_used, clippy::panic)] // a test

mod oracle;

use oracle::*;

fn server(bytes: &[u8]) -> Vec<Event> {
    read(&Input { role: Role::Server, bytes, eof: false, requests: &[], offered_upgrade: false })
}

fn client(requests: &[&str], bytes: &[u8]) -> Vec<Event> {
    read(&Input { role: Role::Client, bytes, eof: false, requests, offered_upgrade: false })
}

fn fields(pairs: &[(&str, &str)]) -> Vec<Field> {
    pairs.iter().map(|(n, v)| (n.as_bytes().to_vec(), v.as_bytes().to_vec())).collect()
}

fn end() -> Event {
    Event::End { trailers: Vec::new() }
}

fn verdict(events: &[Event]) -> Option<(bool, &'static str)> {
    events.iter().rev().find_map(|event| match event {
        Event::Persistence { persist, rule } => Some((*persist, *rule)),
        _ => None,
    })
}

fn error(status: u16) -> Event {
    Event::Error { status: Some(status) }
}

const G: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

fn post(field_lines: &str, rest: &str) -> Vec<u8> {
    format!("POST / HTTP/1.1\r\nHost: a\r\n{field_lines}\r\n\r\n{rest}").into_bytes()
}

#[test]
fn scenario_1_in_full() {
    let request = Event::Request {
        method: "GET".into(),
        target: b"/".to_vec(),
        version: "1.1".into(),
        fields: fields(&[("Host", "a")]),
        framing: Framing::None,
        expect: false,
        upgrade: false,
    };
    let persists = Event::Persistence { persist: true, rule: "S1.3" };
    assert_eq!(server(G), [request, end(), persists]);
}

#[test]
fn scenario_60_in_full() {
    let response = Event::Response {
        status: 200,
        reason: b"OK".to_vec(),
        version: "1.1".into(),
        fields: fields(&[("Content-Length", "2")]),
        framing: Framing::Length(2),
        interim: false,
    };
    let persists = Event::Persistence { persist: true, rule: "S2.1" };
    assert_eq!(
        client(&["GET"], b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab"),
        [response, Event::Content(b"ab".to_vec()), end(), persists]
    );
}

#[test]
fn scenarios_2_to_13_verdicts() {
    let cases: &[(&str, (bool, &str))] = &[
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: Keep-Alive\r\n\r\n", (true, "S1.3")),
        ("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", (true, "S1.3")),
        ("GET / HTTP/1.0\r\n\r\n", (false, "S1.3-5")),
        (
            "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET / HTTP/1.0\r\n\r\n",
            (false, "S1.3-5"),
        ),
        (
            "GET / HTTP/1.0\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n",
            (false, "S1.3-4"),
        ),
        (
            "GET / HTTP/1.0\r\nConnection: close\r\nConnection: keep-alive\r\n\r\n",
            (false, "S1.3-4"),
        ),
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: not-close\r\n\r\n", (true, "S1.3")),
        ("GET / HTTP/1.0\r\nConnection: foo, KEEP-ALIVE ,\r\n\r\n", (true, "S1.3")),
        ("GET / HTTP/1.7\r\nHost: a\r\n\r\n", (true, "S1.3")),
    ];
    for (bytes, expected) in cases {
        assert_eq!(verdict(&server(bytes.as_bytes())), Some(*expected), "{bytes:?}");
    }
}

#[test]
fn errors_of_scenarios_14_and_47_to_57() {
    let whole_heads: &[(Vec<u8>, u16)] = &[
        (b"GET / HTTP/2.0\r\n".to_vec(), 505),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), 505),
        (b"GET /\r\n".to_vec(), 400),
        (b"GET / HTTP/1.10\r\n".to_vec(), 400),
        (post("Transfer-Encoding: chunked\r\nContent-Length: 3", ""), 400),
        (b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec(), 400),
        (post("Transfer-Encoding: gzip, chunked", ""), 501),
        (post("Transfer-Encoding: ,chunked", ""), 400),
        (post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", ""), 400),
        (post("Content-Length: +5", ""), 400),
        (post("Content-Length: 0x5", ""), 400),
        (post("Content-Length:", ""), 400),
        (post("Content-Length: 5,6", ""), 400),
    ];
    for (bytes, status) in whole_heads {
        assert_eq!(server(bytes), [error(*status)], "{}", String::from_utf8_lossy(bytes));
    }
    for chunk in ["0_2e\r\n", "0x5\r\n", "\r\n", "00000000000000005\r\n", "5\n", "2;a=b\r\r"] {
        let events = server(&post("Transfer-Encoding: chunked", chunk));
        assert_eq!(events[1..], [error(400)], "{chunk:?}");
    }
}

#[test]
fn scenario_53_counts_decimal() {
    let events = server(&post("Content-Length: 010", "0123456789GET"));
    assert_eq!(events[1], Event::Content(b"0123456789".to_vec()));
    assert_eq!(events.last(), Some(&Event::Incomplete(Part::Head)));
}

#[test]
fn scenario_58_counts_as_go_does() {
    // 102 octets of line and two CRLFs, less 16 and twice the one octet of data: 88 a chunk
    let chunk = format!("1;{}\r\ny\r\n", "x".repeat(100));
    const { assert!(186 * 88 <= MAX_CHUNK_EXCESS && 187 * 88 > MAX_CHUNK_EXCESS) };
    let read_chunks = |n: usize| {
        server(&post("Transfer-Encoding: chunked", &format!("{}0\r\n\r\n", chunk.repeat(n))))
    };
    assert_eq!(verdict(&read_chunks(186)), Some((true, "S1.3")));
    assert_eq!(read_chunks(187).last(), Some(&error(413)));
    let tiny = "1\r\ny\r\n".repeat(100_000) + "0\r\n\r\n";
    assert_eq!(verdict(&server(&post("Transfer-Encoding: chunked", &tiny))), Some((true, "S1.3")));
}

#[test]
fn scenarios_59_118_119_trailers() {
    let trailers = "0\r\nContent-Length: 9\r\nConnection: close\r\nContent-Digest: x\r\n\r\n";
    let events = server(&post("Transfer-Encoding: chunked", trailers));
    assert_eq!(events[1], Event::End { trailers: fields(&[("Content-Digest", "x")]) });
    assert_eq!(verdict(&events), Some((true, "S1.3")));
}

#[test]
fn scenario_40_ignores_the_rest() {
    let mut bytes = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".to_vec();
    bytes.extend_from_slice(G);
    let events = server(&bytes);
    assert_eq!(events.len(), 4);
    assert_eq!(events[2], Event::Persistence { persist: false, rule: "S1.3-4" });
    assert_eq!(events[3], Event::Ignored(G.to_vec()));
}

#[test]
fn scenario_45_tunnels() {
    let events = server(b"CONNECT h:443 HTTP/1.1\r\nHost: h\r\n\r\n\x16\x03");
    assert_eq!(
        events[1..],
        [
            end(),
            Event::Persistence { persist: false, rule: "S1.3-1" },
            Event::Tunnel(vec![0x16, 3])
        ]
    );
}

#[test]
fn scenario_114_blank_lines() {
    let with = |n: usize| [&b"\r\n".repeat(n)[..], G].concat();
    assert_eq!(verdict(&server(&with(4))), Some((true, "S1.3")));
    assert_eq!(server(&with(5)), [error(400)]);
    assert_eq!(server(b"\r\n\r\n"), []);
    assert_eq!(server(b"\r\n\r"), [Event::Incomplete(Part::Head)]);
}

#[test]
fn the_thousandth_request_closes() {
    let events = server(&G.repeat(1001));
    assert_eq!(events.len(), 3001);
    assert_eq!(events[2999], Event::Persistence { persist: false, rule: "S1.3-9" });
    assert_eq!(events[3000], Event::Ignored(G.to_vec()));
}

#[test]
fn limits_are_exact() {
    let head = |size: usize| {
        let empty = "GET / HTTP/1.1\r\nHost: a\r\nX: \r\n\r\n".len();
        let value = "x".repeat(size - empty);
        format!("GET / HTTP/1.1\r\nHost: a\r\nX: {value}\r\n\r\n").into_bytes()
    };
    assert_eq!(verdict(&server(&head(MAX_HEAD))), Some((true, "S1.3")));
    assert_eq!(server(&head(MAX_HEAD + 1)), [error(431)]);
    // one octet less than the limit is not yet too much, without an end
    assert_eq!(server(&head(MAX_HEAD + 9)[..MAX_HEAD]), [Event::Incomplete(Part::Head)]);

    let chunk = |line: usize| {
        let chunks = format!("1;{}\r\ny\r\n0\r\n\r\n", "x".repeat(line - 2));
        server(&post("Transfer-Encoding: chunked", &chunks))
    };
    assert_eq!(verdict(&chunk(MAX_CHUNK_LINE)), Some((true, "S1.3")));
    assert_eq!(chunk(MAX_CHUNK_LINE + 1).last(), Some(&error(400)));

    let trailers = |size: usize| {
        let section = format!("0\r\nX: {}\r\n\r\n", "y".repeat(size - 7));
        server(&post("Transfer-Encoding: chunked", &section))
    };
    assert_eq!(verdict(&trailers(MAX_TRAILERS)), Some((true, "S1.3")));
    assert_eq!(trailers(MAX_TRAILERS + 1).last(), Some(&error(431)));

    let lines = |n: usize| format!("0\r\n{}\r\n", "X: y\r\n".repeat(n));
    let asked = |n: usize| server(&post("Transfer-Encoding: chunked", &lines(n)));
    assert_eq!(verdict(&asked(MAX_REQUEST_FIELDS)), Some((true, "S1.3")));
    assert_eq!(asked(MAX_REQUEST_FIELDS + 1).last(), Some(&error(431)));
    let answered = |n: usize| {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        client(&["GET"], format!("{head}{}", lines(n)).as_bytes())
    };
    assert_eq!(verdict(&answered(MAX_RESPONSE_FIELDS)), Some((true, "S2.1")));
    let many = answered(MAX_RESPONSE_FIELDS + 1);
    assert_eq!(many.last(), Some(&Event::Error { status: None }));
}

#[test]
fn every_prefix_agrees_with_the_whole() {
    // What is printed for a prefix is, but for its last event and for content, a prefix of what is
    // printed for all.
    let stream: Vec<u8> = [
        &b"\r\nPOST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"[..],
        b"3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nX: y\r\n\r\n",
        b"POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n1234",
        b"GET /c HTTP/1.0\r\n\r\nrest",
    ]
    .concat();
    let all = server(&stream);
    assert_eq!(all.len(), 12);
    for length in 0..stream.len() {
        let mut some = server(&stream[..length]);
        if let Some(Event::Incomplete(_)) = some.last() {
            some.pop();
        }
        for (at, (event, of_all)) in some.iter().zip(&all).enumerate() {
            match (event, of_all) {
                (Event::Content(a), Event::Content(b)) | (Event::Ignored(a), Event::Ignored(b)) => {
                    assert!(b.starts_with(a), "{length} {at}");
                }
                _ => assert_eq!(event, of_all, "{length} {at}"),
            }
        }
    }
}

#[test]
fn scenarios_61_to_67_verdicts() {
    let with = |version: &str, lines: &str| {
        let head = format!("HTTP/{version} 200 OK\r\nContent-Length: 0\r\n{lines}\r\n");
        verdict(&client(&["GET"], head.as_bytes()))
    };
    let hint =
        |value: &str| with("1.1", &format!("Connection: keep-alive\r\nKeep-Alive: {value}\r\n"));
    assert_eq!(hint("timeout=5"), Some((true, "S2.1")));
    assert_eq!(hint("timeout=1"), Some((true, "S2.3")));
    assert_eq!(hint("timeout=0"), Some((false, "S2.3")));
    assert_eq!(hint("max=0"), Some((false, "S2.3")));
    assert_eq!(hint("timeout=abc, max=3"), Some((true, "S2.1")));
    assert_eq!(hint("timeout=99999999999"), Some((true, "S2.1")));
    assert_eq!(hint("timeout=99999999999999999999999"), Some((true, "S2.1")));
    assert_eq!(hint("x=\"a,timeout=0\""), Some((true, "S2.1")));
    assert_eq!(with("1.0", ""), Some((false, "S2.5")));
    assert_eq!(with("1.0", "Connection: keep-alive\r\n"), Some((true, "S2.1")));
    assert_eq!(with("1.1", "Connection: close\r\n"), Some((false, "S2.1")));
}

#[test]
fn scenarios_69_to_72_surplus() {
    const R: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    let with = |surplus: &[u8]| {
        let events = client(&["GET"], &[R, surplus].concat());
        (verdict(&events).unwrap(), events[3..].to_vec())
    };
    let ignored = |bytes: &[u8]| ((false, "S2.5"), vec![Event::Ignored(bytes.to_vec())]);
    assert_eq!(with(b""), ((true, "S2.1"), vec![]));
    assert_eq!(with(b"\r\n"), ((true, "S2.1"), vec![]));
    assert_eq!(with(b"\r\n\r\n\r\n\r\n"), ((true, "S2.1"), vec![]));
    assert_eq!(with(b"\r\n\r\n\r\n\r\n\n"), ignored(b"\n"));
    assert_eq!(with(b"\r\n\r\n\r\n\r\n\nx"), ignored(b"\nx"));
    assert_eq!(with(b"\r\nx\r\n"), ignored(b"x\r\n"));
    assert_eq!(with(R), ignored(R));
}

#[test]
fn scenarios_82_83_124_interim() {
    let interim = b"HTTP/1.1 103 E\r\n\r\n";
    let events = client(&["GET"], &interim.repeat(65));
    assert_eq!(events.len(), 65);
    assert_eq!(events[64], Event::Error { status: None });
    let bytes = b"HTTP/1.1 101 S\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nab";
    assert_eq!(client(&["GET"], bytes), [Event::Error { status: None }]);
    let offered = read(&Input {
        role: Role::Client,
        bytes,
        eof: false,
        requests: &["GET"],
        offered_upgrade: true,
    });
    assert_eq!(
        offered[1..],
        [end(), Event::Persistence { persist: false, rule: "S2.1" }, Event::Tunnel(b"ab".to_vec())]
    );
    let close = b"HTTP/1.1 103 E\r\nConnection: close\r\n\r\nHTTP/1.1 204 N\r\n\r\n";
    assert_eq!(verdict(&client(&["GET"], close)), Some((false, "S2.1")));
}

#[test]
fn close_delimited_needs_the_end() {
    let bytes = b"HTTP/1.1 200 OK\r\n\r\nab";
    let events = client(&["GET"], bytes);
    assert_eq!(events[1..], [Event::Content(b"ab".to_vec()), Event::Incomplete(Part::Content)]);
    let ended = read(&Input {
        role: Role::Client,
        bytes,
        eof: true,
        requests: &["GET"],
        offered_upgrade: false,
    });
    assert_eq!(
        ended[1..],
        [
            Event::Content(b"ab".to_vec()),
            end(),
            Event::Persistence { persist: false, rule: "S2.5" }
        ]
    );
}

#[test]
fn framing_of_requests_by_enumeration() {
    // Every combination, against the sentences of RFC 9112 §6.3 put another way round.
    let tes =
        [Te::Absent, Te::ChunkedAlone, Te::UnknownThenChunked, Te::FinalNotChunked, Te::Malformed];
    let cls = [Cl::Absent, Cl::Single(0), Cl::Single(5), Cl::Repeated(5), Cl::Invalid];
    for te in tes {
        for cl in cls {
            for version_1_0 in [false, true] {
                for connect in [false, true] {
                    let result = framing_request(RequestFraming { connect, version_1_0, te, cl });
                    match result {
                        Ok(Framing::Chunked) => {
                            assert!(!connect && !version_1_0);
                            assert!(te == Te::ChunkedAlone && cl == Cl::Absent);
                        }
                        Ok(Framing::Length(n)) => {
                            assert!(!connect && te == Te::Absent && cl == Cl::Single(n));
                        }
                        Ok(Framing::None) => {
                            assert!(te == Te::Absent);
                            assert!(cl == Cl::Absent || (connect && cl == Cl::Single(0)));
                        }
                        Err(501) => {
                            assert!(!connect && !version_1_0);
                            assert!(te == Te::UnknownThenChunked && cl == Cl::Absent);
                        }
                        other => assert_eq!(other, Err(400)),
                    }
                }
            }
        }
    }
}

#[test]
fn the_first_matching_row_is_reported() {
    let all = ServerFacts {
        tunnel: true,
        own_error: true,
        connect_refused: true,
        close_option: true,
        ..ServerFacts::default()
    };
    assert_eq!(server_verdict(all), (false, "S1.3-1"));
    assert_eq!(server_verdict(ServerFacts { tunnel: false, ..all }), (false, "S1.3-2"));
    assert_eq!(server_verdict(ServerFacts::default()), (true, "S1.3"));
    let last = ServerFacts { response_failed: true, peer_closed: true, ..ServerFacts::default() };
    assert_eq!(server_verdict(last), (false, "S1.3-15"));
    assert_eq!(client_verdict(ClientFacts::default()), (true, "S2.1"));
}
