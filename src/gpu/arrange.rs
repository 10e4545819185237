//! A weight's bytes as the device has them: as stored, or turned on the CPU while they are staged.

use crate::tensor::{Layout, Param};
use rayon::prelude::*;
use std::ops::Range;

/// Bytes that are turned at once: with what they are read from, they stay in the CPU's cache.
const BLOCK_BYTES: usize = 1 << 20;
/// Rows that a thread turns at least: fewer take less time than handing them to it.
const MIN_ROWS: usize = 16;

/// A weight's bytes in the order of the device.
pub(super) struct Arranged<'a> {
    stored: &'a [u8],
    turned: Option<Turned>,
}

/// How elements move: within each of a weight's outputs, a matrix of channels and taps is
/// transposed, so that each tap has its channels in a row.
#[derive(Clone, Copy)]
struct Turned {
    channels: usize,
    taps: usize,
    element_bytes: usize,
}

impl<'a> Arranged<'a> {
    /// The bytes of `param`, of which `stored` are those in the file. A convolution of one pixel
    /// lies on the device as it is stored.
    pub(super) fn new(param: &Param, stored: &'a [u8]) -> Self {
        let dim = |axis| param.shape.dim(axis);
        let matrix = match param.layout {
            Layout::AsStored => None,
            Layout::Transposed => Some((dim(1), dim(0))),
            Layout::ChannelsLast => Some((dim(3), dim(1) * dim(2))),
        };
        let matrix = matrix.filter(|&(channels, taps)| channels > 1 && taps > 1);
        let element_bytes = param.dtype.size_bytes();
        Self {
            stored,
            turned: matrix.map(|(channels, taps)| Turned {
                channels,
                taps,
                element_bytes,
            }),
        }
    }

    /// How many bytes there are.
    pub(super) fn len(&self) -> usize {
        self.stored.len()
    }

    /// What of the bytes from `start` on goes into `room` bytes at once: whole rows and, unless it
    /// is the end, whole words. It is empty where there is too little room.
    pub(super) fn part(&self, start: usize, room: usize) -> Range<usize> {
        let end = self.stored.len().min(start + room);
        if end == self.stored.len() {
            return start..end;
        }
        let whole = (end - start) / self.unit() * self.unit();
        start..start + whole
    }

    /// Hands the bytes of a [`Arranged::part`] to `write`, with the place of each piece within the
    /// part; pieces that are turned go through `scratch`.
    pub(super) fn write(
        &self,
        part: Range<usize>,
        scratch: &mut Vec<u8>,
        mut write: impl FnMut(usize, &[u8]),
    ) {
        let Some(turned) = self.turned else {
            return write(0, &self.stored[part]);
        };
        let unit = self.unit();
        let block = (BLOCK_BYTES / unit).max(1) * unit;
        for start in part.clone().step_by(block) {
            let end = part.end.min(start + block);
            scratch.resize(end - start, 0);
            turned.read(self.stored, start, scratch);
            write(start - part.start, scratch);
        }
    }

    /// The least number of bytes that are whole rows and whole words.
    fn unit(&self) -> usize {
        let row = self.turned.map_or(1, |turned| turned.row_bytes());
        (1..=4)
            .map(|rows| rows * row)
            .find(|bytes| bytes % 4 == 0)
            .unwrap_or(4 * row)
    }
}

impl Turned {
    fn row_bytes(self) -> usize {
        self.channels * self.element_bytes
    }

    /// Fills `rows` with the turned bytes from `start` on; both are whole rows.
    fn read(self, stored: &[u8], start: usize, rows: &mut [u8]) {
        match self.element_bytes {
            1 => self.read_elements::<1>(stored, start, rows),
            2 => self.read_elements::<2>(stored, start, rows),
            _ => self.read_elements::<4>(stored, start, rows),
        }
    }

