//! Octets of a fuzzer, as what the properties take.

use super::codec::Source;
use super::{client_ops as client, pair as pipe, seeds, server_ops as server, split as cut};

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
