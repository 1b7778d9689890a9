//! Intermediaries (S9): a relay made of the two machines and `forward`, and relays that understand
//! nothing. All in memory and in virtual time, with bytes in pieces of any size and one by one.
#![allow(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "relay/blind.rs"]
mod blind;
#[path = "relay/net.rs"]
mod net;
#[path = "relay/smart.rs"]
mod smart;

use blind::{Blind, BlindRelay, Browser, Legacy, Origin};
use keepalive::forward::{self, Hop, Passage, Refusal};
use keepalive::{
    CloseReason, Content, Instant, RequestHead, ResponseHead, Version, client, server,
};
use net::{Act, Net, Node, Raw, RawServer, run, send};
use smart::Relay;
use std::time::Duration;

const CLIENT: u16 = 1;
const SERVER: u16 = 2;
/// Whole, in small pieces, and byte by byte.
const CUTS: [usize; 4] = [usize::MAX, 64, 7, 1];

/// A relay to be tried: where it stands, and between whom.
#[derive(Clone)]
struct Setup {
    hop: Hop<'static>,
    server: server::Config,
    client: client::Config,
}

fn gateway() -> Setup {
    let hop = Hop::to_origin("edge").unwrap();
    Setup { hop, server: server::Config::origin(), client: client::Config::direct() }
}

fn proxy() -> Setup {
    Setup { server: server::Config::proxy(), ..gateway() }
}

/// What came out at both ends.
struct Outcome {
    /// What the client got, and how it ended.
    client: String,
    reset: bool,
    /// What came on each connection to the server.
    server: Vec<String>,
    retries: usize,
    took: Duration,
}

impl Outcome {
    fn count(&self, what: &str) -> usize {
        self.client.matches(what).count()
    }
}

/// Runs one client and some connections of a server against each other, at every cut, and lets
/// `check` look at what came out.
fn relayed(setup: &Setup, client: &[Act], server: &[&[Act]], check: impl Fn(&Outcome)) {
    for cut in CUTS {
        let mut net = Net::new(cut);
        let mut raw = Raw::new(net.dial(CLIENT), client.iter().cloned());
        let mut origin = RawServer::new(SERVER, server.iter().map(|s| s.to_vec()));
        let mut relay = Relay::new((CLIENT, SERVER), setup.hop, setup.server, setup.client);
        let took = run(&mut net, &mut [&mut raw, &mut origin, &mut relay]);
        assert_eq!(origin.conns.len(), server.len(), "connections to the server, cut {cut}");
        let outcome = Outcome {
            client: raw.text(),
            reset: raw.reset,
            server: (0..server.len()).map(|n| origin.got(n)).collect(),
            retries: relay.retries,
            took,
        };
        check(&outcome);
    }
}

/// The content of a chunked message, and its trailer section.
fn dechunk(message: &str) -> Option<(String, String)> {
    let mut content = String::new();
    let trailers = chunks(message, &mut content)?;
    Some((content, trailers))
}

/// Adds the chunks of a message to `content`. The trailer section, if it gets as far as that.
fn chunks(message: &str, content: &mut String) -> Option<String> {
    let (_, mut rest) = message.split_once("\r\n\r\n")?;
    loop {
        let (size, after) = rest.split_once("\r\n")?;
        let size = usize::from_str_radix(size, 16).ok()?;
        if size == 0 {
            let trailers = after.strip_suffix("\r\n")?;
            return Some(trailers.to_owned());
        }
        content.push_str(after.get(..size)?);
        rest = after.get(size..)?.strip_prefix("\r\n")?;
    }
}

fn get(fields: &str) -> Act {
    send(&format!("GET /x HTTP/1.1\r\nHost: h\r\n{fields}\r\n"))
}

const OK: &str = "HTTP/1.1 200 OK\r\nDate: now\r\nContent-Length: 2\r\n\r\nok";

// ---- (a) content, both ways ----

#[test]
fn a_length_stays_a_length_and_both_sides_persist() {
    let client = [
        send("POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"),
        Act::Await("\r\n\r\nok"),
        get(""),
        Act::Await("\r\n\r\nok"),
    ];
    let server = [Act::Await("hello"), send(OK), Act::Await("\r\n\r\n"), send(OK)];
    relayed(&gateway(), &client, &[&server], |o| {
        assert_eq!(
            o.server[0],
            "POST /x HTTP/1.1\r\nHost: h\r\nVia: 1.1 edge\r\nConnection: keep-alive\r\n\
             Content-Length: 5\r\n\r\nhello\
             GET /x HTTP/1.1\r\nHost: h\r\nVia: 1.1 edge\r\nConnection: keep-alive\r\n\r\n"
        );
        let one = "HTTP/1.1 200 OK\r\nDate: now\r\nVia: 1.1 edge\r\nContent-Length: 2\r\n\r\nok";
        assert_eq!(o.client, [one, one].concat());
    });
}

#[test]
fn chunks_go_both_ways_with_trailers() {
    let client = [
        send("POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"),
        send("5;ext=1\r\nhello\r\n6\r\n world\r\n0\r\nX-Sum: 11\r\n\r\n"),
        Act::Await("0\r\nY-Sum: 4\r\n\r\n"),
    ];
    let server = [
        Act::Await("X-Sum: 11\r\n\r\n"),
        send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Y-Sum\r\n\r\n"),
        send("4\r\nfine\r\n0\r\nY-Sum: 4\r\nContent-Length: 9\r\n\r\n"),
    ];
    relayed(&gateway(), &client, &[&server], |o| {
        assert!(o.server[0].contains("\r\nTransfer-Encoding: chunked\r\n"));
        let (content, trailers) = dechunk(&o.server[0]).unwrap();
        assert_eq!((&content[..], &trailers[..]), ("hello world", "X-Sum: 11\r\n"));
        let (content, trailers) = dechunk(&o.client).unwrap();
        assert_eq!((&content[..], &trailers[..]), ("fine", "Y-Sum: 4\r\n"));
        assert!(o.client.contains("Trailer: Y-Sum\r\n"));
    });
}

#[test]
fn content_beyond_all_buffers_flows_both_ways() {
    let big = "0123456789abcdef".repeat(3000);
    let piece = format!("{:x}\r\n{big}\r\n0\r\n\r\n", big.len());
    let client = [
        send("POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"),
        send(&piece),
        Act::Await("0\r\n\r\n"),
    ];
    // The response begins while the request is on its way.
    let server = [
        Act::Await("\r\n\r\n"),
        send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        send(&piece),
        Act::Await("0\r\n\r\n"),
    ];
    relayed(&gateway(), &client, &[&server], |o| {
        assert!(dechunk(&o.server[0]).unwrap().0 == big && dechunk(&o.client).unwrap().0 == big);
        assert!(!o.client.contains("close"));
    });
}

