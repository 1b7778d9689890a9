//! What the properties (`tests/properties.rs`) and the fuzz targets (`fuzz/`) have in common: operation
//! lists against one machine, two machines on a pipe, cuts, and what is encoded read back.
//!
//! Every operation is decoded from six octets ([`Seed`]). So a list shrinks by whole operations, and a
//! fuzzer's input is a list too. Nothing here knows the inside of the machines.
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    missing_debug_implementations,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::missing_panics_doc,
    clippy::must_use_candidate
)]

pub mod client_ops;
pub mod codec;
pub mod differential;
pub mod forward;
pub mod framing;
pub mod fuzz;
pub mod pair;
pub mod scan;
pub mod seeds;
pub mod server_ops;
pub mod split;

use keepalive::{Content, Instant};

pub use keepalive::testkit::pieces::{FIELDS, REQUESTS, RESPONSES};

/// One operation.
pub type Seed = [u8; 6];

/// The operations in a fuzzer's input.
pub fn seeds(data: &[u8]) -> Vec<Seed> {
    data.chunks_exact(6).take(120).map(|c| c.try_into().unwrap()).collect()
}

/// A stream as a fuzzer writes it, with long runs written short, so that small inputs meet large limits:
/// 0x01, a number and an octet stand for that octet 64 times the number; 0x02 and a number for the last
/// whole line, four times the number. (Two control characters are not to be had then: there are others.)
pub fn unpack(data: &[u8]) -> Vec<u8> {
    const MOST: usize = 80 * 1024;
    let mut stream = Vec::new();
    let mut rest = data;
    loop {
        match rest {
            [1, n, octet, after @ ..] => {
                stream.resize(stream.len() + usize::from(*n) * 64, *octet);
                rest = after;
            }
            [2, n, after @ ..] => {
                let whole = stream.iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
                let begin = stream[..whole.saturating_sub(1)].iter().rposition(|&b| b == b'\n');
                let line = stream[begin.map_or(0, |at| at + 1)..whole].to_vec();
                // A long line need not come often.
                let times = (usize::from(*n) * 4).min(MOST / line.len().max(1));
                (0..times).for_each(|_| stream.extend_from_slice(&line));
                rest = after;
            }
            [octet, after @ ..] => {
                stream.push(*octet);
                rest = after;
            }
            [] => break,
        }
        if stream.len() > MOST {
            break;
        }
    }
    stream.truncate(MOST);
    stream
}

/// Octets that could be part of what a peer sends, whole, cut short, or of no use.
pub fn piece(pieces: &[&[u8]], seed: Seed) -> Vec<u8> {
    let [_, which, how, a, b, c] = seed;
    let whole = pieces[usize::from(which) % pieces.len()];
    match how {
        0..8 => vec![a, b, c],
        8..16 => whole[..usize::from(a).min(whole.len())].to_vec(),
        16..24 => whole[usize::from(a).min(whole.len())..].to_vec(),
        24..32 => {
            let mut mutated = whole.to_vec();
            let at = usize::from(a) % mutated.len().max(1);
            if let Some(octet) = mutated.get_mut(at) {
                *octet = b;
            }
            mutated
        }
        32 => vec![b'a'; (usize::from(a) * usize::from(b)).min(3_000)],
        _ => whole.to_vec(),
    }
}

/// Output space: often plenty, often almost none.
pub fn room(b: u8) -> usize {
    match b {
        0..64 => usize::from(b),
        64..128 => usize::from(b) * 2,
        _ => 4096,
    }
}

/// Space for content: none, little, or all.
pub fn content_room(b: u8) -> usize {
    match b {
        0..48 => 0,
        48..96 => usize::from(b) - 47,
        _ => usize::MAX,
    }
}

pub fn declared(kind: u8, len: u8) -> Content {
    match kind % 4 {
        0 => Content::None,
        1 => Content::Length(u64::from(len)),
        2 => Content::Length([0, 1, 5, 1 << 33, i64::MAX as u64][usize::from(len) % 5]),
        _ => Content::Unknown,
    }
}

/// A span of time: nothing, something, or longer than any timer.
pub fn span(a: u8, b: u8) -> u64 {
    const SECOND: u64 = 1_000_000;
    match a % 6 {
        0 => 0,
        1 => u64::from(b),
        2 => u64::from(b) * 1_000,
        3 => u64::from(b) * SECOND,
        4 => u64::from(b) * 60 * SECOND,
        _ => 86_400 * SECOND * u64::from(b),
    }
}

pub fn at(us: u64) -> Instant {
    Instant::from_micros(us)
}
