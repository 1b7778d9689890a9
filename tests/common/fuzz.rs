//! Octets of a fuzzer, as what the properties take.

use super::codec::{self, Source};
use super::{client_ops as client, pair as pipe, seeds, server_ops as server, split as cut};
use super::{differential, forward, framing, scan};

/// Settings, and then operations on a server's connection, six octets each.
pub fn server_ops(data: &[u8]) {
    if let Some((head, ops)) = seeds(data).split_first() {
        let ops: Vec<_> = ops.iter().map(|&seed| server::op(seed)).collect();
        server::run(*head, &ops);
    }
}

/// Settings, and then operations on a client's connection, six octets each.
pub fn client_ops(data: &[u8]) {
    if let Some((head, ops)) = seeds(data).split_first() {
        let ops: Vec<_> = ops.iter().map(|&seed| client::op(seed)).collect();
        client::run(*head, &ops);
    }
}

/// A script of exchanges between two ends.
pub fn pair(data: &[u8]) {
    if data.len() <= 160 {
        pipe::run(&pipe::script(data));
    }
}

/// Settings, cuts, and then pieces of a stream.
pub fn split(data: &[u8]) {
    let seeds = seeds(data);
    if let [head, a, b, c, pieces @ ..] = &seeds[..] {
        let cuts = [&a[..], b, c].concat();
        cut::run(*head, &pieces[..pieces.len().min(16)], &cut::Cuts::of(&mut Source::new(&cuts)));
    }
}

/// What a target does with its input.
pub type Body = fn(&[u8]);

/// Every fuzz target, by name.
pub const TARGETS: &[(&str, Body)] = &[
    ("request_head", codec::request_head),
    ("response_head", codec::response_head),
    ("chunked", codec::chunked),
    ("server_ops", server_ops),
    ("client_ops", client_ops),
    ("pair", pair),
    ("split", split),
    ("encode_decode", codec::encode_decode),
    ("framing", framing::framing),
    ("forward", forward::forward),
    ("differential", differential::differential),
    ("scan", scan::scan),
];
