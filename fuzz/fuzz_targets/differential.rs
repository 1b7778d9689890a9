#![no_main]

use keepalive_fuzz::common::differential;

libfuzzer_sys::fuzz_target!(|data: &[u8]| differential::differential(data));
