//! The core allocates nothing: neither in an exchange nor around it, in both roles (property 1 of the
//! design; RFC 9112 needs no memory but the buffers).
//!
//! A binary of its own, since counting replaces the global allocator.

use allocation_counter::measure;
use keepalive::client::{self, Reuse};
use keepalive::{Content, End, Instant, Io, Lost, NO_FIELDS, Plan, Retire, server};
use std::hint::black_box;

const EXCHANGES: usize = 1_000;

/// Octets on the way, in an array.
struct Wire {
    octets: [u8; 4096],
    len: usize,
}

impl Wire {
    fn new() -> Self {
        Self { octets: [0; 4096], len: 0 }
    }

    fn space(&mut self) -> &mut [u8] {
        &mut self.octets[self.len..]
    }

    fn put(&mut self, bytes: &[u8]) {
        self.octets[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    fn drop_front(&mut self, n: usize) {
        self.octets.copy_within(n..self.len, 0);
        self.len -= n;
    }
}

fn none_in(what: &str, run: impl FnOnce()) {
    let info = measure(run);
    assert_eq!(info.count_total, 0, "{what}: {info:?}");
}

#[test]
fn the_counter_counts() {
    assert!(measure(|| drop(black_box(vec![0u8; 10]))).count_total > 0);
}

/// Both ends, a thousand exchanges of all kinds on one connection.
#[test]
fn a_thousand_exchanges_allocate_nothing() {
    none_in("exchanges", || {
        let now = Instant::from_millis(1);
        let config = server::Config::origin().max_requests(0);
        let mut server = server::Connection::new(&config, now);
        let mut client = client::Connection::new(&client::Config::direct(), now);
        let (mut up, mut down) = (Wire::new(), Wire::new());
        for n in 0..EXCHANGES {
            exchange(n, now, &mut client, &mut server, &mut up, &mut down);
        }
        assert_eq!(server.requests() as usize, EXCHANGES);
        black_box((format_args!("{server:?}"), client.retry(0)));
    });
}

fn exchange(
    n: usize,
    now: Instant,
    client: &mut client::Connection,
    server: &mut server::Connection,
    up: &mut Wire,
    down: &mut Wire,
) {
    if n > 0 {
        let reuse = client.checkout(now, Io::Nothing, b"");
        assert!(matches!(reuse, Reuse::Ready { .. }), "{reuse:?}");
    }
    // ---- the request ----
    let upload = [Content::None, Content::Length(20), Content::Unknown][n % 3];
    let (method, expects) =
        if upload == Content::None { ("GET", false) } else { ("POST", n % 2 == 0) };
    let fields = [("Host", "a"), ("Accept", "*/*"), ("Expect", "100-continue")];
    let fields = fields[..if expects { 3 } else { 2 }].iter().copied();
    let started = client.request(now, method, "/x", fields, upload, up.space()).unwrap();
    up.len += started.written;
    client.transmitted(now, started.written as u64);
    let mut sent = started.plan == Plan::None;
    let (mut answered, mut read) = (false, 0);
    let mut over = false;
    while !over {
        // ---- the server ----
        loop {
            let step = server.receive(now, &up.octets[..up.len], 7);
            let (consumed, none) = (step.consumed, step.event.is_none());
            match step.event {
                Some(server::Event::Request(head)) => {
                    black_box((head.fields().count(), head.authority(), head.upgrade().count()));
                    server.read_content(now);
                }
                Some(server::Event::Content(piece)) => read += piece.len(),
                Some(server::Event::End(trailers)) => {
                    black_box(trailers.count());
                    answered = true;
                    let content = [Content::Length(9), Content::Unknown, Content::None][n % 3];
                    let status = if content == Content::None { 204 } else { 200 };
                    let early = server.inform(now, 103, [("Link", "x")], down.space()).unwrap();
                    down.len += early;
                    let fields = [("Date", "x"), ("Connection", "foo")];
                    let begun = server.respond(now, status, fields, content, down.space()).unwrap();
                    down.len += begun.written;
                    if begun.plan != Plan::None {
                        let frame = server.frame(now, 4).unwrap();
                        down.put(&frame.prefix);
                        down.put(b"abcd");
                        down.put(frame.suffix);
                        let moved = server.send(now, b"efghi", down.space()).unwrap();
                        down.len += moved.written;
                    }
                    down.len += if begun.plan == Plan::Chunked {
                        server.finish(now, [("Digest", "y")], down.space()).unwrap()
                    } else {
                        0
                    };
                }
                Some(server::Event::Failed(failure)) => panic!("{failure}"),
                None => {}
            }
            up.drop_front(consumed);
            if none {
                break;
            }
        }
        down.len += server.emit(now, down.space()).unwrap();
        server.transmitted(now, server.untransmitted());
        black_box((server.wants(), server.deadline(), server.persistence()));
        // ---- the client ----
        if client.wants().content && !sent {
            let moved = client.send(now, &[b'u'; 20], up.space()).unwrap();
            up.len += moved.written;
            up.len += client.finish(now, NO_FIELDS, up.space()).unwrap();
            client.transmitted(now, client.untransmitted());
            sent = true;
        }
        loop {
            let step = client.receive(now, &down.octets[..down.len], 7);
            let (consumed, none) = (step.consumed, step.event.is_none());
            match step.event {
                Some(client::Event::Response(head) | client::Event::Interim(head)) => {
                    black_box((head.fields().count(), head.reason(), head.outbound()));
                }
                Some(client::Event::End(trailers)) => {
                    black_box(trailers.count());
                    over = true;
                }
                Some(client::Event::Failed(failure)) => panic!("{failure}"),
                Some(client::Event::Content(_)) | None => {}
            }
            down.drop_front(consumed);
            if none {
                break;
            }
        }
        black_box((client.wants(), client.deadline(), client.persistence(), client.reuse(now)));
    }
    assert!(answered && sent && read == if upload == Content::None { 0 } else { 20 });
}

/// What goes wrong costs no memory either: errors of the peer and of the caller, time-outs, losses.
#[test]
fn failures_allocate_nothing() {
    const BROKEN: [&[u8]; 6] = [
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET  / HTTP/1.1\r\n",
        b"PRI * HTTP/2.0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET / HT",
        b"\0",
    ];
    none_in("failures", || {
        let mut out = [0; 512];
        for n in 0..EXCHANGES {
            let now = Instant::from_millis(n as u64);
            let mut conn = server::Connection::new(&server::Config::origin(), now);
            let step = conn.receive(now, BROKEN[n % 6], usize::MAX);
            if let Some(server::Event::Failed(failure)) = step.event {
                black_box((failure.kind.text(), failure.status()));
            }
            assert!(conn.reply(now, 200, NO_FIELDS, b"", &mut out).is_err());
            match n % 3 {
                0 => conn.lost(now, Lost::Reset),
                1 => conn.retire(now, Retire::Drain),
                _ => conn.received_eof(now),
            }
            let _ = conn.receive(now, b"", 1);
            let written = conn.emit(now, &mut out).unwrap();
            conn.transmitted(now, written as u64);
            if conn.wants().end == Some(End::ShutdownWrite) {
                conn.write_closed(now);
            }
            conn.expire(Instant::from_millis(1_000_000));
            black_box(conn.wants());

            let mut conn = client::Connection::new(&client::Config::direct(), now);
            assert!(conn.request(now, "G T", "/", NO_FIELDS, Content::None, &mut out).is_err());
            let started =
                conn.request(now, "GET", "/", [("Host", "a")], Content::None, &mut out).unwrap();
            conn.transmitted(now, started.written as u64);
            let _ = conn.receive(now, b"HTTP/1.1 2", 1);
            conn.expire(Instant::from_millis(1_000_000));
            let _ = conn.receive(now, b"", 1);
            black_box((conn.retry(0), conn.wants()));
        }
    });
}
