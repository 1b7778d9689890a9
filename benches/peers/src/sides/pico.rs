//! picohttpparser, in C, built for SSE 4.2: a parser alone.

use super::Parsed;
use picohttpparser_sys::{phr_header, phr_parse_request};
use std::ffi::c_char;
use std::hint::black_box;
use std::mem::MaybeUninit;
use std::ptr::null;

const SLOTS: usize = 64;

/// What it found: pointers into the bytes.
struct Found {
    method: (*const c_char, usize),
    target: (*const c_char, usize),
    count: usize,
}

#[inline]
fn parse(bytes: &[u8], slots: &mut [MaybeUninit<phr_header>; SLOTS]) -> Found {
    let mut found = Found { method: (null(), 0), target: (null(), 0), count: SLOTS };
    let mut minor = 0;
    // SAFETY: the bytes and the slots are as long as is said, and outlive the call; it writes to no
    // more slots than it is told of.
    let n = unsafe {
        phr_parse_request(
            bytes.as_ptr().cast(),
            bytes.len(),
            &mut found.method.0,
            &mut found.method.1,
            &mut found.target.0,
            &mut found.target.1,
            &mut minor,
            slots.as_mut_ptr().cast(),
            &mut found.count,
            0,
        )
    };
    assert!(n > 0, "pico: {n}");
    found
}

#[inline]
pub fn parse_only(bytes: &[u8]) {
    let mut slots = [const { MaybeUninit::uninit() }; SLOTS];
    let found = parse(bytes, &mut slots);
    black_box((&found, &slots));
}

pub fn parsed(bytes: &[u8]) -> Parsed {
    let mut slots = [const { MaybeUninit::uninit() }; SLOTS];
    let found = parse(bytes, &mut slots);
    // SAFETY: all of them point into `bytes`, and so many slots were written.
    let slice = |at: *const c_char, len| unsafe { std::slice::from_raw_parts(at.cast(), len) };
    let fields = slots[..found.count].iter().map(|slot| {
        // SAFETY: as above.
        let header = unsafe { slot.assume_init_ref() };
        (slice(header.name, header.name_len), slice(header.value, header.value_len))
    });
    Parsed::new(
        slice(found.method.0, found.method.1),
        slice(found.target.0, found.target.1),
        fields,
    )
}
