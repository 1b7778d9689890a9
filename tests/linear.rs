//! Cost is linear in the octets received, however they come (property 5 of the design): a head that
//! drips in octet by octet is never scanned again from its start.
//!
//! The machine offers no counter of its work, so time stands for it: only ratios count, of runs in the
//! same process, and the least of several runs. Eight times the octets may cost twenty times as much;
//! with a scan from the start they would cost sixty times.

use keepalive::server::{Config, Connection, Event};
use keepalive::{Instant, client};
use std::hint::black_box;
use std::time::{Duration, Instant as Clock};

const NOW: Instant = Instant::from_micros(0);

/// The least times of several runs of each, in turns, so that both have the same neighbours.
fn least(small: impl Fn(), large: impl Fn()) -> (Duration, Duration) {
    let once = |run: &dyn Fn()| {
        let start = Clock::now();
        run();
        start.elapsed().max(Duration::from_nanos(1))
    };
    (0..15).fold((Duration::MAX, Duration::MAX), |(a, b), _| {
        (a.min(once(&small)), b.min(once(&large)))
    })
}

/// A request head of about so many octets.
fn head(octets: usize, line: usize) -> Vec<u8> {
    let mut head = b"GET / HTTP/1.1\r\nHost: a\r\n".to_vec();
    while head.len() + line + 10 < octets {
        head.extend_from_slice(b"X: ");
        head.resize(head.len() + line, b'v');
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    head
}

/// Shows the bytes, an octet more at each call, as a driver does: all that is not consumed, from the front.
fn drip(bytes: &[u8], mut receive: impl FnMut(&[u8]) -> (usize, bool)) -> usize {
    let (mut from, mut end, mut events) = (0, 0, 0);
    while end < bytes.len() {
        end += 1;
        loop {
            let (consumed, event) = receive(&bytes[from..end]);
            from += consumed;
            events += usize::from(event);
            if !event {
                break;
            }
        }
    }
    assert_eq!(from, bytes.len(), "all of it is consumed");
    events
}

fn serve(bytes: &[u8]) {
    let config = Config::origin().max_fields(u16::MAX);
    let mut conn = Connection::new(&config, NOW);
    let events = drip(bytes, |shown| {
        let step = conn.receive(NOW, shown, usize::MAX);
        if let Some(Event::Request(_)) = step.event {
            conn.read_content(NOW);
        }
        (step.consumed, step.event.is_some())
    });
    assert!(black_box(events) >= 2);
}

fn fetch(bytes: &[u8]) {
    let mut conn = client::Connection::new(&client::Config::direct(), NOW);
    let mut out = [0; 99];
    let content = keepalive::Content::None;
    let n = conn.request(NOW, "GET", "/", [("Host", "a")], content, &mut out).unwrap();
    conn.transmitted(NOW, n.written as u64);
    let events = drip(bytes, |shown| {
        let step = conn.receive(NOW, shown, usize::MAX);
        (step.consumed, step.event.is_some())
    });
    assert!(black_box(events) >= 2);
}

/// The second costs at most so many times as much as the first. Tried again before it counts as a
/// failure, for the sake of busy machines.
fn costs_at_most(times: f64, what: &str, small: impl Fn(), large: impl Fn()) {
    let mut ratios = Vec::new();
    for _ in 0..6 {
        let (small, large) = least(&small, &large);
        let ratio = large.as_secs_f64() / small.as_secs_f64();
        if ratio <= times {
            return;
        }
        ratios.push(ratio);
    }
    panic!("{what}: costs {ratios:.1?} times as much");
}

/// Eight times as much input costs at most twenty times as much.
fn grows_linearly(what: &str, make: impl Fn(usize) -> Vec<u8>, drip: fn(&[u8])) {
    let (small, large) = (make(2 * 1024), make(16 * 1024));
    costs_at_most(20.0, what, || drip(&small), || drip(&large));
}

#[test]
fn a_head_that_drips_in() {
    // One endless line, and many short ones.
    for line in [30_000, 60, 1] {
        grows_linearly("request head", |octets| head(octets, line.min(octets - 50)), serve);
    }
}

#[test]
fn a_response_head_that_drips_in() {
    grows_linearly(
        "response head",
        |octets| {
            let mut bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX: ".to_vec();
            bytes.resize(octets, b'v');
            bytes.extend_from_slice(b"\r\n\r\n");
            bytes
        },
        fetch,
    );
}

#[test]
fn trailers_that_drip_in() {
    grows_linearly(
        "trailers",
        |octets| {
            let start = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: ";
            let mut bytes = start.to_vec();
            bytes.resize(octets - 200, b'v');
            bytes.extend_from_slice(b"\r\n\r\n");
            bytes
        },
        serve,
    );
}

#[test]
fn chunks_that_drip_in() {
    // Sizes alone, content alone, and extensions.
    for chunk in [&b"1\r\nx\r\n"[..], b"3e8\r\n", b"1;e=\"abcdefghij\"\r\nx\r\n"] {
        grows_linearly(
            "chunks",
            |octets| {
                let start = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
                let mut bytes = start.to_vec();
                while bytes.len() < octets {
                    bytes.extend_from_slice(chunk);
                    if chunk.starts_with(b"3e8") {
                        bytes.resize(bytes.len() + 1000, b'x');
                        bytes.extend_from_slice(b"\r\n");
                    }
                }
                bytes.extend_from_slice(b"0\r\n\r\n");
                bytes
            },
            serve,
        );
    }
}

#[test]
fn empty_lines_and_content_that_drip_in() {
    grows_linearly(
        "content",
        |octets| {
            let mut bytes =
                format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {octets}\r\n\r\n");
            bytes.extend(std::iter::repeat_n('c', octets));
            bytes.into_bytes()
        },
        serve,
    );
}

/// One line of 16 KiB in pieces of an octet must not cost much more than its octets: a call costs a
/// constant. Scanned from the start each time, it would be 128 MiB.
#[test]
fn a_drip_costs_a_call_for_each_octet_and_no_scan() {
    let bytes = head(16 * 1024, 16_000);
    // The calls alone, with as little behind them as there can be: as much content.
    let mut calls = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 16000\r\n\r\n".to_vec();
    calls.resize(calls.len() + 16_000, b'c');
    costs_at_most(8.0, "a dripping head", || serve(&calls), || serve(&bytes));
}
