use super::*;

const TWO: &str = r#"{"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]},"b":{"dtype":"F16","shape":[3],"data_offsets":[8,14]}}"#;

/// A file with this header and so many bytes of data.
fn file(header: impl AsRef<[u8]>, data_bytes: usize) -> Vec<u8> {
    let header = header.as_ref();
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend_from_slice(header);
    file.resize(file.len() + data_bytes, 0);
    file
}

/// The header of one tensor.
fn one(dtype: &str, shape: &str, offsets: &str) -> String {
    format!(r#"{{"t":{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}}}}}"#)
}

#[track_caller]
fn assert_refused(file: &[u8], words: &str) {
    let reason = parse(file).expect_err("the file should be refused");
    assert!(
        reason.contains(words),
        "{reason:?} should contain {words:?}"
    );
    assert!(reason.contains(';'), "{reason:?} should say what to do");
    assert!(
        reason.chars().count() < 600,
        "{} characters are no sentence",
        reason.len()
    );
}

#[test]
fn a_sound_file_is_read() {
    let header = parse(&file(TWO, 14)).unwrap();
    let seen: Vec<_> = header
        .entries
        .iter()
        .map(|e| {
            (
                e.name.as_str(),
                e.dtype.code(),
                e.shape.dims(),
                e.range.len(),
            )
        })
        .collect();
    assert_eq!(
        seen,
        [("a", "F32", &[2, 1][..], 8), ("b", "F16", &[3][..], 6)]
    );
    assert_eq!(header.entries[0].range.start, 8 + TWO.len());
    assert_eq!(header.metadata["format"], "pt");
}

#[test]
fn header_may_be_padded_with_spaces() {
    assert!(parse(&file(format!("{TWO}     "), 14)).is_ok());
}

#[test]
fn tensors_may_stand_in_any_order_in_the_header() {
    let header = r#"{"b":{"dtype":"U8","shape":[1],"data_offsets":[1,2]},"a":{"dtype":"U8","shape":[1],"data_offsets":[2,3]},"c":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#;
    let names: Vec<_> = parse(&file(header, 3))
        .unwrap()
        .entries
        .into_iter()
        .map(|e| e.name)
        .collect();
    assert_eq!(names, ["c", "b", "a"]);
}

#[test]
fn empty_and_scalar_tensors_are_allowed() {
    assert!(parse(&file(one("F32", "[0,9223372036854775807]", "[0,0]"), 0)).is_ok());
    assert!(parse(&file(one("F32", "[]", "[0,4]"), 4)).is_ok());
    assert!(parse(&file("{}", 0)).is_ok());
}

#[test]
fn an_empty_file_is_refused() {
    assert_refused(b"", "is empty");
}

#[test]
fn seven_bytes_are_refused() {
    assert_refused(&[1, 0, 0, 0, 0, 0, 0], "7 bytes long");
}

#[test]
fn a_header_of_no_bytes_is_refused() {
    assert_refused(&[0; 8], "header of 0 bytes");
    assert_refused(&[0; 800], "header of 0 bytes");
}

#[test]
fn a_header_as_long_as_the_file_is_refused() {
    let mut bytes = file(TWO, 14);
    let length = bytes.len() as u64;
    bytes[..8].copy_from_slice(&length.to_le_bytes());
    assert_refused(&bytes, "incomplete download");
}

#[test]
fn absurd_header_lengths_are_refused() {
    for length in [1 << 63, u64::MAX, u64::MAX - 7, 100_000_001] {
        let mut bytes = file(TWO, 14);
        bytes[..8].copy_from_slice(&length.to_le_bytes());
        assert_refused(&bytes, "is not a safetensors file");
    }
}

#[test]
fn a_truncated_header_is_an_incomplete_download() {
    let bytes = file(TWO, 14);
    assert_refused(&bytes[..60], "incomplete download");
}

#[test]
fn truncated_data_is_an_incomplete_download() {
    let bytes = file(TWO, 14);
    let (all, half) = (bytes.len(), bytes.len() - 7);
    assert_refused(
        &bytes[..half],
        &format!("its header promises {all} bytes, the file has {half}"),
    );
}

#[test]
fn json_that_ends_early_is_refused() {
    assert_refused(&file("{", 0), "ends in the middle of its JSON");
    assert_refused(&file(&TWO[..70], 14), "ends in the middle of its JSON");
}

#[test]
fn a_header_that_is_not_utf8_is_refused() {
    assert_refused(&file(b"{\"\xff\xfe\":{}}", 0), "not UTF-8 (at byte 10)");
}

#[test]
fn a_header_that_is_no_object_is_refused() {
    assert_refused(&file("[]", 0), "no JSON header");
    assert_refused(&file("{\"a\":[]}", 0), "malformed header");
    assert_refused(&file("{\"a\":1}", 0), "malformed header");
    assert_refused(&file("{\"__metadata__\":{\"a\":1}}", 0), "malformed header");
    assert_refused(&file("{} {}", 0), "malformed header");
}

#[test]
fn deep_json_is_refused_without_deep_recursion() {
    let deep = "[".repeat(100_000);
    assert_refused(&file(format!("{{\"a\":{deep}"), 0), "malformed header");
    assert_refused(
        &file(format!("{{\"a\":{{\"shape\":{deep}"), 0),
        "malformed header",
    );
    assert_refused(&file(format!("{{\"a\":{{\"other\":{deep}"), 0), "header");
    assert_refused(&file("{\"a\":".repeat(100_000), 0), "header");
}

#[test]
fn duplicate_keys_are_refused() {
    let entry = r#"{"dtype":"U8","shape":[1],"data_offsets":[0,1]}"#;
    assert_refused(
        &file(format!(r#"{{"t":{entry},"t":{entry}}}"#), 1),
        r#""t" is there twice"#,
    );
    assert_refused(
        &file(format!(r#"{{"t":{entry},"\u0074":{entry}}}"#), 1),
        r#""t" is there twice"#,
    );
    assert_refused(
        &file(r#"{"__metadata__":{},"__metadata__":{}}"#, 0),
        "is there twice",
    );
    assert_refused(
        &file(r#"{"__metadata__":{"k":"1","k":"2"}}"#, 0),
        r#""k" is there twice"#,
    );
    let twice = r#"{"t":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#;
    assert_refused(&file(twice, 1), "duplicate field");
}

#[test]
fn offsets_that_run_backwards_are_refused() {
    assert_refused(&file(one("U8", "[1]", "[1,0]"), 1), "before its start");
}

#[test]
fn overlapping_tensors_are_refused() {
    let header = r#"{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}"#;
    assert_refused(&file(header, 3), "tensor \"b\" overlaps another");
}

#[test]
fn holes_are_refused() {
    assert_refused(&file(one("U8", "[1]", "[1,2]"), 2), "leaves a hole");
}

#[test]
fn offsets_past_the_end_are_refused() {
    assert_refused(&file(one("U8", "[8]", "[0,8]"), 4), "incomplete download");
    let huge = 1u64 << 60;
    assert_refused(
        &file(one("U8", &format!("[{huge}]"), &format!("[0,{huge}]")), 4),
        "incomplete download",
    );
}

#[test]
fn trailing_bytes_are_refused() {
    assert_refused(&file(TWO, 15), "has 1 bytes after its last tensor");
    assert_refused(&file("{}", 7), "has 7 bytes after its last tensor");
}

#[test]
fn sizes_that_overflow_are_refused() {
    assert_refused(
        &file(one("F32", "[4294967296,4294967296]", "[0,4]"), 4),
        "no possible size",
    );
    assert_refused(
        &file(one("F32", "[9223372036854775808]", "[0,4]"), 4),
        "no possible size",
    );
    assert_refused(
        &file(one("F32", "[18446744073709551616]", "[0,4]"), 4),
        "malformed header",
    );
}

#[test]
fn sizes_that_end_inside_a_byte_are_refused() {
    assert_refused(&file(one("F4", "[1]", "[0,1]"), 1), "no possible size");
}

#[test]
fn sizes_that_do_not_fit_the_offsets_are_refused() {
    assert_refused(
        &file(one("F32", "[2]", "[0,4]"), 4),
        "needs 8 bytes, but has 4",
    );
}

#[test]
fn negative_and_fractional_axes_are_refused() {
    assert_refused(&file(one("F32", "[-1]", "[0,4]"), 4), "malformed header");
    assert_refused(&file(one("F32", "[1.5]", "[0,4]"), 4), "malformed header");
}

#[test]
fn an_unknown_element_type_is_refused_and_named() {
    assert_refused(
        &file(one("Q4_K", "[1]", "[0,1]"), 1),
        r#"element type "Q4_K" is not known"#,
    );
}

#[test]
fn more_than_five_axes_are_refused() {
    assert!(parse(&file(one("U8", "[1,1,1,1,1]", "[0,1]"), 1)).is_ok());
    assert_refused(
        &file(one("U8", "[1,1,1,1,1,1]", "[0,1]"), 1),
        "more than 5 axes",
    );
    let many = format!("[{}1]", "1,".repeat(1_000_000));
    assert_refused(&file(one("U8", &many, "[0,1]"), 1), "more than 5 axes");
}

#[test]
fn names_in_messages_are_escaped_and_short() {
    let name = format!("\\u001b[31m{}", "x".repeat(100_000));
    let header = format!(r#"{{"{name}":{{"dtype":"U8","shape":[9],"data_offsets":[0,1]}}}}"#);
    let reason = parse(&file(header, 1)).unwrap_err();
    assert!(!reason.contains('\u{1b}'));
    assert!(reason.len() < 400);
}

#[test]
fn pickles_are_told_as_pickles() {
    let legacy = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.";
    let zip = b"PK\x03\x04\x00\x00\x08\x08\x00\x00\x00\x00\x00\x00archive/data.pkl";
    let zip_of_plausible_length =
        b"PK\x03\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00archive/data.pkl";
    for bytes in [
        &legacy[..],
        zip,
        zip_of_plausible_length,
        b"\x80\x04\x95\x00\x00\x00\x00\x00\x00",
    ] {
        assert_refused(
            bytes,
            "is a pickle checkpoint, which can run code when opened; convert it",
        );
    }
}

#[test]
fn a_header_length_that_looks_like_a_pickle_is_read() {
    let header = format!("{:<1$}", "{}", 0x0280); // 80 02 00 00 …
    assert!(parse(&file(header, 0)).is_ok());
}

#[test]
fn web_answers_are_told_as_such() {
    assert_refused(b"<!DOCTYPE html>\n<html lang=\"en\">", "is a web page");
    assert_refused(b"\n  <html><head><title>Log in</title>", "is a web page");
    assert_refused(
        b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 7",
        "is a Git LFS pointer",
    );
    assert_refused(
        b"Access to model x/y is restricted. You must be authenticated",
        "is a site's refusal",
    );
    assert_refused(
        b"{\"error\":\"Access to model x/y is restricted\"}",
        "is a site's refusal",
    );
    assert_refused(b"Invalid username or password.", "is a site's refusal");
    assert_refused(
        b"Entry not found",
        "is a text file, not a model (it begins \"entry not found\")",
    );
}

#[test]
fn other_formats_are_told_as_such() {
    assert_refused(
        b"GGUF\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00",
        "is a GGUF file",
    );
    assert_refused(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "is a PNG picture");
    assert_refused(
        b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03",
        "is a gzip archive",
    );
    assert_refused(&[0xa5; 64], "is not a safetensors file");
}

/// The `safetensors` crate is the reference: what it refuses is refused here, whatever the damage.
#[test]
fn nothing_is_accepted_that_the_reference_refuses() {
    let sound = file(TWO, 14);
    let mut random = 1u64;
    let mut next = |below: usize| {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(random >> 33).unwrap() % below
    };
    let mut accepted = 0;
    for _ in 0..20_000 {
        let mut bytes = sound.clone();
        for _ in 0..=next(2) {
            let at = next(bytes.len());
            match next(4) {
                0 => bytes[at] = b"0123456789[]{},:\"abF"[next(20)],
                1 => bytes[at] ^= 1 << next(8),
                2 => {
                    bytes.remove(at);
                }
                _ => bytes.insert(at, b"0123456789[]{},:\"abF"[next(20)]),
            }
        }
        if parse(&bytes).is_ok() {
            accepted += 1;
            let reference = safetensors::SafeTensors::read_metadata(&bytes);
            assert!(
                reference.is_ok(),
                "{reference:?}: {}",
                String::from_utf8_lossy(&bytes)
            );
        }
    }
    assert!(
        accepted > 100,
        "only {accepted} of the damaged files were still sound"
    );
}