#[test]
fn pipelined_requests_go_on_one_after_another() {
    let gets = (0..5).map(|n| format!("GET /{n} HTTP/1.1\r\nHost: h\r\n\r\n"));
    let client = [send(&gets.collect::<String>()), Act::Await("\r\n\r\n4")];
    let server: Vec<Act> = (0..5)
        .flat_map(|n| {
            let ok = format!("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{n}");
            [Act::Await("\r\n\r\n"), send(&ok)]
        })
        .collect();
    relayed(&gateway(), &client, &[&server], |o| {
        for n in 0..5 {
            assert!(o.server[0].contains(&format!("GET /{n} ")));
            assert_eq!(o.count(&format!("\r\n\r\n{n}")), 1);
        }
    });
}

#[test]
fn scenario_91_close_delimited_upstream_is_chunked_for_1_1_and_persists() {
    let client = [get(""), Act::Await("0\r\n\r\n"), get(""), Act::Await("\r\n\r\nok")];
    let first = [Act::Await("\r\n\r\n"), send("HTTP/1.0 200 OK\r\n\r\nall there is"), Act::Close];
    let second = [Act::Await("\r\n\r\n"), send(OK)];
    relayed(&gateway(), &client, &[&first, &second], |o| {
        let (head, _) = o.client.split_once("\r\n\r\n").unwrap();
        assert!(head.contains("Via: 1.0 edge") && head.contains("Transfer-Encoding: chunked"));
        assert!(!head.contains("close"), "the client's connection goes on");
        let first = &o.client[..o.client.rfind("HTTP/1.1").unwrap()];
        assert_eq!(dechunk(first).unwrap().0, "all there is");
        assert!(o.client.ends_with("\r\n\r\nok"));
    });
}

#[test]
fn chunked_upstream_to_a_1_0_client_is_decoded_and_ends_with_the_connection() {
    let client = [send("GET /x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")];
    let server = [
        Act::Await("\r\n\r\n"),
        send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        send("4\r\nfine\r\n0\r\nX-Sum: 4\r\n\r\n"),
    ];
    relayed(&gateway(), &client, &[&server], |o| {
        let (head, content) = o.client.split_once("\r\n\r\n").unwrap();
        assert!(head.contains("Connection: close") && !head.contains("Transfer-Encoding"));
        assert_eq!(content, "fine");
        assert!(!o.reset);
        // A request without Host goes on with an empty one, and its own version in Via.
        assert!(o.server[0].starts_with("GET /x HTTP/1.1\r\nHost: \r\nVia: 1.0 edge\r\n"));
    });
}

#[test]
fn scenario_90_an_upstream_that_breaks_off_is_not_made_whole() {
    let ways: [(&str, &[Act]); 3] = [
        ("Transfer-Encoding: chunked\r\n\r\n4\r\nfine\r\n", &[Act::Close]),
        ("Content-Length: 9\r\n\r\nfine", &[Act::Close]),
        ("\r\nfine", &[Act::Reset]),
    ];
    for (content, end) in ways {
        let client = [get("")];
        let head = format!("HTTP/1.1 200 OK\r\n{content}");
        let mut server = vec![Act::Await("\r\n\r\n"), send(&head), Act::Sleep(1)];
        server.extend_from_slice(end);
        relayed(&gateway(), &client, &[&server], |o| {
            assert!(o.reset, "aborted, not closed: {content}");
            assert!(o.client.contains("HTTP/1.1 200 OK") && !o.client.contains("0\r\n\r\n"));
        });
    }
}

#[test]
fn a_client_that_breaks_off_is_not_made_whole_either() {
    for framing in
        ["Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", "Content-Length: 9\r\n\r\nhalf"]
    {
        let request = format!("POST /x HTTP/1.1\r\nHost: h\r\n{framing}");
        let client = [send(&request), Act::Sleep(1), Act::Shut];
        relayed(&gateway(), &client, &[&[]], |o| {
            let mut content = String::new();
            assert_eq!(chunks(&o.server[0], &mut content), None, "no last chunk");
            assert!(content == "half" || o.server[0].ends_with("\r\n\r\nhalf"));
            assert_eq!(o.client, "", "silent (S6.5)");
        });
    }
}

#[test]
fn head_and_304_keep_the_length_that_a_get_would_have() {
    let client = [
        send("HEAD /x HTTP/1.1\r\nHost: h\r\n\r\n"),
        Act::Await("\r\n\r\n"),
        get("If-None-Match: x\r\n"),
        Act::Await("\r\n\r\n"),
        get(""),
        Act::Await("\r\n\r\nok"),
    ];
    let server = [
        Act::Await("\r\n\r\n"),
        send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"),
        Act::Await("\r\n\r\n"),
        send("HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\nETag: x\r\n\r\n"),
        Act::Await("\r\n\r\n"),
        send(OK),
    ];
    relayed(&gateway(), &client, &[&server], |o| {
        assert!(o.client.starts_with(
            "HTTP/1.1 200 OK\r\nVia: 1.1 edge\r\nContent-Length: 10\r\n\r\n\
             HTTP/1.1 304 Not Modified\r\nETag: x\r\nVia: 1.1 edge\r\nContent-Length: 10\r\n\r\n\
             HTTP/1.1 200 OK\r\n"
        ));
    });
}

#[test]
fn a_205_with_content_goes_on_without() {
    let client = [get(""), Act::Await("\r\n\r\n"), get(""), Act::Await("\r\n\r\nok")];
    let server = [
        Act::Await("\r\n\r\n"),
        send("HTTP/1.1 205 Reset Content\r\nContent-Length: 4\r\n\r\nwhat"),
        Act::Await("\r\n\r\n"),
        send(OK),
    ];
    relayed(&gateway(), &client, &[&server], |o| {
        assert!(!o.client.contains("what") && o.client.contains("Content-Length: 0\r\n\r\nHTTP"));
    });
}

#[test]
fn chunked_to_a_1_0_upstream_is_collected_or_refused() {
    let setup = Setup {
        hop: gateway().hop.http10(true),
        client: client::Config::direct().http10(true),
        ..gateway()
    };
    let client = [
        send("POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"),
        send("5\r\nhello\r\n0\r\nX-Sum: 5\r\n\r\n"),
        Act::Await("\r\n\r\n"),
    ];
    relayed(&setup, &client, &[], |o| assert!(o.client.starts_with("HTTP/1.1 411 ")));
    let setup = Setup { hop: setup.hop.buffers(true), ..setup };
    let server = [Act::Await("hello"), send("HTTP/1.0 200 OK\r\n\r\nok"), Act::Close];
    relayed(&setup, &client, &[&server], |o| {
        assert_eq!(
            o.server[0],
            "POST /x HTTP/1.0\r\nHost: h\r\nVia: 1.1 edge\r\nConnection: keep-alive\r\n\
             Content-Length: 5\r\n\r\nhello"
        );
    });
}

