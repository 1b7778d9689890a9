//! Chunked content coming in.

use super::{Goal, Row};
use crate::inputs;
use crate::measure::{Group, Groups};
use crate::sides::{http_net, httparse, ours};
use std::hint::black_box;

/// Ours divided by a loop over httparse's `parse_chunk_size`.
const GOAL: f64 = 0.4;

pub fn add(groups: &mut Groups, rows: &mut Vec<Row>) {
    for (name, size) in [("1 KiB chunks", 1024), ("16 B chunks", 16)] {
        let bytes: &'static [u8] = inputs::chunked(size).leak();
        let count = inputs::CONTENT / size;
        let reading = ours::reading_chunks();
        let whole = |read: usize| assert!(read == inputs::CONTENT);
        groups.add(
            Group::new("chunked", name)
                .side("ours", count, move |turns| {
                    for _ in 0..turns {
                        let mut conn = black_box(&reading).clone();
                        whole(ours::read_chunks(&mut conn, black_box(bytes)));
                        black_box(&conn);
                    }
                })
                .side("httparse", count, move |turns| {
                    (0..turns).for_each(|_| whole(httparse::read_chunks(black_box(bytes))));
                })
                .side("http-net", count, move |turns| {
                    (0..turns).for_each(|_| whole(http_net::read_chunks(black_box(bytes))));
                }),
        );
        let side = |side| ("chunked", name, side);
        for (peer, goal) in [("httparse", Goal::Ratio(GOAL)), ("http-net", Goal::None)] {
            rows.push(
                Row::pair("chunked content, 64 KiB", side("ours"), side(peer), peer, goal)
                    .unit("ns/chunk"),
            );
        }
    }
}
