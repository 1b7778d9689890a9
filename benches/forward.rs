//! What an intermediary does to heads: `cargo bench --bench forward`.
#![allow(missing_docs, reason = "criterion's macros write the main function")]
#![allow(clippy::unwrap_used, reason = "a bench")]

mod inputs;

use criterion::{Criterion, criterion_group, criterion_main};
use keepalive::{Content, Instant, RequestHead, client, forward};
use std::hint::black_box;

const NOW: Instant = Instant::from_micros(0);

/// From a received head to the head that goes on, written.
fn request(c: &mut Criterion) {
    let mut group = c.benchmark_group("forward_request");
    let hop = forward::Hop::to_origin("edge").unwrap();
    let fresh = client::Connection::new(&client::Config::direct(), NOW);
    let mut out = [0; 8 * 1024];
    for (name, messages) in inputs::requests() {
        let heads: Vec<_> = messages.iter().map(|m| RequestHead::parse(m).unwrap()).collect();
        let mut next = heads.iter().cycle();
        group.bench_function(name, |b| {
            b.iter(|| {
                let onward = forward::request(black_box(next.next().unwrap()), &hop).unwrap();
                let mut up = black_box(&fresh).clone();
                let (method, target) = (onward.method(), onward.target());
                up.request(NOW, method, target, onward.lines(), Content::None, &mut out).unwrap()
            });
        });
    }
    group.finish();
}

/// The verdicts alone: which lines go on.
fn verdicts(c: &mut Criterion) {
    let hop = forward::Hop::to_origin("edge").unwrap();
    let head = RequestHead::parse(inputs::CHROME).unwrap();
    c.bench_function("forward_verdicts", |b| {
        b.iter(|| {
            let onward = forward::request(black_box(&head), &hop).unwrap();
            onward.verdicts().filter(|(_, verdict)| verdict.goes).count()
        });
    });
}

criterion_group!(benches, request, verdicts);
criterion_main!(benches);
