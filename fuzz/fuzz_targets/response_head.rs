#![no_main]

use keepalive_fuzz::common::codec;

libfuzzer_sys::fuzz_target!(|data: &[u8]| codec::response_head(data));
