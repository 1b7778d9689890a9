//! What both machines write, with what it means, for others to read.
//!
//! Each seed makes the responses of one server connection and the requests of one client connection, drawn
//! by themselves or out of what `forward` makes of a head. The machine's calls make the octets. What they
//! mean is told from the script and from the rules (S1.4, S8), never from the octets: so a reader that
//! says the same has understood what was meant. The machine's verdict on persistence is held against the
//! script here; the octets are held against other parsers by `tests/interop/readers.py`.
//!
//! `WRITTEN=file` writes all of it down, a connection a line: `tests/written/meant.rs` says how. `SEED=`
//! makes one seed only, `SEEDS=` so many.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing
)]

#[path = "written/lines.rs"]
mod lines;
#[path = "written/meant.rs"]
mod meant;
#[path = "written/pour.rs"]
mod pour;
#[path = "written/requests.rs"]
mod requests;
#[path = "written/responses.rs"]
mod responses;

use keepalive::testkit::{Source, seeds};
use meant::{After, Message, Start, Stream};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Seeds for a run: enough for each kind of message to come up, and few enough for slow readers.
const SEEDS: u64 = 400;

/// Says which seed it was, where the machine does not do what the script says.
struct Tell(u64);

impl Drop for Tell {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("SEED={}", self.0);
        }
    }
}

fn streams(seed: u64) -> [Stream; 2] {
    let _tell = Tell(seed);
    // Apart, so that one that draws more does not change the other.
    let source = |part: u64| Source::seeded(seed.wrapping_mul(2).wrapping_add(part));
    [responses::draw(seed, &mut source(0)), requests::draw(seed, &mut source(1))]
}

/// The kinds that must come up, or nothing is shown by reading them.
fn kinds(stream: &Stream, message: &Message, count: &mut impl FnMut(&'static str)) {
    let has =
        |name: &str| message.fields.iter().any(|(n, _)| n.eq_ignore_ascii_case(name.as_bytes()));
    let value = |text: &[u8]| message.fields.iter().any(|(_, v)| v == text);
    let (request, minor) = match &message.start {
        Start::Request { minor, .. } => (true, *minor),
        Start::Response { minor, .. } => (false, *minor),
    };
    let last = message.end == stream.octets.len();
    let mut note = |holds: bool, of: [&'static str; 2]| {
        if holds {
            count(of[usize::from(!request)]);
        }
    };
    note(true, ["requests", "responses"]);
    note(has("Content-Length"), ["requests with a length", "responses with a length"]);
    note(has("Transfer-Encoding"), ["chunked requests", "chunked responses"]);
    note(!message.trailers.is_empty(), ["trailers of requests", "trailers of responses"]);
    note(minor == 0, ["requests of version 1.0", "responses of version 1.0"]);
    note(message.after == After::Closes, ["last requests", "last responses"]);
    note(
        message.after == After::Persists && !last,
        ["requests before others", "responses before others"],
    );
    note(value(b"close"), ["requests that close", "responses that close"]);
    note(has("Via"), ["requests that were forwarded", "responses that were forwarded"]);
    note(value(b""), ["requests with empty values", "responses with empty values"]);
    let octet = |b: &u8| *b >= 0x80 || *b == b'\t';
    let odd = message.fields.iter().any(|(_, v)| v.iter().any(octet));
    note(odd, ["requests with odd octets", "responses with odd octets"]);
    match &message.start {
        Start::Request { method, target, .. } => {
            note(message.waits, ["requests that wait for a 100", ""]);
            note(target == b"*", ["asterisk-form", ""]);
            note(target.starts_with(b"http://"), ["absolute-form", ""]);
            note(method == "CONNECT", ["CONNECT", ""]);
            note(has("Upgrade"), ["offers of an upgrade", ""]);
        }
        Start::Response { status, .. } => {
            let bare = matches!(status, 204 | 205 | 304);
            note(*status < 200, ["", "interim responses"]);
            note(bare, ["", "responses without content"]);
            note(*status == 304 && has("Content-Length"), ["", "304 with a length"]);
            note(message.after == After::Leaves, ["", "responses that leave HTTP"]);
            note(has("Keep-Alive"), ["", "Keep-Alive fields"]);
            let framed = has("Content-Length") || has("Transfer-Encoding");
            let ends = !framed && last && !message.content.is_empty();
            note(ends, ["", "responses that the close ends"]);
        }
    }
}

#[test]
fn what_is_written_has_a_meaning_and_each_kind_comes_up() {
    let (mut text, mut octets, mut messages) = (String::new(), 0, 0);
    let mut counts = BTreeMap::new();
    let (mut first, mut last) = (None, 0);
    for seed in seeds(SEEDS) {
        first.get_or_insert(seed);
        last = seed;
        for stream in streams(seed) {
            octets += stream.octets.len();
            messages += stream.messages.len();
            for message in &stream.messages {
                kinds(&stream, message, &mut |kind| *counts.entry(kind).or_insert(0u32) += 1);
            }
            writeln!(text, "{}", stream.json()).unwrap();
        }
    }
    for (kind, n) in &counts {
        println!("{n:6} {kind}");
    }
    println!("{messages} messages, {octets} octets, seeds {} to {last}", first.unwrap_or(0));
    if let Some(path) = std::env::var_os("WRITTEN") {
        std::fs::write(path, text).expect("the file for what was written");
    }
    if std::env::var_os("SEED").is_none() && std::env::var_os("SEEDS").is_none() {
        assert_eq!(counts.len(), 33, "a kind does not come up: {counts:?}");
        assert!(counts.values().all(|&n| n >= 5), "hardly ever comes up: {counts:?}");
    }
}

#[test]
fn the_same_seed_writes_the_same() {
    for seed in 1..=5 {
        assert_eq!(streams(seed).map(|s| s.json()), streams(seed).map(|s| s.json()));
    }
}
