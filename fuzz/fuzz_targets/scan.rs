#![no_main]

use keepalive_fuzz::common::scan;

libfuzzer_sys::fuzz_target!(|data: &[u8]| scan::scan(data));
