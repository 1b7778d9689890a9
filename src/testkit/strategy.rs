//! Strategies of proptest: whatever the kit draws, from octets that proptest chooses.
//!
//! All of them shrink by their octets: fewer, and zeros. A generator draws its plainest choice from a
//! zero, and from octets that are used up; so what is left of a failure is plain but for what made it fail.
//!
//! ```
//! use keepalive::testkit::{Request, strategy};
//! use keepalive::RequestHead;
//! use proptest::prelude::*;
//! proptest!(|(request in strategy::request(), cut in strategy::cuts(20))| {
//!     let octets = request.octets();
//!     prop_assert!(RequestHead::parse(&octets).is_ok());
//!     prop_assert_eq!(strategy::cut(&octets, &cut).concat(), octets);
//! });
//! ```

use super::chance::Source;
use super::message::{Flaw, Request, Response};
use super::pipe::Weather;
use super::script::Script;
use core::fmt::Debug;
use core::time::Duration;
use proptest::collection::vec;
use proptest::prelude::*;
use std::prelude::v1::*;

/// Whatever this generator draws, from at most so many octets.
pub fn drawn<T: Debug>(
    octets: usize,
    draw: impl Fn(&mut Source<'_>) -> T,
) -> impl Strategy<Value = T> {
    vec(any::<u8>(), 0..=octets).prop_map(move |octets| draw(&mut Source::new(&octets)))
}

/// Requests that every server must take.
pub fn request() -> impl Strategy<Value = Request> {
    drawn(48, Request::draw)
}

/// Responses that every client must take, to a request with this method.
pub fn response(method: &'static str) -> impl Strategy<Value = Response> {
    drawn(48, move |source| Response::draw(source, method))
}

/// Requests with exactly one flaw, and the flaw.
pub fn flawed_request() -> impl Strategy<Value = (Flaw, Vec<u8>)> {
    flawed(Flaw::REQUESTS)
}

/// Responses with exactly one flaw, and the flaw.
pub fn flawed_response() -> impl Strategy<Value = (Flaw, Vec<u8>)> {
    flawed(Flaw::RESPONSES)
}

fn flawed(flaws: &'static [Flaw]) -> impl Strategy<Value = (Flaw, Vec<u8>)> {
    drawn(16, move |source| {
        let flaw = source.pick(flaws);
        (flaw, flaw.message(source))
    })
}

/// Octets out of pieces (such as [`pieces::REQUESTS`](super::pieces::REQUESTS)), which are whole, and
/// then changed a little.
pub fn nearly(pieces: &'static [&'static [u8]]) -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        12 => proptest::sample::select(pieces).prop_map(<[u8]>::to_vec),
        1 => vec(any::<u8>(), 1..4),
    ];
    let change = proptest::option::weighted(0.3, (any::<prop::sample::Index>(), any::<u8>()));
    (vec(piece, 0..8), change).prop_map(|(pieces, change)| {
        let mut all = pieces.concat();
        if let Some((index, octet)) = change
            && !all.is_empty()
        {
            let at = index.index(all.len());
            all.splice(at..=at, [octet]);
        }
        all
    })
}

/// Lengths of pieces, up to `most` octets, none of them zero: for [`cut`].
pub fn cuts(most: usize) -> impl Strategy<Value = Vec<usize>> {
    vec(1..=most.max(1), 1..6)
}

/// Octets in pieces of these lengths, in turns.
#[must_use]
pub fn cut<'o>(octets: &'o [u8], lengths: &[usize]) -> Vec<&'o [u8]> {
    let mut rest = octets;
    let mut pieces = Vec::new();
    let mut lengths = lengths.iter().copied().filter(|&n| n > 0).cycle();
    while !rest.is_empty() {
        let n = lengths.next().unwrap_or(rest.len()).min(rest.len());
        let (piece, more) = rest.split_at(n);
        pieces.push(piece);
        rest = more;
    }
    pieces
}

/// Spans of time between things that happen: none, short ones, and some longer than any timer.
pub fn schedule() -> impl Strategy<Value = Vec<Duration>> {
    let span = prop_oneof![
        4 => Just(Duration::ZERO),
        4 => (0..2_000u64).prop_map(Duration::from_millis),
        2 => (0..200u64).prop_map(Duration::from_secs),
        1 => (0..100_000u64).prop_map(Duration::from_secs),
    ];
    vec(span, 0..12)
}

/// The weather on a pipe, with its faults.
pub fn weather() -> impl Strategy<Value = Weather> {
    drawn(24, Weather::draw)
}

/// What a client does to a server.
pub fn client() -> impl Strategy<Value = Script> {
    drawn(160, Script::client)
}

/// What a server does to a client.
pub fn server() -> impl Strategy<Value = Script> {
    drawn(160, Script::server)
}