#[test]
fn persistence_on_one_side_is_not_the_others_affair() {
    // The server closes after each; the client does not notice.
    let client = [get(""), Act::Await("\r\n\r\nok"), get(""), Act::Await("\r\n\r\nok")];
    let close = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok";
    let server = [Act::Await("\r\n\r\n"), send(close), Act::Close];
    relayed(&gateway(), &client, &[&server, &server], |o| {
        assert_eq!((o.count("\r\n\r\nok"), o.count("close")), (2, 0));
    });
    // The client closes; the server's connection serves the next client.
    for cut in CUTS {
        let mut net = Net::new(cut);
        let once = [get("Connection: close\r\n"), Act::Await("\r\n\r\nok")];
        let mut one = Raw::new(net.dial(CLIENT), once.clone());
        let later = [Act::Sleep(2)].into_iter().chain(once);
        let mut two = Raw::new(net.dial(CLIENT), later);
        let twice = [Act::Await("\r\n\r\n"), send(OK), Act::Await("\r\n\r\n"), send(OK)];
        let mut origin = RawServer::new(SERVER, [twice.to_vec()]);
        let s = gateway();
        let mut relay = Relay::new((CLIENT, SERVER), s.hop, s.server, s.client);
        run(&mut net, &mut [&mut one, &mut two, &mut origin, &mut relay]);
        assert!(one.text().contains("Connection: close") && two.text().contains("close"));
        assert_eq!(origin.got(0).matches("GET ").count(), 2);
        assert!(!origin.got(0).contains("close"));
    }
}

// ---- (a) scenarios ----

#[test]
fn scenarios_87_93_144_nominated_and_connection_fields_stay() {
    let client = [
        get("Connection: close, X-Foo\r\nX-Foo: 1\r\nConnection: Trailer\r\nTrailer: X\r\n\
             Keep-Alive: timeout=9\r\nProxy-Connection: keep-alive\r\nTE: gzip\r\nUpgrade: a\r\n\
             Cookie: c\r\nX-Foot: 2\r\n"),
        Act::Await("\r\n\r\nok"),
    ];
    let answer = "HTTP/1.1 200 OK\r\nConnection: X-Bar, Set-Cookie\r\nX-Bar: 1\r\nSet-Cookie: a\r\n\
        Proxy-Connection: keep-alive\r\nKeep-Alive: timeout=3\r\nUpgrade: h2c\r\n\
        Content-Length: 2\r\n\r\nok";
    let server = [Act::Await("\r\n\r\n"), send(answer)];
    relayed(&gateway(), &client, &[&server], |o| {
        assert_eq!(
            o.server[0],
            "GET /x HTTP/1.1\r\nHost: h\r\nCookie: c\r\nX-Foot: 2\r\nVia: 1.1 edge\r\n\
             Connection: keep-alive\r\n\r\n"
        );
        assert_eq!(
            o.client,
            "HTTP/1.1 200 OK\r\nSet-Cookie: a\r\nVia: 1.1 edge\r\nConnection: close\r\n\
             Content-Length: 2\r\n\r\nok"
        );
    });
}

#[test]
fn scenario_88_a_protected_field_cannot_be_nominated() {
    for option in ["X-Forwarded-For", "foo, host", "COOKIE", "close, content-length", "via"] {
        let fields = format!("Connection: {option}\r\n");
        relayed(&gateway(), &[get(&fields)], &[], |o| {
            assert!(o.client.starts_with("HTTP/1.1 400 "), "{option}: {}", o.client);
        });
    }
}

