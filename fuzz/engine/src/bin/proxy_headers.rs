#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| postern_fuzz::proxy_headers::run(octets));
