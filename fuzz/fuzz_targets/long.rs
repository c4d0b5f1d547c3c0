#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sarb_fuzz::long(bytes));
