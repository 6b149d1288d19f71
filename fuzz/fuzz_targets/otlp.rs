#![no_main]

#[path = "../targets/mod.rs"]
#[expect(dead_code, reason = "each binary is one of them")]
mod targets;

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::otlp::run(data));
