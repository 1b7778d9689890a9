#![no_main]

use keepalive_fuzz::common::fuzz;

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::server_ops(data));
