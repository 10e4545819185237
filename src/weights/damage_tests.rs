use super::*;
use crate::weights::tests::{DEMO, tensor_file};
use std::fs;
use std::path::Path;

/// A file with these bytes at the beginning of one tensor of zeros, of a type and length.
fn damaged(dtype: &str, length: usize, bytes: &[u8]) -> Vec<DamagedTensor> {
    let mut file = tensor_file(&[("unet.conv_in.weight", dtype, &[length])]);
    let start = file.len() - length * bits(dtype) / 8;
    file[start..start + bytes.len()].copy_from_slice(bytes);
    let path = tempfile::NamedTempFile::new().unwrap();
    fs::write(path.path(), file).unwrap();
    ModelFiles::new(path.path()).damaged_tensors().unwrap()
}

fn bits(dtype: &str) -> usize {
    match dtype {
        "F32" => 32,
        "F16" | "BF16" => 16,
        _ => 8,
    }
}

#[test]
fn nan_and_infinity_are_counted_in_every_type() {
    for (dtype, nan, infinity, finite) in [
        (
            "F32",
            &[0, 0, 0xc0, 0x7f][..],
            &[0, 0, 0x80, 0xff][..],
            &[0xff, 0xff, 0x7f, 0x7f][..],
        ),
        ("F16", &[1, 0x7c], &[0, 0xfc], &[0xff, 0x7b]),
        ("BF16", &[0xc0, 0x7f], &[0x80, 0xff], &[0x7f, 0x7f]),
        ("F8_E4M3", &[0x7f], &[0xff], &[0x7e]),
        ("F8_E5M2", &[0x7d], &[0xfc], &[0x7b]),
    ] {
        for (bytes, count) in [(nan, 1), (infinity, 1), (finite, 0)] {
            let found = damaged(dtype, 5, bytes);
            let counts = found.iter().map(|tensor| tensor.damaged_count);
            assert_eq!(counts.sum::<usize>(), count, "{dtype} {bytes:?}");
        }
        let [found] = &damaged(dtype, 300_000, &nan.repeat(200_001))[..] else {
            panic!("{dtype}: one tensor is damaged");
        };
        assert_eq!(
            found.to_string(),
            "unet.conv_in.weight (200001 of 300000 elements)"
        );
    }
}

#[test]
fn integers_and_sound_files_have_no_damage() {
    assert_eq!(damaged("I8", 4, &[0x7f, 0xff, 0x7f, 0xff]), []);
    assert_eq!(
        ModelFiles::new(Path::new(DEMO)).damaged_tensors().unwrap(),
        []
    );
}
