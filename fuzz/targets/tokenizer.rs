//! A text on its way to token ids.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| aquatint::fuzzing::tokenizer(text));
