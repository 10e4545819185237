//! The `parameters` text of A1111, and the request that it becomes.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| aquatint::fuzzing::parameters(text));
