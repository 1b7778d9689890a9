//! Heads and whole exchanges, in both roles: `cargo bench`.
//!
//! Only ratios within one run mean anything: machines differ, and are noisy.
#![allow(missing_docs, reason = "criterion's macros write the main function")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a bench")]

mod inputs;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use keepalive::{Content, Instant, Io, NO_FIELDS, client, server};
use std::hint::black_box;

const NOW: Instant = Instant::from_micros(0);

/// Receives one request head, with its framing and persistence facts.
fn heads(c: &mut Criterion) {
    let mut group = c.benchmark_group("head");
    let config = server::Config::origin();
    for (name, messages) in inputs::requests() {
        let bytes = &messages[0];
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(name, |b| {
            b.iter(|| {
                let mut conn = server::Connection::new(&config, NOW);
                let step = conn.receive(NOW, black_box(bytes), usize::MAX);
                black_box(step.event.is_some())
            });
        });
    }
    group.finish();
}

/// A whole exchange on a kept server connection.
fn server_cycle(c: &mut Criterion) {
    let mut group = c.benchmark_group("server_cycle");
    let config = server::Config::origin().max_requests(0);
    for (name, messages) in inputs::requests() {
        let bytes = &messages[0];
        let mut conn = server::Connection::new(&config, NOW);
        let mut out = [0; 512];
        group.bench_function(name, |b| {
            b.iter(|| {
                let step = conn.receive(NOW, black_box(bytes), usize::MAX);
                assert!(step.consumed == bytes.len());
                conn.receive(NOW, b"", usize::MAX);
                let fields = [("Content-Type", "text/plain")];
                let n = conn.reply(NOW, 200, fields, b"Hello, World!", &mut out).unwrap();
                conn.transmitted(NOW, n as u64);
                black_box(conn.deadline())
            });
        });
    }
    group.finish();
}

/// A whole exchange on a kept client connection.
fn client_cycle(c: &mut Criterion) {
    let config = client::Config::direct();
    let mut conn = client::Connection::new(&config, NOW);
    let mut out = [0; 512];
    c.bench_function("client_cycle", |b| {
        b.iter(|| {
            conn.checkout(NOW, Io::Nothing, b"");
            let fields = [("Host", "example.org"), ("Accept", "*/*")];
            let sent = conn.request(NOW, "GET", "/", fields, Content::None, &mut out).unwrap();
            conn.transmitted(NOW, sent.written as u64);
            let step = conn.receive(NOW, black_box(inputs::RESPONSE), usize::MAX);
            assert!(step.event.is_some());
            conn.receive(NOW, b"", usize::MAX);
            black_box(conn.reuse(NOW))
        });
    });
}

/// A head that drips in octet by octet: the cost of an octet must not grow with the head.
fn dripping(c: &mut Criterion) {
    let mut group = c.benchmark_group("dripping");
    let config = server::Config::origin().max_fields(1000);
    for size in [4096usize, 8192, 16384] {
        let head = inputs::long_head(size);
        group.throughput(Throughput::Elements(head.len() as u64));
        group.bench_function(size.to_string(), |b| {
            b.iter(|| {
                let mut conn = server::Connection::new(&config, NOW);
                for end in 1..=head.len() {
                    black_box(conn.receive(NOW, &head[..end], usize::MAX).event.is_some());
                }
            });
        });
    }
    group.finish();
}

/// 64 KiB of content in chunks, out and in.
fn chunked(c: &mut Criterion) {
    let mut group = c.benchmark_group("chunked");
    for size in [1024usize, 16] {
        let bytes = [inputs::CHUNKED_HEAD, &inputs::chunked(size)].concat();
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(format!("in_{size}"), |b| {
            let config = server::Config::origin();
            b.iter(|| {
                let mut conn = server::Connection::new(&config, NOW);
                let mut at = conn.receive(NOW, &bytes, usize::MAX).consumed;
                conn.read_content(NOW);
                loop {
                    let step = conn.receive(NOW, &bytes[at..], usize::MAX);
                    at += step.consumed;
                    if !matches!(step.event, Some(server::Event::Content(_))) {
                        break;
                    }
                }
                black_box(at)
            });
        });
    }
    group.bench_function("out_1024", |b| {
        let config = server::Config::origin();
        let piece = [b'x'; 1024];
        let mut out = [0; 2048];
        b.iter(|| {
            let mut conn = server::Connection::new(&config, NOW);
            conn.receive(NOW, inputs::TINY, usize::MAX);
            conn.respond(NOW, 200, NO_FIELDS, Content::Unknown, &mut out).unwrap();
            for _ in 0..64 {
                black_box(conn.send(NOW, &piece, &mut out).unwrap());
            }
            conn.finish(NOW, NO_FIELDS, &mut out).unwrap()
        });
    });
    group.finish();
}

criterion_group!(benches, heads, server_cycle, client_cycle, dripping, chunked);
criterion_main!(benches);
