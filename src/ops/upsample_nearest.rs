//! Nearest-neighbour enlargement to a given size.

use super::elementwise;
use crate::tensor::{Array, Caps, Checked, Dispatch, Io, Lanes, Op, Operand, Shape, Tensor};

/// `[N, H, W, C]` → `[N, height, width, C]`, pixel `y` taken from row `⌊y·H/height⌋`, as torch's `nearest`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UpsampleNearest {
    /// Rows of the result.
    pub(crate) height: usize,
    /// Columns of the result.
    pub(crate) width: usize,
}

impl Op for UpsampleNearest {
    fn name(&self) -> &'static str {
        "upsample_nearest"
    }

    fn shape(&self, inputs: &[Shape]) -> Checked<Shape> {
        let x = inputs[0];
        if x.rank() == 4 {
            Ok(Shape::from([x.dim(0), self.height, self.width, x.dim(3)]))
        } else {
            Err(format!("{x} is not [N, H, W, C]"))
        }
    }

    fn lower(&self, io: &Io, _caps: &Caps) -> Vec<Dispatch> {
        let x = io.inputs[0];
        let lanes = Lanes::dividing(&[x.shape.last()]);
        let dispatch = elementwise("upsample_nearest", lanes, io.output.shape.len())
            .read("x", Operand::Input(0), x.dtype, lanes)
            .write("y", io.output, lanes)
            .param("in_height", x.shape.dim(1))
            .param("in_width", x.shape.dim(2))
            .param("out_height", self.height)
            .param("out_width", self.width)
            .param("channels", x.shape.last() / lanes.count());
        vec![dispatch]
    }

    fn reference(&self, inputs: &[&Array]) -> Array {
        let x = inputs[0];
        let [batch, in_height, in_width, channels] = [0, 1, 2, 3].map(|axis| x.shape().dim(axis));
        let mut data = Vec::with_capacity(batch * self.height * self.width * channels);
        for n in 0..batch {
            for row in 0..self.height {
                for column in 0..self.width {
                    let (from_row, from_column) = (
                        row * in_height / self.height,
                        column * in_width / self.width,
                    );
                    let start = ((n * in_height + from_row) * in_width + from_column) * channels;
                    data.extend_from_slice(&x.data()[start..start + channels]);
                }
            }
        }
        Array::new([batch, self.height, self.width, channels], data)
    }

    fn flops(&self, _io: &Io) -> u64 {
        0
    }
}

impl<'g> Tensor<'g> {
    /// `[N, H, W, C]` → `[N, height, width, C]`, each pixel repeated.
    pub(crate) fn upsample_nearest(self, height: usize, width: usize) -> Tensor<'g> {
        self.apply(UpsampleNearest { height, width }, &[])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::op_test;

    const ODD: UpsampleNearest = UpsampleNearest {
        height: 9,
        width: 13,
    };
    const TWICE: UpsampleNearest = UpsampleNearest {
        height: 10,
        width: 6,
    };

    op_test!(upsample_to_odd: [ODD], [[1, 5, 7, 3], [2, 5, 7, 8], [35851, 1, 1, 1]], f32 = 0.0, f16 = 0.0);
    op_test!(upsample_twice: [TWICE], [[1, 5, 3, 3], [2, 5, 3, 8]], f32 = 0.0, f16 = 0.0);
}
