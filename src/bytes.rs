//! Byte classes and scans: the alphabet of RFC 9110 §5.6 and RFC 9112 as one table of bits.

use crate::block;

const TCHAR: u8 = 1;
const STOP: u8 = 2;
const HEX: u8 = 4;
const REG_NAME: u8 = 8;
const TARGET: u8 = 16;

const fn is_one_of(b: u8, set: &[u8]) -> bool {
    let mut i = 0;
    while i < set.len() {
        #[expect(clippy::indexing_slicing, reason = "bounded by the loop, and const")]
        if set[i] == b {
            return true;
        }
        i += 1;
    }
    false
}

static CLASS: [u8; 256] = {
    let mut table = [0u8; 256];
    let mut i = 0usize;
    while i < 256 {
        let b = i as u8;
        let mut c = 0;
        if b.is_ascii_alphanumeric() || is_one_of(b, b"!#$%&'*+-.^_`|~") {
            c |= TCHAR;
        }
        if (b < 0x20 && b != b'\t') || b == 0x7f {
            c |= STOP;
        }
        if b.is_ascii_hexdigit() {
            c |= HEX;
        }
        // RFC 3986 §3.2.2: unreserved / sub-delims; "%" is looked at apart.
        if b.is_ascii_alphanumeric() || is_one_of(b, b"-._~!$&'()*+,;=") {
            c |= REG_NAME;
        }
        if b > 0x20 && b != 0x7f && b != b'#' {
            c |= TARGET;
        }
        #[expect(clippy::indexing_slicing, reason = "bounded by the loop, and const")]
        {
            table[i] = c;
        }
        i += 1;
    }
    table
};

#[inline]
fn class(b: u8) -> u8 {
    #[expect(clippy::indexing_slicing, reason = "a u8 cannot exceed a table of 256")]
    CLASS[b as usize]
}

/// A character of a token (RFC 9110 §5.6.2).
#[inline]
pub(crate) fn is_tchar(b: u8) -> bool {
    class(b) & TCHAR != 0
}

/// A control character but HTAB: what may stand in no line (CR and LF included).
#[inline]
pub(crate) fn is_stop(b: u8) -> bool {
    class(b) & STOP != 0
}

/// A hexadecimal digit.
#[inline]
pub(crate) fn is_hex(b: u8) -> bool {
    class(b) & HEX != 0
}

/// A character of a registered name, `%` excepted.
#[inline]
pub(crate) fn is_reg_name(b: u8) -> bool {
    class(b) & REG_NAME != 0
}

/// Whether this is a registered name without port and without `%`.
#[inline]
pub(crate) fn is_plain_host(v: &[u8]) -> bool {
    v.iter().fold(REG_NAME, |all, &b| all & class(b)) != 0
}

/// A character that a request target may hold: visible ASCII, and octets from 0x80 (S8.11). No `#`: a
/// fragment is no part of a target, and servers that cut it off can be led past rules that do not.
#[inline]
pub(crate) fn is_target(b: u8) -> bool {
    class(b) & TARGET != 0
}

/// Space or horizontal tab: the OWS and BWS of RFC 9110 §5.6.3.
#[inline]
pub(crate) fn is_space(b: u8) -> bool {
    b == b' ' || b == b'\t'
}

/// In unit tests, counts octets that a search looks at: what must be linear is counted, not timed.
#[inline(always)]
pub(crate) fn looked_at(octets: usize) {
    #[cfg(test)]
    LOOKED_AT.with(|n| n.set(n.get() + octets));
    #[cfg(not(test))]
    let _ = octets;
}

#[cfg(test)]
std::thread_local! {
    pub(crate) static LOOKED_AT: core::cell::Cell<usize> = const { core::cell::Cell::new(0) };
}

/// The position of the first control character (HTAB excepted) at or after `from`.
#[inline]
pub(crate) fn find_stop(bytes: &[u8], from: usize) -> Option<usize> {
    let found = search(bytes, from);
    looked_at(found.unwrap_or(bytes.len()).saturating_sub(from));
    found
}

#[inline]
fn search(bytes: &[u8], from: usize) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let mut at = from;
    let mut rest = bytes.get(from..)?;
    while let Some((vector, tail)) = rest.split_first_chunk::<16>() {
        // HTAB and obs-text are among them, and are passed over.
        let mut hits = block::few_stops(vector);
        while hits != 0 {
            let hit = hits.trailing_zeros() as usize;
            if vector.get(hit).is_some_and(|&b| is_stop(b)) {
                return Some(at + hit);
            }
            hits &= hits - 1;
        }
        at += 16;
        rest = tail;
    }
    while let Some((word, tail)) = rest.split_first_chunk::<8>() {
        let w = u64::from_le_bytes(*word);
        // Exact up to the lowest hit, which is the one that counts; a tab is a hit to be passed.
        let low = w.wrapping_sub(ONES * 0x20) & !w;
        let x = w ^ (ONES * 0x7f);
        let del = x.wrapping_sub(ONES) & !x;
        let hits = (low | del) & HIGH;
        if hits != 0
            && let Some(o) = word.iter().position(|&b| is_stop(b))
        {
            return Some(at + o);
        }
        at += 8;
        rest = tail;
    }
    rest.iter().position(|&b| is_stop(b)).map(|o| at + o)
}

/// Without spaces and tabs at both ends.
#[inline]
pub(crate) fn trim(mut v: &[u8]) -> &[u8] {
    while let Some((&first, rest)) = v.split_first()
        && is_space(first)
    {
        v = rest;
    }
    while let Some((&last, rest)) = v.split_last()
        && is_space(last)
    {
        v = rest;
    }
    v
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn find_stop_agrees_with_a_byte_by_byte_search() {
        for b in 0..=255u8 {
            for len in 1..40usize {
                for at in 0..len {
                    let mut v = vec![b'a'; len];
                    if at > 0 {
                        v[at - 1] = b'\t';
                    }
                    v[at] = b;
                    if at + 2 < len {
                        v[at + 2] = 0xff;
                    }
                    for from in [0, at, at + 1] {
                        let want =
                            (from..len).find(|&i| (v[i] < 0x20 && v[i] != 9) || v[i] == 0x7f);
                        assert_eq!(find_stop(&v, from), want, "{v:?} from {from}");
                    }
                }
            }
        }
    }

    #[test]
    fn find_stop_finds_the_first_of_many() {
        for b in 0..=255u8 {
            for len in 1..40usize {
                let stop = (b < 0x20 && b != 9) || b == 0x7f;
                assert_eq!(find_stop(&vec![b; len], 0), stop.then_some(0), "{len} times {b}");
            }
        }
    }

    #[test]
    fn classes_are_those_of_the_rfc() {
        let tchars: Vec<u8> = (0..=255).filter(|&b| is_tchar(b)).collect();
        assert_eq!(tchars.len(), 15 + 10 + 52);
        assert!(!is_tchar(b':') && !is_tchar(b' ') && !is_tchar(0x80) && !is_tchar(b'"'));
        assert!(
            is_target(0x80)
                && is_target(b'|')
                && !is_target(b'#')
                && !is_target(b' ')
                && !is_target(0x7f)
        );
        assert!(
            is_reg_name(b'~') && !is_reg_name(b'/') && !is_reg_name(b'@') && !is_reg_name(b'%')
        );
        assert!(is_hex(b'f') && is_hex(b'F') && !is_hex(b'g'));
        assert_eq!(trim(b" \t a b\t "), b"a b");
        assert_eq!(trim(b" \t "), b"");
    }
}
