//! Fixed work to be counted under callgrind, by `.ci/instructions`: instruction counts repeat exactly
//! where times do not.
//!
//! Arguments: a case, and how many turns of it. Without arguments the cases are listed, each run once.
#![allow(missing_docs, clippy::indexing_slicing, reason = "a bench")]

mod inputs;

use keepalive::{Content, Instant, Io, RequestHead, client, forward, server};
use std::hint::black_box;

const NOW: Instant = Instant::from_micros(0);

/// Work, and how often. What is prepared is prepared outside the turns, as often for one as for many.
type Case = fn(u32);

const CASES: &[(&str, Case)] = &[
    ("receive-tiny", |n| receive(n, &[inputs::TINY.to_vec()])),
    ("receive-te", |n| receive(n, &[inputs::TE.to_vec()])),
    ("receive-pico", |n| receive(n, &[inputs::PICO.to_vec()])),
    ("receive-chrome", |n| receive(n, &[inputs::CHROME.to_vec()])),
    ("receive-cookie4k", |n| receive(n, &[inputs::cookie4k()])),
    ("receive-corpus", |n| receive(n, &inputs::corpus())),
    ("visit-corpus", |n| visit(n, &inputs::corpus())),
    ("response", response),
    ("cycle-tiny", |n| cycle(n, &[inputs::TINY.to_vec()])),
    ("cycle-te", |n| cycle(n, &[inputs::TE.to_vec()])),
    ("cycle-pico", |n| cycle(n, &[inputs::PICO.to_vec()])),
    ("cycle-chrome", |n| cycle(n, &[inputs::CHROME.to_vec()])),
    ("cycle-cookie4k", |n| cycle(n, &[inputs::cookie4k()])),
    ("cycle-corpus", |n| cycle(n, &inputs::corpus())),
    ("cycle-client", client_cycle),
    ("chunked-1024", |n| chunked(n, 1024)),
    ("chunked-16", |n| chunked(n, 16)),
    ("chunked-client", |n| chunked_response(n, 16)),
    ("drip-client", |n| drip_response(n, 1)),
    ("drip-1", |n| drip(n, 1)),
    ("drip-64", |n| drip(n, 64)),
    ("drip-1460", |n| drip(n, 1460)),
    ("respond", respond),
    ("forward", forward),
    ("deadline", deadline),
];

fn idle() -> server::Connection {
    server::Connection::new(&server::Config::origin().max_fields(1000), NOW)
}

fn receive(turns: u32, messages: &[Vec<u8>]) {
    let idle = idle();
    for bytes in (0..turns).flat_map(|_| messages) {
        let mut conn = black_box(&idle).clone();
        let step = conn.receive(NOW, black_box(bytes), usize::MAX);
        assert!(step.event.is_some());
        black_box((&step, &conn));
    }
}

fn visit(turns: u32, messages: &[Vec<u8>]) {
    let idle = idle();
    for bytes in (0..turns).flat_map(|_| messages) {
        let mut conn = black_box(&idle).clone();
        let step = conn.receive(NOW, black_box(bytes), usize::MAX);
        let Some(server::Event::Request(head)) = &step.event else { panic!("{step:?}") };
        for line in head.fields() {
            black_box((line.name, line.value));
        }
        black_box((&step, &conn));
    }
}

/// A client whose request is out.
fn waiting() -> client::Connection {
    let mut waiting = client::Connection::new(&client::Config::direct(), NOW);
    let mut out = [0; 512];
    let sent = waiting.request(NOW, "GET", "/", [("Host", "a")], Content::None, &mut out);
    waiting.transmitted(NOW, sent.expect("a request").written as u64);
    waiting
}

fn response(turns: u32) {
    let waiting = waiting();
    for _ in 0..turns {
        let mut conn = black_box(&waiting).clone();
        let step = conn.receive(NOW, black_box(inputs::RESPONSE), usize::MAX);
        assert!(step.event.is_some());
        black_box((&step, &conn));
    }
}

fn cycle(turns: u32, messages: &[Vec<u8>]) {
    let mut conn = server::Connection::new(&server::Config::origin().max_requests(0), NOW);
    let mut out = [0; 512];
    for bytes in (0..turns).flat_map(|_| messages) {
        let step = conn.receive(NOW, black_box(bytes), usize::MAX);
        assert!(step.consumed == bytes.len());
        let fields = [("Content-Type", "text/plain")];
        let sent = conn.reply(NOW, 200, fields, b"Hello, World!", &mut out);
        conn.transmitted(NOW, black_box(sent.expect("an answer")) as u64);
        while black_box(conn.receive(NOW, b"", usize::MAX)).event.is_some() {}
        black_box((conn.wants(), conn.deadline()));
    }
}

