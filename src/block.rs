//! Many octets at a time: which of them may end a line, as bits of one word.
//!
//! Without intrinsics, which need `unsafe`, and without a crate that has them: plain loops over arrays
//! of sixteen, which compilers turn into vector instructions on every target that has them, and which
//! are right on all others. What safe code has no name for is the instruction that gathers one bit of
//! each lane. It is replaced by arithmetic: eight vectors are joined into one, each with a bit of its
//! own, neighbours are joined, and a few shifts put the bits in order.

use core::hint::{black_box, select_unpredictable};

/// Octets in a block.
pub(crate) const BLOCK: usize = 128;

/// Bit n is set where a scan of lines may have to stop at octet 2n, or at the one behind it: at control
/// characters, HTAB among them, and everything from 0x7f. So HTAB and obs-text, which are rare, have to
/// be passed over by the caller, and all others cost one comparison.
#[inline(always)]
pub(crate) fn stops(block: &[u8; BLOCK]) -> u64 {
    // As a signed number, every octet from 0x7f lies below zero once it is raised by one.
    pairs(block, |b| (b.wrapping_add(1) as i8) < 0x21)
}

/// One loop over sixteen lanes, so that it is made into vector instructions before it is unrolled.
#[inline(always)]
fn pairs(block: &[u8; BLOCK], hit: impl Fn(u8) -> bool) -> u64 {
    let ([a, b, c, d, e, f, g, h], _) = block.as_chunks::<16>() else { return 0 };
    let mut lanes = [0u8; 16];
    let first = a.iter().zip(b).zip(c.iter().zip(d));
    let second = e.iter().zip(f).zip(g.iter().zip(h));
    for (lane, (((&a, &b), (&c, &d)), ((&e, &f), (&g, &h)))) in
        lanes.iter_mut().zip(first.zip(second))
    {
        let bit = |octet, n: u8| if hit(octet) { 1 << n } else { 0 };
        // The bits of a block's number k are (k0 k2 k1) here.
        *lane = bit(a, 0) | bit(b, 4) | bit(c, 1) | bit(d, 5);
        *lane |= bit(e, 2) | bit(f, 6) | bit(g, 3) | bit(h, 7);
    }
    let lanes = u128::from_le_bytes(lanes);
    if lanes == 0 {
        return 0;
    }
    let (low, high) = (lanes as u64, (lanes >> 64) as u64);
    // Lanes 2p and 2p+1 are joined; the bits of an index are (p1 p0 p2, k0 k2 k1) then, and are
    // exchanged, first with last, until they are (k2 k1 k0, p2 p1 p0).
    const EVEN: u64 = 0x00ff_00ff_00ff_00ff;
    let x = ((low | low >> 8) & EVEN) | ((high | high << 8) & !EVEN);
    let x = exchange(x, 30, 0x0000_0000_cccc_cccc);
    let x = exchange(x, 15, 0x0000_aaaa_0000_aaaa);
    exchange(x, 4, 0x00f0_00f0_00f0_00f0)
}

/// How many octets, from the first, are letters or `-`: 16 if all are.
#[inline(always)]
pub(crate) fn few_letters(octets: &[u8; 16]) -> usize {
    let mut others = [0u8; 16];
    for (other, &b) in others.iter_mut().zip(octets) {
        // Zero for letters, and zero for `-`.
        *other = (b | 0x20).wrapping_sub(b'a').saturating_sub(25).min(b ^ b'-');
    }
    // Else the loop is taken apart again, for the sake of the two halves, and is no vector code.
    let others = black_box(others);
    let ([low, high], _) = others.as_chunks::<8>() else { return 0 };
    let (low, high) = (u64::from_le_bytes(*low), u64::from_le_bytes(*high));
    // No branch, for lengths of names are hard to foretell.
    let none = low == 0;
    let half = select_unpredictable(none, high, low);
    select_unpredictable(none, 8, 0) + (half.trailing_zeros() / 8) as usize
}

/// The same behind the first `skip` octets, which are fewer than 16: of what stands near an end.
#[inline(always)]
pub(crate) fn last_letters(octets: &[u8; 16], skip: usize) -> usize {
    let mut others = [0u8; 16];
    for (other, &b) in others.iter_mut().zip(octets) {
        *other = if is_letter(b) { 0 } else { 0xff };
    }
    let others = u128::from_le_bytes(black_box(others)) >> (8 * (skip % 16));
    (others.trailing_zeros() as usize / 8).min(16 - skip % 16)
}

/// Bit n is set where octet n is a stop, as in [`stops`].
#[inline(always)]
pub(crate) fn few_stops(octets: &[u8; 16]) -> u64 {
    few(octets, |b| (b.wrapping_add(1) as i8) < 0x21)
}

