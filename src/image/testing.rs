//! PNG files made chunk by chunk (W3C PNG, third edition, §5), for tests that need odd ones.

use std::io::Write;

use flate2::{Compress, Compression, FlushCompress, write::ZlibEncoder};

/// The signature.
pub(super) const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";

/// A chunk with its length and checksum.
pub(super) fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let length = u32::try_from(data.len()).unwrap();
    let body = [&kind[..], data].concat();
    let checksum = crc32(&body);
    [
        &length.to_be_bytes(),
        body.as_slice(),
        &checksum.to_be_bytes(),
    ]
    .concat()
}

/// The header of an 8-bit grey picture.
pub(super) fn header(width: u32, height: u32) -> Vec<u8> {
    let sides = [width.to_be_bytes(), height.to_be_bytes()].concat();
    chunk(b"IHDR", &[&sides[..], &[8, 0, 0, 0, 0]].concat())
}

/// A grey picture of one pixel with chunks in front of the pixel and behind it.
pub(super) fn one_pixel(before: &[u8], after: &[u8]) -> Vec<u8> {
    let pixel = chunk(b"IDAT", &zlib(&[0, 7]));
    let end = chunk(b"IEND", &[]);
    [SIGNATURE, &header(1, 1), before, &pixel, after, &end].concat()
}

/// A `zTXt` chunk of data that is compressed already.
pub(super) fn compressed_text(keyword: &str, data: &[u8]) -> Vec<u8> {
    chunk(b"zTXt", &[keyword.as_bytes(), &[0, 0], data].concat())
}

/// Bytes as a zlib stream.
pub(super) fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A zlib stream that inflates to `mebibytes` of zeros and does not end: its blocks are copies of
/// one, so that a gibibyte is made in no time.
pub(super) fn bomb(mebibytes: usize) -> Vec<u8> {
    let mut compress = Compress::new(Compression::best(), true);
    let zeros = vec![0; 1 << 20];
    let mut block = || {
        let mut block = Vec::with_capacity(1 << 16);
        compress
            .compress_vec(&zeros, &mut block, FlushCompress::Full)
            .unwrap();
        block
    };
    let (first, copy) = (block(), block());
    [first, copy.repeat(mebibytes - 1)].concat()
}

/// PNG's checksum (ISO 3309), bit by bit.
pub(super) fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ if crc & 1 == 1 { 0xEDB8_8320 } else { 0 }
        })
    })
}