fn client_cycle(turns: u32) {
    let mut conn = client::Connection::new(&client::Config::direct(), NOW);
    let mut out = [0; 512];
    for _ in 0..turns {
        black_box(conn.checkout(NOW, Io::Nothing, b""));
        let fields = [("Host", "example.org"), ("Accept", "*/*")];
        let sent = conn.request(NOW, "GET", "/", fields, Content::None, &mut out);
        conn.transmitted(NOW, sent.expect("a request").written as u64);
        let step = conn.receive(NOW, black_box(inputs::RESPONSE), usize::MAX);
        assert!(step.consumed == inputs::RESPONSE.len());
        while black_box(conn.receive(NOW, b"", usize::MAX)).event.is_some() {}
        black_box(conn.reuse(NOW));
    }
}

/// Content, read to its end: `receive` says how many octets it consumed, and whether that was the end.
fn to_the_end(bytes: &[u8], mut receive: impl FnMut(&[u8]) -> (usize, bool)) {
    let mut unread = black_box(bytes);
    loop {
        let (consumed, end) = receive(unread);
        unread = &unread[consumed..];
        if end {
            break;
        }
    }
}

/// A head that comes in steps of this size: `receive` says whether it is whole.
fn in_steps(head: &[u8], step: usize, mut receive: impl FnMut(&[u8]) -> bool) {
    let mut end = 0;
    while end < head.len() {
        end = (end + step).min(head.len());
        assert!(receive(black_box(&head[..end])) == (end == head.len()));
    }
}

fn chunked(turns: u32, size: usize) {
    let bytes = inputs::chunked(size);
    let mut reading = idle();
    black_box(reading.receive(NOW, inputs::CHUNKED_HEAD, usize::MAX).consumed);
    reading.read_content(NOW);
    for _ in 0..turns {
        let mut conn = black_box(&reading).clone();
        to_the_end(&bytes, |unread| {
            let step = conn.receive(NOW, unread, usize::MAX);
            match step.event {
                Some(server::Event::Content(piece)) => {
                    black_box(piece);
                    (step.consumed, false)
                }
                Some(server::Event::End(_)) => (step.consumed, true),
                event => panic!("{event:?}"),
            }
        });
    }
}

fn chunked_response(turns: u32, size: usize) {
    let bytes = inputs::chunked(size);
    let mut reading = waiting();
    let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    black_box(reading.receive(NOW, head, usize::MAX).consumed);
    for _ in 0..turns {
        let mut conn = black_box(&reading).clone();
        to_the_end(&bytes, |unread| {
            let step = conn.receive(NOW, unread, usize::MAX);
            match step.event {
                Some(client::Event::Content(piece)) => {
                    black_box(piece);
                    (step.consumed, false)
                }
                Some(client::Event::End(_)) => (step.consumed, true),
                event => panic!("{event:?}"),
            }
        });
    }
}

fn drip_response(turns: u32, step: usize) {
    let waiting = waiting();
    for _ in 0..turns {
        let mut conn = black_box(&waiting).clone();
        in_steps(inputs::RESPONSE, step, |bytes| {
            conn.receive(NOW, bytes, usize::MAX).event.is_some()
        });
    }
}

fn drip(turns: u32, step: usize) {
    let head = inputs::long_head(8 * 1024);
    let idle = idle();
    for _ in 0..turns {
        let mut conn = black_box(&idle).clone();
        in_steps(&head, step, |bytes| conn.receive(NOW, bytes, usize::MAX).event.is_some());
    }
}

fn respond(turns: u32) {
    let mut owing = idle();
    black_box(owing.receive(NOW, inputs::TINY, usize::MAX).consumed);
    let mut out = [0; 1024];
    let fields = [
        ("Server", "nginx/1.25.3"),
        ("Date", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ("Content-Type", "text/html; charset=utf-8"),
        ("Cache-Control", "private, max-age=0"),
    ];
    for _ in 0..turns {
        let mut conn = black_box(&owing).clone();
        let started = conn.respond(NOW, 200, black_box(fields), Content::Length(13), &mut out);
        assert!(started.is_ok());
        black_box(&conn);
    }
}

fn forward(turns: u32) {
    let hop = forward::Hop::to_origin("edge").expect("a pseudonym");
    let head = RequestHead::parse(inputs::CHROME).expect("a head");
    let waiting = client::Connection::new(&client::Config::direct(), NOW);
    let mut out = [0; 2048];
    for _ in 0..turns {
        let onward = forward::request(black_box(&head), &hop).expect("it goes on");
        let mut conn = black_box(&waiting).clone();
        let (method, target) = (onward.method(), onward.target());
        let sent = conn.request(NOW, method, target, onward.lines(), Content::None, &mut out);
        assert!(sent.is_ok());
        black_box(&conn);
    }
}

fn deadline(turns: u32) {
    let conn = idle();
    for _ in 0..turns {
        black_box(black_box(&conn).deadline());
    }
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    match args.as_slice() {
        [] => CASES.iter().for_each(|(name, case)| {
            println!("{name}");
            case(1);
        }),
        [case, turns] => {
            let &(_, work) = CASES.iter().find(|c| c.0 == case).expect("a case");
            work(turns.parse().expect("a number of turns"));
        }
        _ => panic!("arguments: CASE TURNS"),
    }
}
