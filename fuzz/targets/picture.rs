//! A PNG file's size and texts, whatever its pixels.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| aquatint::fuzzing::picture(bytes));
