//! All sides must have understood the same before their times are compared.

use crate::inputs;
use crate::sides::{self, Parsed};

type Parse = fn(&[u8]) -> Parsed;

/// A side's name, what it makes of a request, and whether it keeps the order of the fields.
const SIDES: [(&str, Parse, bool); 6] = [
    ("httparse", sides::httparse::parsed, true),
    ("picohttpparser", sides::pico::parsed, true),
    ("http-net", sides::http_net::parsed, true),
    ("ureq-proto", sides::ureq::parsed, false),
    ("hyper", sides::hyper::parsed, false),
    // Itself once more, so that a mistake in the comparison shows.
    ("keepalive", sides::ours::parsed, true),
];

/// Compares all requests; says how many. Panics where sides differ.
pub fn check() -> usize {
    let mut compared = 0;
    for (name, messages) in inputs::requests() {
        for bytes in &messages {
            let ours = sides::ours::parsed(bytes);
            assert!(!ours.method.is_empty() && !ours.fields.is_empty(), "{name}: {ours:?}");
            for (side, parse, ordered) in SIDES {
                let theirs = parse(bytes);
                let same = if ordered {
                    ours == theirs
                } else {
                    ours.clone().sorted() == theirs.clone().sorted()
                };
                assert!(same, "{side} differs on {name}:\n{ours:?}\n{theirs:?}");
            }
            compared += 1;
        }
    }
    compared
}