/// Whether the octets of a line from `begin` to `end` are all characters that a request target may hold;
/// of a line without control characters other than HTAB.
#[inline(always)]
pub(crate) fn is_target(line: &[u8], begin: usize, end: usize) -> bool {
    let bad = |b: u8| (b <= b' ') | (b == b'#');
    let Some(target) = line.get(begin..end) else { return false };
    if let Some(last) = line.get(..end).and_then(|l| l.last_chunk::<16>()) {
        let away = 16usize.saturating_sub(target.len());
        if away > 0 {
            let marks = u128::from_le_bytes(marked(last, bad));
            return marks.checked_shr(8 * away as u32).unwrap_or(0) == 0;
        }
        let (whole, _) = target.as_chunks::<16>();
        let all = whole.iter().fold(marked(last, bad), |mut all, octets| {
            for (mark, &b) in all.iter_mut().zip(octets) {
                *mark |= if bad(b) { 0xff } else { 0 };
            }
            all
        });
        return u128::from_le_bytes(black_box(all)) == 0;
    }
    match line.first_chunk::<16>() {
        Some(first) => few(first, bad) & ((1 << end) - 1) >> begin << begin == 0,
        None => !target.iter().any(|&b| bad(b)),
    }
}

/// 0xff for each octet that is hit.
#[inline(always)]
fn marked(octets: &[u8; 16], is_hit: impl Fn(u8) -> bool) -> [u8; 16] {
    let mut hits = [0u8; 16];
    for (hit, &b) in hits.iter_mut().zip(octets) {
        *hit = if is_hit(b) { 0xff } else { 0 };
    }
    black_box(hits)
}

/// Bit n is set where octet n is hit.
#[inline(always)]
fn few(octets: &[u8; 16], is_hit: impl Fn(u8) -> bool) -> u64 {
    let hits = marked(octets, is_hit);
    let ([low, high], _) = hits.as_chunks::<8>() else { return 0 };
    // Octet n keeps bit n, and all are added up in the highest.
    let gather = |half: &[u8; 8]| {
        let own = u64::from_le_bytes(*half) & 0x8040_2010_0804_0201;
        own.wrapping_mul(0x0101_0101_0101_0101) >> 56
    };
    gather(low) | gather(high) << 8
}

#[inline(always)]
pub(crate) fn is_letter(b: u8) -> bool {
    ((b | 0x20).wrapping_sub(b'a') < 26) | (b == b'-')
}

/// Exchanges the bits under `mask` with those `by` places above them.
#[inline(always)]
fn exchange(x: u64, by: u32, mask: u64) -> u64 {
    let t = (x >> by ^ x) & mask;
    x ^ t ^ t << by
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every octet at every place, alone and before another.
    #[test]
    fn bits_stand_where_octets_stand() {
        for at in 0..BLOCK {
            for b in 0..=255u8 {
                let mut block = [b'x'; BLOCK];
                block[at] = b;
                block[(at + 7) % BLOCK] = b'\n';
                let want = |hit: fn(u8) -> bool| {
                    let pairs = block.chunks(2).rev();
                    pairs.fold(0u64, |bits, two| bits << 1 | u64::from(two.iter().any(|&b| hit(b))))
                };
                assert_eq!(stops(&block), want(|b| !(0x20..0x7f).contains(&b)), "{b} at {at}");
            }
        }
    }

    #[test]
    fn letters_are_counted_up_to_the_first_other_octet() {
        for at in 0..32 {
            for b in 0..=255u8 {
                let mut octets = [b'a'; 32];
                octets[at] = b;
                for (next, other) in [(at + 1, b':'), (at + 5, b' '), (at + 17, b'-')] {
                    let mut octets = octets;
                    if let Some(place) = octets.get_mut(next) {
                        *place = other;
                    }
                    let want = octets.iter().position(|&b| !b.is_ascii_alphabetic() && b != b'-');
                    let few = octets.first_chunk().unwrap();
                    assert_eq!(few_letters(few), want.unwrap_or(32).min(16), "{b} at {at}");
                }
            }
        }
        assert_eq!(few_letters(&[b'Z'; 16]), 16);
    }

    #[test]
    fn targets_have_no_spaces_and_no_fragments() {
        for len in 0..40 {
            for (begin, end) in (0..=len).flat_map(|end| (0..=end).map(move |begin| (begin, end))) {
                for at in 0..len {
                    for b in [b' ', b'\t', b'#', 0x80] {
                        let mut line = vec![b'x'; len];
                        line[at] = b;
                        let want = !(begin..end).contains(&at) || b == 0x80;
                        assert_eq!(
                            is_target(&line, begin, end),
                            want,
                            "{b} at {at}: {begin}..{end}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn few_stops_stand_where_octets_stand() {
        for at in 0..16 {
            for b in 0..=255u8 {
                let mut octets = [b'x'; 16];
                octets[at] = b;
                octets[(at + 5) % 16] = b'\r';
                let hit = |&b: &u8| u64::from(!(0x20..0x7f).contains(&b));
                let want = octets.iter().rev().fold(0u64, |bits, b| bits << 1 | hit(b));
                assert_eq!(few_stops(&octets), want, "{b} at {at}");
            }
        }
    }
}
