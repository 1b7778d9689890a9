//! What the fields of a head say that decides anything: noted as they pass, in one place, and judged
//! elsewhere. Nothing here is an error: what is wrong with a field is one more fact (S1.1, S8.1, S8.2, S8.8,
//! S8.9, S8.11).

use super::Version;
use super::scan::Scan;
use crate::bytes::{is_plain_host, trim};
use crate::framing::{Codings, Lengths};
use crate::grammar::{self, members, same};
use crate::limits;

/// What was noted, as bits.
pub(crate) mod flag {
    pub(crate) const HOST: u32 = 1;
    pub(crate) const HOST_TWICE: u32 = 1 << 1;
    pub(crate) const HOST_BAD: u32 = 1 << 2;
    pub(crate) const HOST_EMPTY: u32 = 1 << 3;
    pub(crate) const CLOSE: u32 = 1 << 4;
    pub(crate) const KEEP_ALIVE: u32 = 1 << 5;
    pub(crate) const UPGRADE_OPTION: u32 = 1 << 6;
    /// A Connection field with a member that is no token, or with too many members.
    pub(crate) const OPTIONS_BAD: u32 = 1 << 7;
    pub(crate) const UPGRADE: u32 = 1 << 8;
    pub(crate) const EXPECT_CONTINUE: u32 = 1 << 9;
    pub(crate) const EXPECT_OTHER: u32 = 1 << 10;
    pub(crate) const LENGTH: u32 = 1 << 11;
    pub(crate) const LENGTH_TWICE: u32 = 1 << 12;
    pub(crate) const LENGTH_BAD: u32 = 1 << 13;
    pub(crate) const CODING: u32 = 1 << 14;
    pub(crate) const CHUNKED: u32 = 1 << 15;
    pub(crate) const CODING_OTHER: u32 = 1 << 16;
    pub(crate) const CODING_BAD: u32 = 1 << 17;
    pub(crate) const CODING_AFTER: u32 = 1 << 18;
    pub(crate) const VIA: u32 = 1 << 19;
    pub(crate) const PROXY_CONNECTION: u32 = 1 << 20;
    pub(crate) const PROXY_KEEP_ALIVE: u32 = 1 << 21;
    pub(crate) const KEEP_ALIVE_FIELD: u32 = 1 << 22;
    pub(crate) const ABSOLUTE: u32 = 1 << 24;
}

/// What is kept of a scan when the head is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Noted {
    pub(super) flags: u32,
    /// Where the field section begins.
    pub(super) section: u16,
    /// Length of the method; for a response, the status.
    pub(super) method: u16,
    /// Where the target ends; for a response, where the reason begins.
    pub(super) target: u16,
    pub(super) minor: u8,
}

impl Noted {
    /// Those of these flags that are set.
    pub(crate) fn of(&self, flags: u32) -> u32 {
        self.flags & flags
    }

    pub(crate) fn has(&self, flags: u32) -> bool {
        self.flags & flags != 0
    }

    pub(crate) fn version(&self) -> Version {
        Version(self.minor)
    }

    pub(crate) fn is_http10(&self) -> bool {
        self.minor == 0
    }

    /// Length of the method.
    pub(crate) fn method(&self) -> usize {
        usize::from(self.method)
    }

    /// Where the target ends, or the reason begins.
    pub(crate) fn target(&self) -> usize {
        usize::from(self.target)
    }

    /// Where the field section begins.
    pub(crate) fn section(&self) -> usize {
        usize::from(self.section)
    }

    /// The status of a response.
    pub(crate) fn status(&self) -> u16 {
        self.method
    }

    /// What was said of the length, which is this one if there is one.
    pub(crate) fn lengths(&self, length: u64) -> Lengths {
        if self.has(flag::LENGTH_BAD) {
            Lengths::Bad
        } else if self.has(flag::LENGTH_TWICE) {
            Lengths::Same(length)
        } else if self.has(flag::LENGTH) {
            Lengths::One(length)
        } else {
            Lengths::Absent
        }
    }

    pub(crate) fn codings(&self) -> Codings {
        if !self.has(flag::CODING) {
            Codings::Absent
        } else if self.has(flag::CODING_BAD) {
            Codings::Bad
        } else if !self.has(flag::CHUNKED) || self.has(flag::CODING_AFTER) {
            Codings::NotChunked
        } else if self.has(flag::CODING_OTHER) {
            Codings::OtherThenChunked
        } else {
            Codings::Chunked
        }
    }
}

