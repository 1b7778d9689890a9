#![no_main]

use keepalive_fuzz::common::forward;

libfuzzer_sys::fuzz_target!(|data: &[u8]| forward::forward(data));
