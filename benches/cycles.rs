//! Whole exchanges in both roles, and heads going out: `cargo bench --bench cycles`.
#![allow(missing_docs, reason = "criterion's macros write the main function")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a bench")]

mod inputs;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use keepalive::{Content, Instant, Io, NO_FIELDS, client, server};
use std::hint::black_box;

const NOW: Instant = Instant::from_micros(0);

/// How deep requests are pipelined.
const DEEP: usize = 16;

/// Answers all requests in these bytes as the contract has it, on a kept connection.
fn serve(conn: &mut server::Connection, mut unread: &[u8], out: &mut [u8]) {
    loop {
        let step = conn.receive(NOW, unread, usize::MAX);
        unread = &unread[step.consumed..];
        match step.event {
            Some(server::Event::Request(head)) => {
                black_box(head.target());
                let fields = [("Content-Type", "text/plain")];
                if head.has_content() {
                    conn.read_content(NOW);
                }
                let n = conn.reply(NOW, 200, fields, b"Hello, World!", out).unwrap();
                conn.transmitted(NOW, n as u64);
            }
            Some(server::Event::Failed(failure)) => panic!("{failure:?}"),
            Some(_) => {}
            None => break,
        }
    }
    black_box((conn.wants(), conn.deadline()));
}

fn server_cycle(c: &mut Criterion) {
    let mut group = c.benchmark_group("server_cycle");
    let config = server::Config::origin().max_requests(0);
    let mut requests = inputs::requests();
    requests.push(("post1k", vec![inputs::post1k()]));
    for (name, messages) in requests {
        let mut conn = server::Connection::new(&config, NOW);
        let mut out = [0; 512];
        let mut next = messages.iter().cycle();
        group.bench_function(name, |b| {
            b.iter(|| serve(&mut conn, black_box(next.next().unwrap()), &mut out));
        });
    }
    group.throughput(Throughput::Elements(DEEP as u64));
    for (name, one) in [("te_16_deep", inputs::TE), ("tiny_16_deep", inputs::TINY)] {
        let bytes = one.repeat(DEEP);
        let mut conn = server::Connection::new(&config, NOW);
        let mut out = [0; 512];
        group.bench_function(name, |b| b.iter(|| serve(&mut conn, black_box(&bytes), &mut out)));
    }
    group.finish();
}

/// A request out, a response in, and whether the connection can be used again.
fn client_cycle(c: &mut Criterion) {
    let mut conn = client::Connection::new(&client::Config::direct(), NOW);
    let mut out = [0; 512];
    c.bench_function("client_cycle", |b| {
        b.iter(|| {
            conn.checkout(NOW, Io::Nothing, b"");
            let fields = [("Host", "example.org"), ("Accept", "*/*")];
            let sent = conn.request(NOW, "GET", "/", fields, Content::None, &mut out).unwrap();
            conn.transmitted(NOW, sent.written as u64);
            let step = conn.receive(NOW, black_box(inputs::RESPONSE), usize::MAX);
            assert!(step.consumed == inputs::RESPONSE.len());
            while conn.receive(NOW, b"", usize::MAX).event.is_some() {}
            black_box(conn.reuse(NOW))
        });
    });
}

/// Heads going out: a response without fields, with one and with eight, and a request.
fn encoding(c: &mut Criterion) {
    const FIELDS: [(&str, &str); 8] = [
        ("Server", "nginx/1.25.3"),
        ("Date", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ("Content-Type", "text/html; charset=utf-8"),
        ("Cache-Control", "private, max-age=0"),
        ("ETag", "\"5f3a1c2b-1d4e9\""),
        ("Last-Modified", "Sat, 05 Nov 1994 11:22:33 GMT"),
        ("Vary", "Accept-Encoding"),
        ("X-Content-Type-Options", "nosniff"),
    ];
    let mut group = c.benchmark_group("encoding");
    let mut owing = server::Connection::new(&server::Config::origin(), NOW);
    assert!(owing.receive(NOW, inputs::TINY, usize::MAX).event.is_some());
    let mut out = [0; 1024];
    for count in [0, 1, 8] {
        group.bench_function(format!("response_{count}"), |b| {
            b.iter(|| {
                let mut conn = black_box(&owing).clone();
                let fields = black_box(&FIELDS[..count]).iter().copied();
                let started = conn.respond(NOW, 200, fields, Content::Length(13), &mut out);
                black_box((started, &conn)).0.unwrap()
            });
        });
    }
    let waiting = client::Connection::new(&client::Config::direct(), NOW);
    group.bench_function("request_2", |b| {
        let fields = [("Host", "example.org"), ("Accept", "*/*")];
        b.iter(|| {
            let mut conn = black_box(&waiting).clone();
            let fields = black_box(fields);
            let started = conn.request(NOW, "GET", "/", fields, Content::None, &mut out);
            black_box((started, &conn)).0.unwrap()
        });
    });
    group.bench_function("chunked_out_64", |b| {
        let piece = [b'x'; 1024];
        let mut out = [0; 2048];
        b.iter(|| {
            let mut conn = black_box(&owing).clone();
            conn.respond(NOW, 200, NO_FIELDS, Content::Unknown, &mut out).unwrap();
            for _ in 0..64 {
                black_box(conn.send(NOW, black_box(&piece), &mut out).unwrap());
            }
            conn.finish(NOW, NO_FIELDS, &mut out).unwrap()
        });
    });
    group.bench_function("chunked_frames_64", |b| {
        let mut out = [0; 2048];
        b.iter(|| {
            let mut conn = black_box(&owing).clone();
            conn.respond(NOW, 200, NO_FIELDS, Content::Unknown, &mut out).unwrap();
            for _ in 0..64 {
                black_box(conn.frame(NOW, black_box(1024)).unwrap());
            }
            conn.finish(NOW, NO_FIELDS, &mut out).unwrap()
        });
    });
    group.finish();
}

criterion_group!(benches, server_cycle, client_cycle, encoding);
criterion_main!(benches);