    fn read_elements<const BYTES: usize>(self, stored: &[u8], start: usize, rows: &mut [u8]) {
        let Self { channels, taps, .. } = self;
        let (stored, _) = stored.as_chunks::<BYTES>();
        let (elements, _) = rows.as_chunks_mut::<BYTES>();
        let first = start / self.row_bytes();
        elements
            .par_chunks_exact_mut(channels)
            .with_min_len(MIN_ROWS)
            .enumerate()
            .for_each(|(row, elements)| {
                let (output, tap) = ((first + row) / taps, (first + row) % taps);
                let matrix = &stored[output * channels * taps..][..channels * taps];
                let column = matrix[tap..].iter().step_by(taps);
                for (to, from) in elements.iter_mut().zip(column) {
                    *to = *from;
                }
            });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::{DType, Shape};

    /// What a ring with stages of `room` bytes would send, which must be whole words to its end.
    fn sent(param: &Param, stored: &[u8], room: usize) -> Vec<u8> {
        let arranged = Arranged::new(param, stored);
        let (mut bytes, mut scratch) = (Vec::new(), Vec::new());
        while bytes.len() < arranged.len() {
            let part = arranged.part(bytes.len(), room);
            assert!(!part.is_empty() && part.len() <= room);
            assert!(part.end == arranged.len() || part.len().is_multiple_of(4));
            let start = bytes.len();
            arranged.write(part, &mut scratch, |at, piece| {
                assert_eq!(start + at, bytes.len(), "pieces follow one another");
                bytes.extend_from_slice(piece);
            });
        }
        bytes
    }

    fn param(shape: impl Into<Shape>, dtype: DType, layout: Layout) -> Param {
        Param {
            name: "a weight".into(),
            shape: shape.into(),
            dtype,
            layout,
        }
    }

    /// Bytes that tell their places.
    fn numbered(count: usize) -> Vec<u8> {
        let words = (0_u32..).map(|i| i.wrapping_mul(0x9e37_79b9));
        let bytes = words.flat_map(u32::to_le_bytes);
        bytes.take(count).collect()
    }

    #[test]
    fn channels_come_last_whatever_the_room() {
        for (outputs, channels, taps) in
            [(5, 3, 9), (7, 2, 4), (3, 33, 9), (2, 1281, 9), (9, 64, 25)]
        {
            for dtype in [DType::F32, DType::F16, DType::F8E4m3] {
                let size = dtype.size_bytes();
                let weight = param([outputs, 1, taps, channels], dtype, Layout::ChannelsLast);
                let stored = numbered(weight.size_bytes());
                let element = |o, c, t| &stored[((o * channels + c) * taps + t) * size..][..size];
                let mut expected = Vec::new();
                for o in 0..outputs {
                    for t in 0..taps {
                        for c in 0..channels {
                            expected.extend_from_slice(element(o, c, t));
                        }
                    }
                }
                for room in [
                    4 * channels * size,
                    6 * channels * size + 2,
                    usize::MAX >> 1,
                ] {
                    assert_eq!(
                        sent(&weight, &stored, room),
                        expected,
                        "{weight:?} in {room}"
                    );
                }
            }
        }
    }

    #[test]
    fn what_lies_as_stored_is_not_touched() {
        let one_pixel = param([6, 1, 1, 5], DType::F16, Layout::ChannelsLast);
        let one_channel = param([6, 3, 3, 1], DType::F16, Layout::ChannelsLast);
        let plain = param([7, 3], DType::F16, Layout::AsStored);
        for weight in [one_pixel, one_channel, plain] {
            let stored = numbered(weight.size_bytes());
            assert_eq!(sent(&weight, &stored, 10), stored, "{weight:?}");
        }
    }

    #[test]
    fn a_matrix_of_several_blocks_is_transposed() {
        let (rows, columns) = (1300, 701);
        let weight = param([rows, columns], DType::F16, Layout::Transposed);
        let stored = numbered(weight.size_bytes());
        let found = sent(&weight, &stored, usize::MAX >> 1);
        for (row, column) in [(0, 0), (1, 0), (0, 1), (1299, 700), (640, 350)] {
            let found = &found[(row * columns + column) * 2..][..2];
            assert_eq!(
                found,
                &stored[(column * rows + row) * 2..][..2],
                "{row}, {column}"
            );
        }
    }
}
