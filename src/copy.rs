//! Copies of short texts, and what is in them, in one pass: what goes out is looked at while it is
//! copied.
//!
//! A text is taken in pieces that may overlap: sixteen octets at a time, or two words, or two halves.
//! What is wrong with any of them is gathered, and asked for once.

use core::hint::black_box;

/// What is looked for: octets that a text of its kind seldom has. Whoever finds one looks closer.
pub(crate) trait Look {
    /// The highest bit of each such octet, right up to the first one.
    fn word(octets: u64) -> u64;
    /// Not zero for each such octet. One of a loop over sixteen, which compilers turn into vector
    /// instructions.
    fn lane(octet: u8) -> u8;
}

/// In a name: anything but letters and `-`.
pub(crate) struct Name;

impl Look for Name {
    #[inline(always)]
    fn word(octets: u64) -> u64 {
        let lower = octets | each(0x20);
        let from_a = lower.wrapping_add(each(0x80 - 0x61));
        let past_z = lower.wrapping_add(each(0x80 - 0x7b));
        let no_dash = (octets ^ each(0x2d)).wrapping_add(each(0x7f));
        ((!from_a | past_z) & no_dash | octets) & each(0x80)
    }

    #[inline(always)]
    fn lane(octet: u8) -> u8 {
        (octet | 0x20).wrapping_sub(b'a').saturating_sub(25).min(octet ^ b'-')
    }
}

/// In a value: control characters, HTAB among them, and everything from 0x7f.
pub(crate) struct Value;

impl Look for Value {
    #[inline(always)]
    fn word(octets: u64) -> u64 {
        // The highest bit is set from 0x20 on; and for 0x7f.
        let low = octets & each(0x7f);
        let from_space = low.wrapping_add(each(0x80 - 0x20));
        let is_del = low.wrapping_add(each(1));
        (!from_space | is_del | octets) & each(0x80)
    }

    #[inline(always)]
    fn lane(octet: u8) -> u8 {
        // As a signed number, every octet from 0x7f lies below zero once it is raised by one.
        if (octet.wrapping_add(1) as i8) < 0x21 { 0xff } else { 0 }
    }
}

/// In a target: the same, and spaces; and `#`, which no target has.
pub(crate) struct Target;

impl Look for Target {
    #[inline(always)]
    fn word(octets: u64) -> u64 {
        let low = octets & each(0x7f);
        let past_space = low.wrapping_add(each(0x80 - 0x21));
        let is_del = low.wrapping_add(each(1));
        let no_hash = (low ^ each(0x23)).wrapping_add(each(0x7f));
        (!(past_space & no_hash) | is_del | octets) & each(0x80)
    }

    #[inline(always)]
    fn lane(octet: u8) -> u8 {
        if ((octet.wrapping_add(1) as i8) < 0x22) | (octet == b'#') { 0xff } else { 0 }
    }
}

/// Eight times the same octet.
const fn each(octet: u8) -> u64 {
    octet as u64 * 0x0101_0101_0101_0101
}

/// Copies `from` to `to`, which is as long. Whether nothing was found in it.
#[inline(always)]
pub(crate) fn looking<L: Look>(to: &mut [u8], from: &[u8]) -> bool {
    let Some(found) = pieces::<L>(to, from) else { return false };
    found == 0
}

#[inline(always)]
fn pieces<L: Look>(to: &mut [u8], from: &[u8]) -> Option<u64> {
    Some(match from.len() {
        33.. => {
            let mut found = [0; 16];
            let (whole, _) = from.as_chunks();
            for (to, from) in to.as_chunks_mut().0.iter_mut().zip(whole) {
                *to = *from;
                look::<L>(&mut found, from);
            }
            look::<L>(&mut found, &last(to, from)?);
            any(found)
        }
        16.. => {
            let mut found = [0; 16];
            let (first, last) = ends(to, from)?;
            look::<L>(&mut found, &first);
            look::<L>(&mut found, &last);
            any(found)
        }
        8.. => {
            let (first, last) = ends(to, from)?;
            L::word(u64::from_le_bytes(first)) | L::word(u64::from_le_bytes(last))
        }
        4.. => {
            let (first, last) = ends(to, from)?;
            let (first, last) = (u32::from_le_bytes(first), u32::from_le_bytes(last));
            L::word(u64::from(first) | u64::from(last) << 32)
        }
        2.. => {
            let (first, last) = ends(to, from)?;
            let (first, last) = (u16::from_le_bytes(first), u16::from_le_bytes(last));
            let half = u64::from(first) | u64::from(last) << 16;
            L::word(half) & 0xffff_ffff
        }
        1 => {
            let (_, [only]) = ends(to, from)?;
            L::word(u64::from(only)) & 0xff
        }
        0 => 0,
    })
}

