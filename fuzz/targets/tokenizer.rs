//! A text as a prompt of every style.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    aquatint::fuzzing::edits(text);
    aquatint::fuzzing::tokenizer(text);
});
