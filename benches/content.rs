//! Content coming in: `cargo bench --bench content`.
#![allow(missing_docs, reason = "criterion's macros write the main function")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a bench")]

mod inputs;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use keepalive::{Instant, server};
use std::hint::black_box;

const NOW: Instant = Instant::from_micros(0);

/// A connection that has received a head, and reads its content.
fn reading(head: &[u8]) -> server::Connection {
    let mut conn = server::Connection::new(&server::Config::origin(), NOW);
    assert!(conn.receive(NOW, head, usize::MAX).event.is_some());
    conn.read_content(NOW);
    conn
}

/// Reads content that comes in reads of so many octets.
fn read(conn: &mut server::Connection, bytes: &[u8], step: usize) -> usize {
    let (mut at, mut end) = (0, step.min(bytes.len()));
    loop {
        let got = conn.receive(NOW, &bytes[at..end], usize::MAX);
        at += got.consumed;
        match got.event {
            Some(server::Event::Content(piece)) => {
                black_box(piece);
            }
            Some(server::Event::End(_)) => return at,
            Some(event) => panic!("{event:?}"),
            None if end == bytes.len() => panic!("no end"),
            None => end = (end + step).min(bytes.len()),
        }
    }
}

/// 64 KiB in chunks, all at once and as sockets give them.
fn chunked(c: &mut Criterion) {
    let mut group = c.benchmark_group("chunked");
    let reading = reading(inputs::CHUNKED_HEAD);
    for size in [1024, 16] {
        let bytes = inputs::chunked(size);
        group.throughput(Throughput::Elements((inputs::CONTENT / size) as u64));
        for (how, step) in [("whole", bytes.len()), ("by_1460", 1460), ("by_1", 1)] {
            group.bench_function(format!("{size}/{how}"), |b| {
                b.iter(|| {
                    let mut conn = black_box(&reading).clone();
                    read(&mut conn, black_box(&bytes), step)
                });
            });
        }
    }
    group.finish();
}

/// 64 KiB behind a Content-Length.
fn length(c: &mut Criterion) {
    let mut group = c.benchmark_group("length");
    let head = b"POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 65536\r\n\r\n";
    let reading = reading(head);
    let bytes = vec![b'x'; inputs::CONTENT];
    for (how, step) in [("whole", bytes.len()), ("by_1460", 1460)] {
        group.bench_function(how, |b| {
            b.iter(|| {
                let mut conn = black_box(&reading).clone();
                read(&mut conn, black_box(&bytes), step)
            });
        });
    }
    group.finish();
}

criterion_group!(benches, chunked, length);
criterion_main!(benches);