#[test]
fn scenario_89_a_forward_proxy_does_not_keep_1_0_clients() {
    let request = send("GET http://h/x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    let server = [Act::Await("\r\n\r\n"), send(OK)];
    relayed(&proxy(), &[request], &[&server], |o| {
        assert!(o.client.contains("Connection: close") && !o.client.contains("Keep-Alive"));
        assert!(o.server[0].starts_with("GET /x HTTP/1.1\r\nHost: h\r\n"));
    });
    // 95: at a gateway they are kept.
    let request = send("GET /x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    let client = [request, Act::Await("\r\n\r\nok"), Act::Shut];
    relayed(&gateway(), &client, &[&server], |o| {
        assert!(o.client.contains("Connection: keep-alive") && o.client.contains("Keep-Alive: "));
    });
}

#[test]
fn scenario_92_an_origin_does_not_trust_keep_alive_behind_via() {
    let now = Instant::default();
    let mut conn = server::Connection::new(&server::Config::origin(), now);
    let bytes = b"GET / HTTP/1.0\r\nVia: 1.0 old\r\nConnection: keep-alive\r\n\r\n";
    assert_eq!(conn.receive(now, bytes, usize::MAX).consumed, bytes.len());
    conn.check_invariants();
    assert!(!conn.persistence().persists());
}

#[test]
fn scenarios_140_141_a_post_is_not_sent_twice() {
    let post = "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi";
    let client = [get(""), Act::Await("\r\n\r\nok"), send(post), Act::Await("\r\n\r\n")];
    // 140: the idle connection is closed as the request comes.
    let server = [Act::Await("\r\n\r\n"), send(OK), Act::Await("hi"), Act::Close];
    relayed(&gateway(), &client, &[&server], |o| {
        assert!(o.client.contains("HTTP/1.1 502 Bad Gateway\r\n"));
        assert_eq!((o.retries, o.server[0].matches("hi").count()), (0, 1));
    });
    // 141: a 408 to it is passed on.
    let timeout = "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    let server = [Act::Await("\r\n\r\n"), send(OK), Act::Await("hi"), send(timeout), Act::Close];
    relayed(&gateway(), &client, &[&server], |o| {
        assert!(o.client.contains("HTTP/1.1 408 Request Timeout\r\n"));
        assert_eq!(o.retries, 0);
    });
    // A GET is sent once more, on a new connection, and the client sees nothing of it.
    let client = [get(""), Act::Await("\r\n\r\nok"), get(""), Act::Await("\r\n\r\nok")];
    let first = [Act::Await("\r\n\r\n"), send(OK), Act::Await("GET"), Act::Close];
    let second = [Act::Await("\r\n\r\n"), send(OK)];
    relayed(&gateway(), &client, &[&first, &second], |o| {
        assert_eq!((o.retries, o.count("\r\n\r\nok")), (1, 2));
    });
}

const EXPECTING: &str =
    "POST /x HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";

#[test]
fn scenario_142_an_expectation_is_relayed_and_so_is_the_100() {
    for setup in [gateway(), proxy()] {
        let client = [
            send(EXPECTING),
            Act::Await("100 Continue\r\n"),
            send("hello"),
            Act::Await("\r\n\r\nok"),
        ];
        let server = [
            Act::Await("\r\n\r\n"),
            Act::Sleep(0),
            send("HTTP/1.1 100 Continue\r\nX: 1\r\n\r\n"),
            Act::Await("hello"),
            send(OK),
        ];
        relayed(&setup, &client, &[&server], |o| {
            assert!(o.server[0].contains("Expect: 100-continue\r\n"));
            assert_eq!(o.count("100 Continue"), 1, "none of our own");
            assert!(o.client.contains("X: 1\r\nVia: 1.1 edge\r\n\r\nHTTP/1.1 200"));
            assert!(!o.client.contains("close"), "and it persists");
        });
    }
}

#[test]
fn an_expectation_that_is_refused_closes_on_both_sides() {
    // What the client sends next is either the content or the next request: nobody can know.
    for setup in [gateway(), proxy()] {
        let client = [send(EXPECTING), Act::Await("403"), Act::Await("\r\n\r\n"), get("")];
        let server =
            [Act::Await("\r\n\r\n"), send("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")];
        relayed(&setup, &client, &[&server], |o| {
            assert_eq!(o.count("HTTP/1.1"), 1);
            assert!(o.client.contains("Connection: close\r\n"), "{}", o.client);
            assert!(!o.server[0].contains("GET"), "{}", o.server[0]);
        });
    }
}

#[test]
fn an_expectation_for_a_1_0_server_is_met_here() {
    for setup in [gateway(), proxy()] {
        let setup = Setup {
            hop: setup.hop.http10(true),
            client: client::Config::direct().http10(true),
            ..setup
        };
        let client = [
            send(EXPECTING),
            Act::Await("100 Continue\r\n"),
            send("hello"),
            Act::Await("\r\n\r\nok"),
        ];
        let server = [Act::Await("hello"), send(OK)];
        relayed(&setup, &client, &[&server], |o| {
            assert!(!o.server[0].contains("Expect") && o.count("100 Continue") == 1);
        });
    }
}

#[test]
fn a_server_that_knows_no_100_gets_the_content_after_a_second() {
    for setup in [gateway(), proxy()] {
        let client = [send(EXPECTING), Act::Sleep(3), send("hello"), Act::Await("\r\n\r\nok")];
        let server = [Act::Await("hello"), send(OK)];
        relayed(&setup, &client, &[&server], |o| {
            assert!(o.server[0].ends_with("hello") && o.took <= IDLE + PROMPT);
        });
    }
}

#[test]
fn interim_responses_go_on_except_to_1_0() {
    let early = "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n";
    let server = [Act::Await("\r\n\r\n"), send(early), send(early), send(OK)];
    relayed(&gateway(), &[get(""), Act::Await("\r\n\r\nok")], &[&server], |o| {
        assert_eq!(o.count("103 Early Hints\r\nLink: a\r\nVia: 1.1 edge\r\n\r\n"), 2);
    });
    let old = [send("GET /x HTTP/1.0\r\n\r\n")];
    relayed(&gateway(), &old, &[&server], |o| {
        assert_eq!((o.count("103"), o.count("200 OK")), (0, 1));
    });
}

/// RFC 9110 §7.2 speaks of requests only: what an origin calls Host is one of its own fields.
#[test]
fn host_in_a_response_means_nothing_and_goes_on() {
    let interim = "HTTP/1.1 103 Early Hints\r\nHost: b d\r\n\r\n";
    let last = "HTTP/1.1 200 OK\r\nHost: a/b\r\nHost: u@c\r\nContent-Length: 2\r\n\r\nok";
    let server = [Act::Await("\r\n\r\n"), send(interim), send(last)];
    relayed(&gateway(), &[get(""), Act::Await("ok")], &[&server], |o| {
        assert!(o.client.starts_with("HTTP/1.1 103 Early Hints\r\nHost: b d\r\n"), "{}", o.client);
        assert!(o.client.contains("HTTP/1.1 200 OK\r\nHost: a/b\r\nHost: u@c\r\n"), "{}", o.client);
        assert!(o.client.ends_with("\r\n\r\nok") && !o.client.contains("close"));
    });
}

#[test]
fn scenario_143_a_websocket_is_tunnelled() {
    let client = [
        get("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c, websocket\r\n\
             HTTP2-Settings: x\r\nSec-WebSocket-Key: k\r\n"),
        send("early"),
        Act::Await("\r\n\r\nhello"),
        send("ping"),
        Act::Await("pong"),
        Act::Shut,
    ];
    let server = [
        Act::Await("\r\n\r\nearly"),
        send(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
              Sec-WebSocket-Accept: a\r\n\r\nhello",
        ),
        Act::Await("ping"),
        send("pong"),
    ];
    // "early" only comes once the tunnel is there: so the server must not wait for it first.
    let mut server = server.to_vec();
    server[0] = Act::Await("\r\n\r\n");
    server.insert(2, Act::Await("early"));
    relayed(&gateway(), &client, &[&server], |o| {
        assert_eq!(
            o.server[0],
            "GET /x HTTP/1.1\r\nHost: h\r\nSec-WebSocket-Key: k\r\nUpgrade: websocket\r\n\
             Via: 1.1 edge\r\nConnection: keep-alive, upgrade\r\n\r\nearlyping"
        );
        assert_eq!(
            o.client,
            "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: a\r\nUpgrade: websocket\r\n\
             Via: 1.1 edge\r\nConnection: upgrade\r\n\r\nhellopong"
        );
    });
    // An upgrade that the server ignores leaves HTTP as it was.
    let client = [
        get("Connection: Upgrade\r\nUpgrade: websocket\r\n"),
        Act::Await("\r\n\r\nok"),
        get(""),
        Act::Await("\r\n\r\nok"),
    ];
    let server = [Act::Await("\r\n\r\n"), send(OK), Act::Await("\r\n\r\n"), send(OK)];
    relayed(&gateway(), &client, &[&server], |o| assert_eq!(o.count("\r\n\r\nok"), 2));
}

#[test]
fn scenario_145_nominated_trailers_stay_in_both_directions() {
    let client = [
        send("POST /x HTTP/1.1\r\nHost: h\r\nConnection: x-sum, TE\r\nTE: trailers\r\n"),
        send("Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: 1\r\nX-Other: 2\r\n\r\n"),
        Act::Await("Y-Other: 2\r\n\r\n"),
    ];
    let server = [
        Act::Await("X-Other: 2\r\n\r\n"),
        send("HTTP/1.1 200 OK\r\nConnection: Y-Sum\r\nTransfer-Encoding: chunked\r\n\r\n"),
        send("2\r\nok\r\n0\r\nY-SUM: 1\r\nY-Other: 2\r\n\r\n"),
    ];
    relayed(&gateway(), &client, &[&server], |o| {
        assert_eq!(dechunk(&o.server[0]).unwrap().1, "X-Other: 2\r\n");
        assert_eq!(dechunk(&o.client).unwrap().1, "Y-Other: 2\r\n");
        assert!(o.server[0].contains("TE: trailers\r\n"));
        assert!(o.server[0].contains("Connection: keep-alive, TE\r\n"));
    });
}

#[test]
fn scenario_146_max_forwards() {
    let trace = |n: &str| send(&format!("TRACE /x HTTP/1.1\r\nHost: h\r\n{n}\r\n"));
    let not = [trace("Max-Forwards: 0\r\n"), Act::Await("\r\n\r\n")];
    relayed(&gateway(), &not, &[], |o| assert!(o.client.starts_with("HTTP/1.1 200 ")));
    for bad in ["Max-Forwards: x\r\n", "Max-Forwards: 1\r\nMax-Forwards: 1\r\n"] {
        relayed(&gateway(), &[trace(bad)], &[], |o| assert!(o.client.contains(" 400 ")));
    }
    let client = [
        trace("Max-Forwards: 010\r\n"),
        Act::Await("\r\n\r\nok"),
        send("OPTIONS * HTTP/1.1\r\nHost: h\r\nMax-Forwards: 1\r\n\r\n"),
        Act::Await("\r\n\r\nok"),
        get("Max-Forwards: 0\r\n"),
        Act::Await("\r\n\r\nok"),
    ];
    let each = [Act::Await("\r\n\r\n"), send(OK)];
    relayed(&gateway(), &client, &[&[each.clone(), each.clone(), each].concat()], |o| {
        let got = &o.server[0];
        assert!(got.starts_with("TRACE /x HTTP/1.1\r\nHost: h\r\nMax-Forwards: 9\r\n"));
        assert!(got.contains("OPTIONS * HTTP/1.1\r\nHost: h\r\nMax-Forwards: 0\r\n"));
        assert!(got.contains("GET /x HTTP/1.1\r\nHost: h\r\nMax-Forwards: 0\r\n"));
    });
}

#[test]
fn scenario_147_a_broken_response_is_a_502() {
    let heads = [
        "HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX : b\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
        "nonsense\r\n",
        "HTTP/1.1 200 O",
    ];
    for head in heads {
        let server = [Act::Await("\r\n\r\n"), send(head), Act::Sleep(1), Act::Shut];
        relayed(&gateway(), &[get(""), Act::Await("\r\n\r\n")], &[&server], |o| {
            assert!(o.client.starts_with("HTTP/1.1 502 Bad Gateway\r\n"), "{head:?} {}", o.client);
        });
    }
    // Silence is a 504.
    let silent = [Act::Await("\r\n\r\n")];
    relayed(&gateway(), &[get(""), Act::Await("\r\n\r\n")], &[&silent], |o| {
        assert!(o.client.starts_with("HTTP/1.1 504 Gateway Timeout\r\n"));
    });
}

#[test]
fn an_early_refusal_stops_the_upload() {
    let long = format!("POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n{:100}", "");
    let refusal =
        "HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno";
    let client = [send(&long), Act::Await("\r\n\r\nno"), send(&long)];
    let server = [Act::Await("    "), send(refusal), Act::Shut];
    relayed(&gateway(), &client, &[&server], |o| {
        assert!(o.client.contains("Connection: close\r\n") && !o.reset);
        assert_eq!(o.server[0].matches("POST").count(), 1);
    });
}

// ---- (a) what forward says by itself ----

fn onward(text: &str, hop: Hop<'_>) -> Result<(String, Vec<String>), Refusal> {
    let head = RequestHead::parse(text.as_bytes()).expect("a valid head");
    let onward = forward::request(&head, &hop)?;
    let target = String::from_utf8_lossy(onward.target()).into_owned();
    Ok((target, onward.lines().map(|line| format!("{line:?}")).collect()))
}

#[test]
fn targets_have_the_form_of_the_next_hop() {
    let (origin, proxy) = (Hop::to_origin("edge").unwrap(), Hop::to_proxy("edge").unwrap());
    let table = [
        ("GET", "/a?b", "/a?b", "/a?b", "other"),
        ("GET", "http://h/a?b", "/a?b", "http://h/a?b", "h"),
        ("GET", "http://h:81", "/", "http://h:81", "h:81"),
        ("GET", "http://[::1]:81/x", "/x", "http://[::1]:81/x", "[::1]:81"),
        ("GET", "http://h?q", "/?q", "http://h?q", "h"),
        ("OPTIONS", "http://h", "*", "http://h", "h"),
        ("OPTIONS", "http://h/", "/", "http://h/", "h"),
        ("OPTIONS", "http://h?q", "/?q", "http://h?q", "h"),
        ("OPTIONS", "*", "*", "*", "other"),
    ];
    for (method, target, to_origin, to_proxy, host) in table {
        let text = format!("{method} {target} HTTP/1.1\r\nHost: other\r\n\r\n");
        for (hop, want) in [(origin, to_origin), (proxy, to_proxy)] {
            let (got, lines) = onward(&text, hop).unwrap();
            assert_eq!(got, want, "{method} {target}");
            assert_eq!(lines, [format!("Host: {host}"), "Via: 1.1 edge".to_owned()]);
        }
    }
    // Put together anew, a target has 256 octets at most, and is as it was towards a proxy.
    let query = |n: usize| {
        let target = format!("?{:q<1$}", "", n - "/?".len());
        (format!("GET http://h{target} HTTP/1.1\r\nHost: h\r\n\r\n"), target)
    };
    let (text, target) = query(256);
    assert_eq!(onward(&text, origin).unwrap().0, format!("/{target}"));
    let (text, target) = query(257);
    assert_eq!(onward(&text, origin), Err(Refusal::TargetTooLong));
    assert_eq!(onward(&text, proxy).unwrap().0, format!("http://h{target}"));
    let connect = "CONNECT h:443 HTTP/1.1\r\nHost: other\r\n\r\n";
    assert_eq!(onward(connect, origin), Err(Refusal::Connect));
    assert_eq!(onward(connect, proxy).unwrap().1[0], "Host: h:443");
}

#[test]
fn loops_are_found_in_any_via() {
    let hop = Hop::to_origin("edge").unwrap();
    let judge = |via: &str| {
        onward(&format!("GET / HTTP/1.1\r\nHost: h\r\n{via}\r\n"), hop).map(|(_, lines)| lines)
    };
    for via in [
        "Via: 1.1 edge\r\n",
        "via: 1.0 a, HTTP/1.1  EDGE (c)\r\n",
        "Via: 1.0 a (\r\nVia: 1.1\tedge\r\n",
    ] {
        assert_eq!(judge(via), Err(Refusal::Loop), "{via}");
    }
    assert_eq!(
        judge("Via: 1.0 edge2, 1.1 a (edge)\r\nVia: edge\r\n").unwrap(),
        ["Host: h", "Via: 1.0 edge2, 1.1 a (edge)", "Via: edge", "Via: 1.1 edge"]
    );
    let minor = onward("GET / HTTP/1.7\r\nHost: h\r\n\r\n", hop).unwrap();
    assert_eq!(minor.1[1], "Via: 1.7 edge");
    // It is how loops are looked into: the count comes first.
    let trace = "TRACE / HTTP/1.1\r\nHost: h\r\nVia: 1.1 edge\r\nMax-Forwards: 0\r\n\r\n";
    assert_eq!(onward(trace, hop), Err(Refusal::LastHop));
    let huge = "TRACE / HTTP/1.1\r\nHost: h\r\nMax-Forwards: 99999999999\r\n\r\n";
    assert_eq!(onward(huge, hop).unwrap().1[1], "Max-Forwards: 4294967294");
}

#[test]
fn pseudonyms_are_names() {
    for good in ["edge", "a.b:80", "[::1]", &"x".repeat(64)] {
        assert!(Hop::to_origin(good).is_some(), "{good}");
    }
    for bad in ["", "a b", "a,b", "a\r\nb", "(a)", &"x".repeat(65)] {
        assert!(Hop::to_proxy(bad).is_none(), "{bad}");
    }
}

#[test]
fn nominations_beyond_the_bound_are_refused_and_malformed_ones_name_nothing() {
    let hop = Hop::to_origin("edge").unwrap();
    let many = |n: usize| (0..n).map(|i| format!("x{i}")).collect::<Vec<_>>().join(", ");
    let request =
        |n| format!("GET / HTTP/1.1\r\nHost: h\r\nConnection: {}\r\nx31: 1\r\n\r\n", many(n));
    assert_eq!(onward(&request(32), hop).unwrap().1, ["Host: h", "Via: 1.1 edge"]);
    assert_eq!(onward(&request(33), hop), Err(Refusal::TooManyOptions));
    let response = format!("HTTP/1.1 204 No Content\r\nConnection: {}\r\n\r\n", many(33));
    let head = ResponseHead::parse(response.as_bytes(), "GET").unwrap();
    assert_eq!(forward::response(&head, &hop).unwrap_err(), Refusal::ResponseOptions);
    let odd = "GET / HTTP/1.1\r\nHost: h\r\nConnection: \"a\", a b, , ,\r\na: 1\r\n\r\n";
    assert_eq!(onward(odd, hop).unwrap().1, ["Host: h", "a: 1", "Via: 1.1 edge"]);
}

#[test]
fn trailers_are_taken_for_the_client_only_where_it_said_so_to_us() {
    let lines =
        |text: &str, hop| onward(&format!("GET / {text}\r\n\r\n"), hop).unwrap().1.join("|");
    let hop = Hop::to_origin("edge").unwrap();
    let yes = "HTTP/1.1\r\nHost: h\r\nConnection: te\r\nTE: gzip, Trailers";
    assert_eq!(lines(yes, hop), "Host: h|TE: trailers|Via: 1.1 edge");
    assert_eq!(lines(yes, hop.http10(true)), "Host: h|Via: 1.1 edge");
    for no in [
        "HTTP/1.1\r\nHost: h\r\nTE: trailers",
        "HTTP/1.1\r\nHost: h\r\nConnection: te\r\nTE: gzip",
        "HTTP/1.1\r\nHost: h\r\nConnection: te",
    ] {
        assert_eq!(lines(no, hop), "Host: h|Via: 1.1 edge", "{no}");
    }
    let old = "HTTP/1.0\r\nHost: h\r\nConnection: te\r\nTE: trailers";
    assert_eq!(lines(old, hop), "Host: h|Via: 1.0 edge");
}

#[test]
fn what_is_for_proxies_goes_to_proxies() {
    let text = "GET / HTTP/1.1\r\nHost: h\r\nProxy-Authorization: p\r\nAuthorization: a\r\n\r\n";
    let lines = |hop| onward(text, hop).unwrap().1;
    assert_eq!(lines(Hop::to_origin("e").unwrap()), ["Host: h", "Authorization: a", "Via: 1.1 e"]);
    assert_eq!(lines(Hop::to_proxy("e").unwrap())[1], "Proxy-Authorization: p");
    let text = b"HTTP/1.1 204 N\r\nProxy-Authenticate: p\r\nWWW-Authenticate: a\r\n\r\n";
    let head = ResponseHead::parse(text, "GET").unwrap();
    let count = |hop: Hop<'_>| forward::response(&head, &hop).unwrap().lines().count();
    assert_eq!(count(Hop::to_origin("e").unwrap()), 2);
    assert_eq!(count(Hop::to_proxy("e").unwrap()), 3);
}

#[test]
fn expectations_go_on_where_they_mean_something() {
    let hop = Hop::to_origin("e").unwrap();
    let has = |text: &str, hop| {
        let text = format!("POST / {text}\r\n\r\n");
        onward(&text, hop).unwrap().1.iter().any(|line| line.starts_with("Expect"))
    };
    let length = "HTTP/1.1\r\nHost: h\r\nContent-Length: 1";
    assert!(has(&format!("{length}\r\nExpect: 100-Continue"), hop));
    assert!(!has(&format!("{length}\r\nExpect: 100-continue"), hop.http10(true)));
    assert!(!has("HTTP/1.1\r\nHost: h\r\nExpect: 100-continue", hop));
    assert!(!has("HTTP/1.0\r\nContent-Length: 1\r\nExpect: 100-continue", hop));
    assert!(has("HTTP/1.1\r\nHost: h\r\nExpect: other", hop), "it is the origin's to refuse");
}

/// `Passage` says beforehand what the machine will do: for all methods, statuses, framings and
/// versions of the client.
#[test]
fn passages_agree_with_the_machine() {
    let now = Instant::default();
    let hop = Hop::to_origin("e").unwrap();
    let mut seen = std::collections::BTreeSet::new();
    let mut cases = 0;
    for method in ["GET", "HEAD", "POST", "CONNECT"] {
        for status in [200, 201, 204, 205, 206, 304, 404, 426, 502, 999] {
            for framing in [
                "",
                "Content-Length: 0\r\n",
                "Content-Length: 7\r\n",
                "Content-Length: 7, 7\r\n",
                "Transfer-Encoding: chunked\r\n",
            ] {
                for version in [Version::HTTP_10, Version::HTTP_11] {
                    let upgrade = if status == 426 { "Upgrade: a/1, , b\r\n" } else { "" };
                    let text = format!("HTTP/1.1 {status} X\r\n{upgrade}{framing}\r\n");
                    let response = ResponseHead::parse(text.as_bytes(), method).unwrap();
                    let onward = forward::response(&response, &hop).unwrap();
                    let target = if method == "CONNECT" { "h:1" } else { "/" };
                    let request = format!("{method} {target} HTTP/{version}\r\nHost: h\r\n\r\n");
                    let mut conn = server::Connection::new(&server::Config::origin(), now);
                    let step = conn.receive(now, request.as_bytes(), usize::MAX);
                    assert!(matches!(step.event, Some(server::Event::Request(_))));
                    conn.check_invariants();
                    assert!(conn.receive(now, b"", usize::MAX).event.is_some());
                    conn.check_invariants();
                    let mut out = [0; 512];
                    let started = conn
                        .respond(now, onward.status(), onward.lines(), onward.content(), &mut out)
                        .unwrap_or_else(|e| panic!("{method} {text:?}: {e}"));
                    conn.check_invariants();
                    let passage = onward.passage(version);
                    assert_eq!(started.plan, passage.plan(), "{method} {text:?} {version}");
                    let written = String::from_utf8_lossy(&out[..started.written]).into_owned();
                    let declared = matches!(passage.content(), Content::Length(n) if n > 0);
                    assert_eq!(
                        written.contains("Content-Length: 7"),
                        declared,
                        "{text:?} {written}"
                    );
                    if passage == Passage::Chunked && method != "CONNECT" {
                        assert!(conn.persistence().persists(), "{method} {text:?}");
                    }
                    seen.insert(format!("{passage:?}"));
                    cases += 1;
                }
            }
        }
    }
    println!("{cases} passages agree with the machine: {seen:?}");
    assert!(cases == 400 && seen.len() == 8, "{seen:?}");
}

#[test]
fn a_426_goes_on_with_its_protocols() {
    let hop = Hop::to_origin("e").unwrap();
    let text = b"HTTP/1.1 426 X\r\nUpgrade: a/1, , b\r\nContent-Length: 0\r\n\r\n";
    let head = ResponseHead::parse(text, "GET").unwrap();
    let onward = forward::response(&head, &hop).unwrap();
    let lines: Vec<String> = onward.lines().map(|line| format!("{line:?}")).collect();
    assert_eq!(lines, ["Upgrade: a/1", "Upgrade: b", "Via: 1.1 e"]);
    for none in ["", "Upgrade: ,\r\n"] {
        let text = format!("HTTP/1.1 426 X\r\n{none}\r\n");
        let head = ResponseHead::parse(text.as_bytes(), "GET").unwrap();
        assert_eq!(forward::response(&head, &hop).unwrap_err(), Refusal::ResponseUpgrade);
    }
}

#[test]
fn a_coding_takes_the_length_with_it_where_no_content_follows_too() {
    let hop = Hop::to_origin("e").unwrap();
    let content = |text: &str, method| {
        let head = ResponseHead::parse(text.as_bytes(), method).unwrap();
        forward::response(&head, &hop).unwrap().content()
    };
    let both = "Transfer-Encoding: chunked\r\nContent-Length: 7\r\n\r\n";
    assert_eq!(content(&format!("HTTP/1.1 200 K\r\n{both}"), "HEAD"), Content::None);
    assert_eq!(content(&format!("HTTP/1.1 304 K\r\n{both}"), "GET"), Content::None);
    let repeated = "HTTP/1.1 200 K\r\nContent-Length: 7\r\nContent-Length: 7\r\n\r\n";
    assert_eq!(content(repeated, "HEAD"), Content::Length(7));
}

#[test]
fn a_response_tells_whether_it_may_go_and_lacks_a_date() {
    let hop = Hop::to_origin("e").unwrap();
    let table =
        [("103", true, false), ("101", true, false), ("200", false, true), ("404", false, true)];
    for (status, interim, dated) in table {
        for date in ["", "date: now\r\n"] {
            let text = format!("HTTP/1.1 {status} K\r\nUpgrade: a\r\n{date}\r\n");
            let head = ResponseHead::parse(text.as_bytes(), "GET").unwrap();
            let onward = forward::response(&head, &hop).unwrap();
            assert!(onward.may_go_to(Version::HTTP_11));
            assert_eq!(onward.may_go_to(Version::HTTP_10), !interim, "{status}");
            assert_eq!(onward.lacks_date(), dated && date.is_empty(), "{status}");
        }
    }
}

#[test]
fn undecoded_codings_do_not_go_on() {
    let now = Instant::default();
    let mut up = client::Connection::new(&client::Config::direct().raw_codings(true), now);
    let mut out = [0; 128];
    let n = up.request(now, "GET", "/", [("Host", "h")], Content::None, &mut out).unwrap().written;
    up.transmitted(now, n as u64);
    let bytes = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n";
    let Some(client::Event::Response(head)) = up.receive(now, bytes, usize::MAX).event else {
        panic!("a response");
    };
    up.check_invariants();
    let hop = Hop::to_origin("e").unwrap();
    let refusal = forward::response(&head, &hop).unwrap_err();
    assert_eq!((refusal, refusal.status()), (Refusal::ResponseCoding, Some(502)));
}

// ---- (b) blind relays ----

/// Which relays stand between client and server, the client's first.
#[derive(Clone, Copy, Debug)]
enum Hops {
    Blind(Blind),
    BlindBlind(Blind),
    BlindSmart(Blind),
    SmartBlind(Blind),
}

fn topology(hops: Hops) -> Vec<Box<dyn Node>> {
    let smart = |ports, next_is_proxy: bool| -> Box<dyn Node> {
        let (hop, client) = if next_is_proxy {
            (Hop::to_proxy("edge"), client::Config::to_proxy())
        } else {
            (Hop::to_origin("edge"), client::Config::direct())
        };
        Box::new(Relay::new(ports, hop.unwrap(), server::Config::proxy(), client))
    };
    let blind = |ports, kind| -> Box<dyn Node> { Box::new(BlindRelay::new(ports, kind)) };
    const BETWEEN: u16 = 3;
    match hops {
        Hops::Blind(kind) => vec![blind((CLIENT, SERVER), kind)],
        Hops::BlindBlind(kind) => {
            vec![blind((CLIENT, BETWEEN), kind), blind((BETWEEN, SERVER), kind)]
        }
        Hops::BlindSmart(kind) => {
            vec![blind((CLIENT, BETWEEN), kind), smart((BETWEEN, SERVER), false)]
        }
        Hops::SmartBlind(kind) => {
            vec![smart((CLIENT, BETWEEN), true), blind((BETWEEN, SERVER), kind)]
        }
    }
}

/// How one run came out.
#[derive(Debug)]
struct Ended {
    /// The longest that the client waited for an answer.
    slowest: Duration,
    /// Until every connection of everybody had ended.
    took: Duration,
    dials: usize,
    origin: usize,
    /// Why the server's connections closed.
    reasons: Vec<CloseReason>,
}

const REQUESTS: usize = 3;

fn ours(hops: Hops, config: client::Config, target: &'static str, cut: usize) -> Ended {
    let mut net = Net::new(cut);
    let pause = Duration::from_secs(1);
    let mut client = Browser::new(CLIENT, config, target, REQUESTS, pause);
    let mut relays = topology(hops);
    let mut origin = Origin::new(SERVER, server::Config::origin());
    let mut nodes: Vec<&mut dyn Node> = vec![&mut client, &mut origin];
    nodes.extend(relays.iter_mut().map(|r| &mut **r as &mut dyn Node));
    let took = run(&mut net, &mut nodes);
    assert_eq!(client.answers.len(), REQUESTS, "{hops:?}");
    assert!(client.answers.iter().all(|a| a.ends_with(b"/x")), "{hops:?} {:?}", client.answers);
    let (slowest, dials) = (client.slowest, client.dials);
    Ended { slowest, took, dials, origin: origin.connections(), reasons: origin.reasons }
}

fn legacy(hops: Hops, fields: &str, target: &str, cut: usize) -> Ended {
    let mut net = Net::new(cut);
    let mut client = Legacy::new(CLIENT, target, fields, REQUESTS);
    let mut relays = topology(hops);
    let mut origin = Origin::new(SERVER, server::Config::origin());
    let mut nodes: Vec<&mut dyn Node> = vec![&mut client, &mut origin];
    nodes.extend(relays.iter_mut().map(|r| &mut **r as &mut dyn Node));
    let took = run(&mut net, &mut nodes);
    assert_eq!(client.answers.len(), REQUESTS, "{hops:?}");
    assert!(client.answers.iter().all(|a| a.ends_with(b"/x")), "{hops:?} {:?}", client.answers);
    let (slowest, dials) = (client.slowest, client.dials);
    Ended { slowest, took, dials, origin: origin.connections(), reasons: origin.reasons }
}

/// S.idle, a short linger, and what the requests themselves take.
const IDLE: Duration = Duration::from_secs(75);
/// All that takes no timer but pauses and lingers.
const PROMPT: Duration = Duration::from_secs(15);

fn kinds() -> [Blind; 2] {
    [Blind::Pipe, Blind::OneRequest]
}

#[test]
fn behind_a_blind_relay_keep_alive_of_1_0_hangs_nobody() {
    for cut in CUTS {
        for kind in kinds() {
            for hops in [Hops::Blind(kind), Hops::BlindBlind(kind)] {
                // Nothing betrays the relay: the server holds the connection, and lets go in time.
                // Each request that the relay does not pass on is answered on a new connection.
                let old = client::Config::direct().http10(true);
                let ended = ours(hops, old, "/x", cut);
                let bound = IDLE * (REQUESTS as u32 - 1) + PROMPT;
                assert!(ended.slowest <= IDLE + PROMPT, "{hops:?} {ended:?}");
                assert!(ended.took <= bound + IDLE, "{hops:?} {ended:?}");
                match kind {
                    Blind::Pipe => assert_eq!((ended.dials, ended.origin), (1, 1)),
                    // And the server learns that its offer is of no use there (S9.6).
                    Blind::OneRequest => {
                        assert_eq!(ended.dials, REQUESTS, "{hops:?} {ended:?}");
                        assert_eq!(ended.reasons, [CloseReason::KeepAliveUnused; REQUESTS]);
                    }
                }
                // A target in absolute-form betrays it: the server closes at once (S9.6).
                let to_proxy = client::Config::to_proxy().http10(true);
                for config in [old, to_proxy] {
                    let ended = ours(hops, config, "http://h/x", cut);
                    assert!(ended.slowest < PROMPT && ended.took < PROMPT, "{hops:?} {ended:?}");
                    // A client that says keep-alive is suspected; to a proxy, ours does not say it.
                    let one = [CloseReason::BlindRelay, CloseReason::Http10];
                    assert!(ended.reasons.iter().all(|r| one.contains(r)), "{ended:?}");
                }
            }
        }
    }
}

#[test]
fn behind_a_blind_relay_clients_of_the_nineties_hang_nowhere() {
    let betrayed = [
        "Proxy-Connection: Keep-Alive\r\n",
        "Proxy-Connection: Keep-Alive\r\nConnection: Keep-Alive\r\n",
        "Connection: Keep-Alive\r\nVia: 1.0 old\r\n",
        "",
    ];
    for cut in CUTS {
        for kind in kinds() {
            for hops in [Hops::Blind(kind), Hops::BlindBlind(kind)] {
                for target in ["/x", "http://h/x"] {
                    for fields in betrayed {
                        let ended = legacy(hops, fields, target, cut);
                        assert!(ended.took < PROMPT, "{hops:?} {fields:?} {ended:?}");
                        assert_eq!(ended.dials, REQUESTS, "each answer closes");
                    }
                }
                // Without a sign of the relay S.idle ends it.
                let ended = legacy(hops, "Connection: Keep-Alive\r\n", "/x", cut);
                assert!(ended.slowest <= IDLE + PROMPT, "{hops:?} {ended:?}");
            }
        }
    }
}

#[test]
fn proxy_connection_through_two_relays_hangs_nowhere_in_either_order() {
    let all = [
        "Proxy-Connection: Keep-Alive\r\n",
        "Proxy-Connection: Keep-Alive\r\nConnection: Keep-Alive\r\n",
        "Connection: Keep-Alive\r\n",
    ];
    for cut in CUTS {
        for kind in kinds() {
            for fields in all {
                // The smart one does not heed it, from whomever it comes: it closes.
                let hops = Hops::BlindSmart(kind);
                let ended = legacy(hops, fields, "http://h/x", cut);
                assert!(ended.slowest < PROMPT, "{hops:?} {fields:?} {ended:?}");
                assert!(ended.took < IDLE, "its own connection to the server idles: {ended:?}");
                assert_eq!((ended.dials, ended.origin), (REQUESTS, 1), "{hops:?} {fields:?}");
                // The smart one passes nothing of it on. It speaks 1.1 itself, and takes the blind one for
                // a relay that does: what is not answered is asked again when the server lets go.
                let hops = Hops::SmartBlind(kind);
                let ended = legacy(hops, fields, "http://h/x", cut);
                let bound = if kind == Blind::Pipe { PROMPT } else { IDLE + PROMPT };
                assert!(ended.slowest <= bound, "{hops:?} {fields:?} {ended:?}");
                assert_eq!(ended.dials, REQUESTS, "{hops:?} {fields:?}");
            }
        }
    }
}

#[test]
fn clients_of_ours_hang_behind_no_pair_of_relays() {
    for cut in CUTS {
        for kind in kinds() {
            for hops in [Hops::BlindSmart(kind), Hops::SmartBlind(kind)] {
                let new = client::Config::to_proxy();
                for (config, target) in [(new, "http://h/x"), (new.http10(true), "http://h/x")] {
                    let ended = ours(hops, config, target, cut);
                    assert!(ended.slowest <= IDLE + PROMPT, "{hops:?} {ended:?}");
                    assert!(ended.took <= IDLE * (REQUESTS as u32 + 1), "{hops:?} {ended:?}");
                }
            }
        }
    }
}
