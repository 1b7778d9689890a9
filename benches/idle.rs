//! Idle connections in a slab: `cargo bench --bench idle`. With a timer wheel beside it:
//! `benches/peers`.
#![allow(missing_docs, reason = "criterion's macros write the main function")]

mod inputs;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use keepalive::{Instant, server};
use std::hint::black_box;

/// So many connections, each idle since it answered one request.
fn slab(count: usize) -> Vec<server::Connection> {
    let mut served = server::Connection::new(&server::Config::origin(), Instant::from_micros(0));
    let mut out = [0; 256];
    assert!(served.receive(Instant::from_micros(0), inputs::TINY, usize::MAX).event.is_some());
    let sent = served.reply(Instant::from_micros(0), 200, [("A", "b")], b"", &mut out);
    assert!(served.receive(Instant::from_micros(0), b"", usize::MAX).event.is_some());
    let sent = sent.expect("an answer") as u64;
    (0..count)
        .map(|n| {
            let mut conn = served.clone();
            conn.transmitted(Instant::from_micros(n as u64), sent);
            assert!(conn.is_idle());
            conn
        })
        .collect()
}

/// Asks every connection for its deadline; and tells every connection the time.
fn sweep(c: &mut Criterion) {
    let mut group = c.benchmark_group("sweep");
    for count in [1_000, 100_000] {
        let mut connections = slab(count);
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(format!("deadline/{count}"), |b| {
            b.iter(|| {
                let all = black_box(&connections).iter();
                all.filter_map(|conn| conn.deadline()).map(|d| d.at).min()
            });
        });
        group.bench_function(format!("expire/{count}"), |b| {
            let now = Instant::from_millis(1000);
            b.iter(|| black_box(&mut connections).iter_mut().for_each(|conn| conn.expire(now)));
        });
    }
    group.finish();
}

criterion_group!(benches, sweep);
criterion_main!(benches);
