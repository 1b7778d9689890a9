#![no_main]

use keepalive_fuzz::common::framing;

libfuzzer_sys::fuzz_target!(|data: &[u8]| framing::framing(data));