impl Scan {
    /// Notes a field that decides something. Whether it was one.
    pub(super) fn note(&mut self, name: &[u8], value: &[u8]) -> bool {
        match name.len() {
            3 if like(name, b"via") => self.noted.flags |= flag::VIA,
            4 if like(name, b"host") => self.host(value),
            6 if like(name, b"expect") => self.expect(value),
            7 if like(name, b"upgrade") => self.upgrade(value),
            10 if like(name, b"connection") => self.connection(value),
            10 if like(name, b"keep-alive") => self.noted.flags |= flag::KEEP_ALIVE_FIELD,
            14 if like(name, b"content-length") => self.content_length(value),
            16 if like(name, b"proxy-connection") => {
                self.noted.flags |= flag::PROXY_CONNECTION;
                if members(value).any(|m| same(m, b"keep-alive")) {
                    self.noted.flags |= flag::PROXY_KEEP_ALIVE;
                }
            }
            17 if like(name, b"transfer-encoding") => self.transfer_encoding(value),
            _ => return false,
        }
        true
    }

    fn host(&mut self, value: &[u8]) {
        if self.noted.flags & flag::HOST != 0 {
            self.noted.flags |= flag::HOST_TWICE;
        }
        self.noted.flags |= flag::HOST;
        if value.is_empty() {
            self.noted.flags |= flag::HOST_EMPTY;
        } else if !is_plain_host(value) && !grammar::is_host(value) {
            self.noted.flags |= flag::HOST_BAD;
        }
    }

    fn expect(&mut self, value: &[u8]) {
        for member in members(value).filter(|m| !m.is_empty()) {
            self.noted.flags |= if same(member, b"100-continue") {
                flag::EXPECT_CONTINUE
            } else {
                flag::EXPECT_OTHER
            };
        }
    }

    fn upgrade(&mut self, value: &[u8]) {
        if members(value).any(grammar::is_protocol) {
            self.noted.flags |= flag::UPGRADE;
        }
    }

    /// S1.1: whole options, in any case, of all lines together.
    fn connection(&mut self, value: &[u8]) {
        // What nearly all of them say.
        if like(value, b"keep-alive") && self.options < limits::CONNECTION_OPTIONS {
            self.options += 1;
            self.noted.flags |= flag::KEEP_ALIVE;
            return;
        }
        for member in members(value).filter(|m| !m.is_empty()) {
            self.options = self.options.saturating_add(1);
            if !grammar::is_token(member) || self.options > limits::CONNECTION_OPTIONS {
                self.noted.flags |= flag::OPTIONS_BAD;
            }
            if same(member, b"close") {
                self.noted.flags |= flag::CLOSE;
            } else if same(member, b"keep-alive") {
                self.noted.flags |= flag::KEEP_ALIVE;
            } else if same(member, b"upgrade") {
                self.noted.flags |= flag::UPGRADE_OPTION;
            }
        }
    }

    /// S8.1: a repeated length must be the same octets, and no member may be empty.
    fn content_length(&mut self, value: &[u8]) {
        for member in members(value) {
            let Some(n) = grammar::decimal(member) else {
                self.noted.flags |= flag::LENGTH_BAD;
                continue;
            };
            let digits = u8::try_from(member.len()).unwrap_or(u8::MAX);
            if self.noted.flags & flag::LENGTH != 0 {
                self.noted.flags |= flag::LENGTH_TWICE;
                if n != self.length || digits != self.digits || digits == u8::MAX {
                    self.noted.flags |= flag::LENGTH_BAD;
                }
            }
            self.noted.flags |= flag::LENGTH;
            self.length = n;
            self.digits = digits;
        }
    }

    /// S8.2, over all lines together.
    fn transfer_encoding(&mut self, value: &[u8]) {
        self.noted.flags |= flag::CODING;
        for member in grammar::quoted_members(value) {
            if self.noted.flags & flag::CHUNKED != 0 {
                self.noted.flags |= flag::CODING_AFTER;
            }
            let name = member.split(|&b| b == b';').next().map(trim).unwrap_or_default();
            if same(member, b"chunked") {
                if self.noted.flags & flag::CHUNKED != 0 {
                    self.noted.flags |= flag::CODING_BAD;
                }
                self.noted.flags |= flag::CHUNKED;
            } else if !grammar::is_token(name) || same(name, b"chunked") || same(name, b"identity")
            {
                self.noted.flags |= flag::CODING_BAD;
            } else {
                self.noted.flags |= flag::CODING_OTHER;
            }
        }
    }
}