#[inline(always)]
fn look<L: Look>(found: &mut [u8; 16], octets: &[u8; 16]) {
    for (found, &octet) in found.iter_mut().zip(octets) {
        *found |= L::lane(octet);
    }
}

/// Not zero if any lane is not.
#[inline(always)]
fn any(found: [u8; 16]) -> u64 {
    // Else the loop before it is taken apart, for the sake of the two halves, and is no vector code.
    let found = black_box(found);
    let ([low, high], _) = found.as_chunks() else { return 0 };
    u64::from_le_bytes(*low) | u64::from_le_bytes(*high)
}

/// The first `N` octets and the last, copied.
#[inline(always)]
fn ends<const N: usize>(to: &mut [u8], from: &[u8]) -> Option<([u8; N], [u8; N])> {
    let first = *from.first_chunk()?;
    *to.first_chunk_mut()? = first;
    Some((first, last(to, from)?))
}

/// The last `N` octets, copied.
#[inline(always)]
fn last<const N: usize>(to: &mut [u8], from: &[u8]) -> Option<[u8; N]> {
    let last = *from.last_chunk()?;
    *to.last_chunk_mut()? = last;
    Some(last)
}

/// Copies `from` to `to`, which is as long. Most of what a head is made of is short, and the lengths
/// vary: two copies of a fixed size, which overlap, cost less than a call that has to find that out.
#[inline(always)]
pub(crate) fn plain(to: &mut [u8], from: &[u8]) {
    #[inline(always)]
    fn both<const N: usize>(to: &mut [u8], from: &[u8]) {
        let _: Option<([u8; N], [u8; N])> = ends(to, from);
    }
    match from.len() {
        0 => {}
        1 => both::<1>(to, from),
        2..4 => both::<2>(to, from),
        4..8 => both::<4>(to, from),
        8..16 => both::<8>(to, from),
        16..=32 => both::<16>(to, from),
        33..=64 => both::<32>(to, from),
        65..=128 => both::<64>(to, from),
        _ => to.copy_from_slice(from),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every octet at every place of every length up to three vectors, alone and before another.
    fn finds<L: Look>(name: &str, usual: impl Fn(u8) -> bool) {
        for len in 0..52 {
            for at in 0..len {
                for b in 0..=255u8 {
                    let mut from = vec![b'x'; len];
                    from[at] = b;
                    let other = usual(b) && b % 2 == 0 && at + 1 < len;
                    if other {
                        from[at + 1] = 0x80;
                    }
                    let mut to = vec![0; len];
                    let nothing = looking::<L>(&mut to, &from);
                    assert_eq!(nothing, usual(b) && !other, "{name}: {b} at {at} of {len}");
                    assert_eq!(to, from);
                    to.fill(0);
                    plain(&mut to, &from);
                    assert_eq!(to, from);
                }
            }
        }
        assert!(looking::<L>(&mut [], &[]));
    }

    #[test]
    fn what_a_name_seldom_has() {
        finds::<Name>("name", |b| b.is_ascii_alphabetic() || b == b'-');
    }

    #[test]
    fn what_a_value_seldom_has() {
        finds::<Value>("value", |b| (0x20..0x7f).contains(&b));
    }

    #[test]
    fn what_a_target_seldom_has() {
        finds::<Target>("target", |b| (0x21..0x7f).contains(&b) && b != b'#');
    }

    #[test]
    fn long_texts_are_copied_whole() {
        for len in [64, 65, 100, 128, 129, 200, 255] {
            let from: Vec<u8> = (0..len).collect();
            let mut to = vec![0xff; from.len()];
            plain(&mut to, &from);
            assert_eq!(to, from);
            to.fill(0xff);
            assert!(!looking::<Value>(&mut to, &from));
            assert_eq!(to, from);
        }
    }
}
