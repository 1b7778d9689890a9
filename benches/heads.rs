//! Heads coming in: `cargo bench --bench heads`.
//!
//! Only ratios within one run mean anything: machines differ, and are noisy. Against others:
//! `benches/peers`.
#![allow(missing_docs, reason = "criterion's macros write the main function")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a bench")]

mod inputs;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use keepalive::{Content, Instant, RequestHead, ResponseHead, client, server};
use std::hint::black_box;

const NOW: Instant = Instant::from_micros(0);

/// Receives one request head on an idle connection, with its framing and persistence facts.
fn receive(c: &mut Criterion) {
    let mut group = c.benchmark_group("receive");
    let idle = server::Connection::new(&server::Config::origin(), NOW);
    for (name, messages) in inputs::requests() {
        let mut next = messages.iter().cycle();
        group.bench_function(name, |b| {
            b.iter(|| {
                let mut conn = black_box(&idle).clone();
                let step = conn.receive(NOW, black_box(next.next().unwrap()), usize::MAX);
                black_box((&step, &conn));
            });
        });
    }
    group.finish();
}

/// The same, and then visits every field line.
fn visit(c: &mut Criterion) {
    let mut group = c.benchmark_group("visit");
    let idle = server::Connection::new(&server::Config::origin(), NOW);
    for (name, messages) in inputs::requests() {
        let mut next = messages.iter().cycle();
        group.bench_function(name, |b| {
            b.iter(|| {
                let mut conn = black_box(&idle).clone();
                let step = conn.receive(NOW, black_box(next.next().unwrap()), usize::MAX);
                let Some(server::Event::Request(head)) = &step.event else { panic!("{step:?}") };
                for line in head.fields() {
                    black_box((line.name, line.value));
                }
                black_box((&step, &conn));
            });
        });
    }
    group.finish();
}

/// Reads a head without a connection; and looks a field up that comes late, and one that is absent.
fn parse(c: &mut Criterion) {
    let mut group = c.benchmark_group("parse");
    for (name, messages) in inputs::requests() {
        let mut next = messages.iter().cycle();
        group.bench_function(name, |b| {
            b.iter(|| black_box(RequestHead::parse(black_box(next.next().unwrap())).is_ok()));
        });
    }
    let head = RequestHead::parse(inputs::CHROME).unwrap();
    group.bench_function("lookup_cookie", |b| b.iter(|| black_box(&head).field("cookie")));
    group.bench_function("lookup_absent", |b| b.iter(|| black_box(&head).field("x-absent")));
    group.finish();
}

/// A response head at a client's connection, and by itself.
fn response(c: &mut Criterion) {
    let mut group = c.benchmark_group("response");
    let mut waiting = client::Connection::new(&client::Config::direct(), NOW);
    let mut out = [0; 256];
    let sent = waiting.request(NOW, "GET", "/", [("Host", "a")], Content::None, &mut out);
    waiting.transmitted(NOW, sent.unwrap().written as u64);
    group.bench_function("receive", |b| {
        b.iter(|| {
            let mut conn = black_box(&waiting).clone();
            let step = conn.receive(NOW, black_box(inputs::RESPONSE), usize::MAX);
            black_box((&step, &conn));
        });
    });
    group.bench_function("parse", |b| {
        b.iter(|| black_box(ResponseHead::parse(black_box(inputs::RESPONSE), "GET").is_ok()));
    });
    group.finish();
}

/// A head that drips in by steps: the cost of an octet must not grow with the head.
fn dripping(c: &mut Criterion) {
    let mut group = c.benchmark_group("dripping");
    let idle = server::Connection::new(&server::Config::origin().max_fields(1000), NOW);
    for size in [8 * 1024, 16 * 1024] {
        let head = inputs::long_head(size);
        group.throughput(Throughput::Bytes(head.len() as u64));
        for step in [1, 64, 1460, head.len()] {
            group.bench_function(format!("{size}/{step}"), |b| {
                b.iter(|| {
                    let mut conn = black_box(&idle).clone();
                    let mut end = 0;
                    while end < head.len() {
                        end = (end + step).min(head.len());
                        black_box(&conn.receive(NOW, black_box(&head[..end]), usize::MAX));
                    }
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, receive, visit, parse, response, dripping);
criterion_main!(benches);