/// Whether `v` is `known` in any case: `known` in lower case, of letters and `-`, and `v` without control
/// characters, one of which would pass for `-`.
#[inline(always)]
fn like<const N: usize>(v: &[u8], known: &[u8; N]) -> bool {
    const EACH: u64 = 0x2020_2020_2020_2020;
    let word = |v: Option<&[u8; 8]>| v.map_or(0, |v| u64::from_le_bytes(*v));
    let half = |v: Option<&[u8; 4]>| v.map_or(0, |v| u32::from_le_bytes(*v));
    if v.len() != N {
        return false;
    }
    if N >= 8 {
        // Words, of which the last may overlap the one before.
        let words = v.as_chunks().0.iter().zip(known.as_chunks().0);
        let differs = words.fold(0, |all, (a, b)| all | (word(Some(a)) | EACH) ^ word(Some(b)));
        differs | (word(v.last_chunk()) | EACH) ^ word(known.last_chunk()) == 0
    } else if N >= 4 {
        let differs = (half(v.first_chunk()) | EACH as u32) ^ half(known.first_chunk());
        differs | (half(v.last_chunk()) | EACH as u32) ^ half(known.last_chunk()) == 0
    } else {
        v.iter().zip(known).all(|(&a, &b)| a | 0x20 == b)
    }
}

/// Whether a field with a name that begins so (in lower case), and is so long, may be one that
/// [`Scan::note`] knows: a table by a hash of the first four octets, without collisions among those.
#[inline(always)]
pub(super) fn may_decide(first: u32, len: usize) -> bool {
    #[expect(clippy::indexing_slicing, reason = "five bits, thirty-two places")]
    let known = KNOWN[(first.wrapping_mul(MULTIPLIER) >> 27) as usize];
    known == key(first, len)
}

const fn key(first: u32, len: usize) -> u64 {
    (len as u64) << 32 | first as u64
}

const DECIDING: [&[u8]; 9] = [
    b"via:",
    b"host",
    b"expect",
    b"upgrade",
    b"connection",
    b"keep-alive",
    b"content-length",
    b"proxy-connection",
    b"transfer-encoding",
];

/// The first factor under which no two names of [`DECIDING`] meet.
const MULTIPLIER: u32 = {
    let mut factor = 0x9e37_79b1u32;
    while !tells_apart(factor) {
        factor = factor.wrapping_add(2);
    }
    factor
};

const fn tells_apart(factor: u32) -> bool {
    let mut seen = 0u32;
    let mut i = 0;
    while i < DECIDING.len() {
        let place = 1u32 << (first_of(i).wrapping_mul(factor) >> 27);
        if seen & place != 0 {
            return false;
        }
        seen |= place;
        i += 1;
    }
    true
}

const fn first_of(i: usize) -> u32 {
    #[expect(clippy::indexing_slicing, reason = "bounded by the callers, and const")]
    match DECIDING[i].first_chunk::<4>() {
        Some(first) => u32::from_le_bytes(*first),
        None => 0,
    }
}

static KNOWN: [u64; 32] = {
    let mut table = [0; 32];
    let mut i = 0;
    while i < DECIDING.len() {
        let place = (first_of(i).wrapping_mul(MULTIPLIER) >> 27) as usize;
        #[expect(clippy::indexing_slicing, reason = "bounded by the loop, and const")]
        {
            let colon = matches!(DECIDING[i], [.., b':']) as usize;
            table[place] = key(first_of(i), DECIDING[i].len() - colon);
        }
        i += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn likeness_is_that_of_letters_in_any_case() {
        fn check<const N: usize>(known: &[u8; N]) {
            assert!(like(known, known) && like(&known.to_ascii_uppercase(), known));
            assert!(!like(&known[1..], known) && !like(&[&known[..], b"x"].concat(), known));
            for at in 0..N {
                for b in 0x20..=0xff {
                    let mut v = *known;
                    v[at] = b;
                    assert_eq!(like(&v, known), v.eq_ignore_ascii_case(known), "{v:?}");
                }
            }
            // Differences that are the same in all words do not cancel out.
            for bit in [1, 2, 4, 8, 16, 64] {
                assert!(!like(&known.map(|b| b ^ bit), known), "{bit}");
                for (a, b) in (0..N).flat_map(|a| (0..a).map(move |b| (a, b))) {
                    let mut v = *known;
                    v[a] ^= bit;
                    v[b] ^= bit;
                    assert!(!like(&v, known), "{bit} at {a} and {b}");
                }
            }
        }
        check(b"via");
        check(b"host");
        check(b"expect");
        check(b"upgrade");
        check(b"keep-alive");
        check(b"content-length");
        check(b"proxy-connection");
        check(b"transfer-encoding");
    }

    /// Each name that decides is recognised by its beginning and length, and hardly any other.
    #[test]
    fn what_decides_is_not_passed_over() {
        for name in DECIDING {
            let len = name.len() - usize::from(name.ends_with(b":"));
            assert!(may_decide(u32::from_le_bytes(*name.first_chunk().unwrap()), len));
        }
        assert!(!may_decide(u32::from_le_bytes(*b"cont"), 12));
        assert!(!may_decide(u32::from_le_bytes(*b"cook"), 6));
    }
}
