//! Two-dimensional convolution, channels last, as an implicit matrix product.

use super::{
    UpsampleNearest,
    arithmetic::dot,
    epilogue::Epilogue,
    load::Load,
    select::{Product, fits_halves},
};
use crate::tensor::{
    Array, Caps, Checked, Const, DType, Dispatch, Io, Op, Operand, Param, Shape, Tensor, Wrap,
};
use rayon::prelude::*;

/// What is added around a picture before a convolution, in pixels: zeros, or where edges join, what lies at
/// the opposite one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Padding {
    /// Rows above.
    pub top: usize,
    /// Columns on the left.
    pub left: usize,
    /// Rows below.
    pub bottom: usize,
    /// Columns on the right.
    pub right: usize,
}

impl Padding {
    /// As many on every side.
    pub(crate) const fn same(pixels: usize) -> Self {
        Self {
            top: pixels,
            left: pixels,
            bottom: pixels,
            right: pixels,
        }
    }
}

/// What of a convolution its weight does not tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Conv2dGeometry {
    /// Pixels between neighbouring windows, in both directions.
    pub stride: usize,
    /// Pixels around the picture.
    pub padding: Padding,
}

impl Conv2dGeometry {
    /// Rows and columns of the result; `None` where the window does not fit even once.
    fn output(&self, input: [usize; 2], kernel: [usize; 2]) -> Option<[usize; 2]> {
        let Padding {
            top,
            left,
            bottom,
            right,
        } = self.padding;
        let height = (input[0] + top + bottom).checked_sub(kernel[0])? / self.stride + 1;
        let width = (input[1] + left + right).checked_sub(kernel[1])? / self.stride + 1;
        Some([height, width])
    }
}

/// x `[N, H, W, C]`, weight `[O, KH, KW, C]`, bias `[O]` if any → `[N, H', W', O]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Conv2d {
    /// Where the windows lie.
    pub(crate) geometry: Conv2dGeometry,
    /// The height and width that x is enlarged to before, each pixel from its nearest.
    pub(crate) enlarged: Option<[usize; 2]>,
    /// Which edges of the picture join.
    pub(crate) wrap: Wrap,
    /// What its pixels are made of.
    pub(crate) load: Load,
    /// What follows in the same kernel.
    pub(crate) epilogue: Epilogue,
}

impl Conv2d {
    /// A convolution that nothing follows.
    pub(crate) const fn plain(geometry: Conv2dGeometry) -> Self {
        Self {
            geometry,
            enlarged: None,
            wrap: Wrap::NONE,
            load: Load::PLAIN,
            epilogue: Epilogue::NONE,
        }
    }

    /// The height and width that windows are taken from.
    fn picture(&self, x: Shape) -> [usize; 2] {
        self.enlarged.unwrap_or([x.dim(1), x.dim(2)])
    }

    /// The product's shape.
    fn product(&self, x: Shape, weight: Shape) -> Checked<Shape> {
        if x.rank() != 4 || weight.rank() != 4 || x.last() != weight.last() {
            return Err(format!("x {x} does not fit weight {weight}"));
        }
        let kernel = [weight.dim(1), weight.dim(2)];
        let output = self.geometry.output(self.picture(x), kernel);
        let [height, width] =
            output.ok_or_else(|| format!("x {x} is smaller than the window of {weight}"))?;
        Ok(Shape::from([x.dim(0), height, width, weight.dim(0)]))
    }
}

impl Op for Conv2d {
    fn name(&self) -> &'static str {
        "conv2d"
    }

    fn shape(&self, inputs: &[Shape]) -> Checked<Shape> {
        let product = self.product(self.load.rows(inputs)?, inputs[1])?;
        let (inputs, ..) = self.load.split(inputs);
        self.epilogue.check(inputs, product)
    }

    fn dtype(&self, inputs: &[DType]) -> DType {
        self.epilogue.dtype.unwrap_or(inputs[0])
    }

    fn lower(&self, io: &Io, caps: &Caps) -> Vec<Dispatch> {
        let (x, weight) = (io.inputs[0], io.inputs[1]);
        let lanes = self.load.lanes(io);
        let tiling = Product {
            operation: "conv2d",
            rows: io.output.shape.rows(),
            columns: io.output.shape.last(),
            depth: weight.shape.last(),
            halves: fits_halves(x.dtype, weight.dtype),
        }
        .tiling(caps);
        let Padding { top, left, .. } = self.geometry.padding;
        let [height, width] = self.picture(x.shape);
        let dispatch = tiling
            .dispatch(lanes)
            .read("x", Operand::Input(0), x.dtype, lanes)
            .read("weight", Operand::Input(1), weight.dtype, lanes)
            .param("in_height", x.shape.dim(1))
            .param("in_width", x.shape.dim(2))
            .constant("ENLARGED", Const::Bool(self.enlarged.is_some()))
            .constant("WRAP_ROWS", Const::Bool(self.wrap.rows))
            .constant("WRAP_COLUMNS", Const::Bool(self.wrap.columns))
            .param("height", height)
            .param("width", width)
            .param("out_height", io.output.shape.dim(1))
            .param("out_width", io.output.shape.dim(2))
            .param("kernel_height", weight.shape.dim(1))
            .param("kernel_width", weight.shape.dim(2))
            .param("stride", self.geometry.stride)
            .param("padding_top", top)
            .param("padding_left", left)
            .param("column_tiles", tiling.column_tiles())
            .param_f32("weight_scale", 1.0);
        vec![self.epilogue.lower(dispatch, io, self.load)]
    }

    fn reference(&self, inputs: &[&Array]) -> Array {
        let mut x = self.load.reference(inputs);
        if let Some([height, width]) = self.enlarged {
            x = UpsampleNearest { height, width }.reference(&[&x]);
        }
        let weight = inputs[1];
        let (inputs, ..) = self.load.split(inputs);
        let [_, in_height, in_width, channels] = [0, 1, 2, 3].map(|axis| x.shape().dim(axis));
        let [out_channels, kernel_height, kernel_width] =
            [0, 1, 2].map(|axis| weight.shape().dim(axis));
        let shape = self
            .product(x.shape(), weight.shape())
            .expect("shapes were checked when recording");
        let mut y = Array::zeros(shape);
        let pixels = y.data_mut().par_chunks_exact_mut(out_channels).enumerate();
        pixels.for_each(|(pixel, y)| {
            let (column, row) = (pixel % shape.dim(2), pixel / shape.dim(2) % shape.dim(1));
            let n = pixel / (shape.dim(1) * shape.dim(2));
            for (ky, kx) in
                (0..kernel_height).flat_map(|ky| (0..kernel_width).map(move |kx| (ky, kx)))
            {
                let Padding { top, left, .. } = self.geometry.padding;
                let mut from_row = (row * self.geometry.stride + ky).wrapping_sub(top);
                let mut from_column = (column * self.geometry.stride + kx).wrapping_sub(left);
                if self.wrap.rows {
                    from_row = from_row.wrapping_add(in_height * top) % in_height;
                }
                if self.wrap.columns {
                    from_column = from_column.wrapping_add(in_width * left) % in_width;
                }
                if from_row >= in_height || from_column >= in_width {
                    continue;
                }
                let start = ((n * in_height + from_row) * in_width + from_column) * channels;
                let x = &x.data()[start..start + channels];
                for (o, y) in y.iter_mut().enumerate() {
                    let start = ((o * kernel_height + ky) * kernel_width + kx) * channels;
                    *y += dot(x, &weight.data()[start..start + channels]);
                }
            }
        });
        self.epilogue.reference(y, inputs)
    }

    fn flops(&self, io: &Io) -> u64 {
        let window = io.inputs[1].shape.len() / io.inputs[1].shape.dim(0);
        2 * (io.output.shape.len() * window) as u64 + self.epilogue.flops(io)
    }
}

impl<'g> Tensor<'g> {
    /// x `[N, H, W, C]`, weight `[O, KH, KW, C]`, bias `[O]` → `[N, H', W', O]`.
    pub(crate) fn conv2d(
        self,
        weight: &Param,
        bias: Option<&Param>,
        geometry: Conv2dGeometry,
    ) -> Tensor<'g> {
        let recorder = self.recorder();
        let others: Vec<Tensor<'g>> = [Some(weight), bias]
            .into_iter()
            .flatten()
            .map(|p| recorder.param(p))
            .collect();
        let op = Conv2d {
            wrap: recorder.wrap(),
            ..Conv2d::plain(geometry)
        };
        self.apply(op, &others)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::{op_test, seeded};

    const SAME: Conv2d = Conv2d::plain(Conv2dGeometry {
        stride: 1,
        padding: Padding::same(1),
    });
    const DOWN: Conv2d = Conv2d::plain(Conv2dGeometry {
        stride: 2,
        padding: Padding::same(1),
    });
    const BELOW_AND_RIGHT: Conv2d = Conv2d::plain(Conv2dGeometry {
        stride: 2,
        padding: Padding {
            top: 0,
            left: 0,
            bottom: 1,
            right: 1,
        },
    });
    const ENLARGED: Conv2d = Conv2d {
        enlarged: Some([9, 13]),
        ..SAME
    };
    const POINT: Conv2d = Conv2d::plain(Conv2dGeometry {
        stride: 1,
        padding: Padding::same(0),
    });

    const ROWS: Wrap = Wrap {
        rows: true,
        columns: false,
    };
    const COLUMNS: Wrap = Wrap {
        rows: false,
        columns: true,
    };
    const BOTH: Wrap = Wrap {
        rows: true,
        columns: true,
    };
    const WIDE: Conv2d = Conv2d::plain(Conv2dGeometry {
        stride: 1,
        padding: Padding::same(3),
    });

    const fn wrapped(conv2d: Conv2d, wrap: Wrap) -> Conv2d {
        Conv2d { wrap, ..conv2d }
    }

    op_test!(convolution_of_the_same_size: [SAME], [
        [[1, 1, 1, 1], [1, 3, 3, 1], [1]],
        [[1, 9, 13, 3], [5, 3, 3, 3], [5]],
        [[2, 9, 13, 8], [33, 3, 3, 8]],
        [[1, 7, 5, 64], [32, 3, 3, 64], [32]]
    ], f32 = 2e-5, f16 = 3e-3);
    op_test!(convolution_with_stride: [DOWN, BELOW_AND_RIGHT], [
        [[1, 9, 13, 3], [5, 3, 3, 3], [5]],
        [[2, 8, 6, 8], [7, 3, 3, 8], [7]]
    ], f32 = 2e-5, f16 = 3e-3);
    op_test!(convolution_of_an_enlarged_picture: [ENLARGED], [
        [[1, 5, 7, 3], [5, 3, 3, 3], [5]],
        [[2, 4, 6, 8], [12, 3, 3, 8], [12]]
    ], f32 = 2e-5, f16 = 3e-3);
    op_test!(pointwise_convolution: [POINT], [
        [[2, 9, 13, 4], [4, 1, 1, 4], [4]],
        [[1, 1449, 1449, 1], [1, 1, 1, 1], [1]]
    ], f32 = 2e-5, f16 = 3e-3);

    op_test!(convolution_of_pictures_whose_edges_join: [
        wrapped(SAME, ROWS), wrapped(SAME, COLUMNS), wrapped(SAME, BOTH), wrapped(DOWN, BOTH),
        wrapped(BELOW_AND_RIGHT, BOTH)
    ], [
        [[1, 2, 2, 1], [1, 3, 3, 1], [1]],
        [[2, 8, 6, 3], [5, 3, 3, 3], [5]],
        [[1, 7, 5, 64], [36, 3, 3, 64], [36]]
    ], f32 = 2e-5, f16 = 3e-3);
    op_test!(convolution_of_an_enlarged_picture_whose_edges_join: [wrapped(ENLARGED, BOTH)], [
        [[1, 5, 7, 3], [5, 3, 3, 3], [5]],
        [[2, 4, 6, 8], [12, 3, 3, 8], [12]]
    ], f32 = 2e-5, f16 = 3e-3);
    op_test!(convolution_by_a_window_wider_than_a_picture_whose_edges_join: [wrapped(WIDE, BOTH)], [
        [[1, 2, 1, 4], [3, 7, 7, 4], [3]]
    ], f32 = 2e-5, f16 = 3e-3);

    /// x `[1, H, W, C]` → its pixels moved by rows and columns, those that leave coming in opposite.
    fn rolled(x: &Array, [rows, columns]: [usize; 2]) -> Array {
        let [height, width, channels] = [1, 2, 3].map(|axis| x.shape().dim(axis));
        let mut rolled = Array::zeros(x.shape());
        for pixel in 0..height * width {
            let row = (pixel / width + rows) % height;
            let to = (row * width + (pixel + columns) % width) * channels;
            let from = pixel * channels;
            rolled.data_mut()[to..to + channels].copy_from_slice(&x.data()[from..from + channels]);
        }
        rolled
    }

    #[test]
    fn what_is_rolled_around_comes_out_rolled_around() {
        let (x, weight) = (
            seeded([1, 8, 6, 3].into(), 1),
            seeded([5, 3, 3, 3].into(), 2),
        );
        let enlarged = Conv2d {
            enlarged: Some([16, 12]),
            ..SAME
        };
        // Pixels of the result for one of x, over pixels of x for one of the result.
        for (op, times, over) in [
            (SAME, 1, 1),
            (DOWN, 1, 2),
            (BELOW_AND_RIGHT, 1, 2),
            (enlarged, 2, 1),
        ] {
            for way in [[2, 4], [6, 0], [4, 2]] {
                let op = wrapped(op, BOTH);
                let after = rolled(
                    &op.reference(&[&x, &weight]),
                    way.map(|by| by * times / over),
                );
                let before = op.reference(&[&rolled(&x, way), &weight]);
                assert_eq!(before.data(), after.data(), "{op:?} {way:?}");
            }
        }
        let along_rows = wrapped(SAME, ROWS);
        let after = |way| rolled(&along_rows.reference(&[&x, &weight]), way);
        let before = |way| along_rows.reference(&[&rolled(&x, way), &weight]);
        assert_eq!(before([3, 0]).data(), after([3, 0]).data());
        assert_ne!(before([0, 3]).data(), after([0, 3]).data());
    }

    #[test]
    fn a_picture_smaller_than_the_window_is_refused() {
        let shapes = [Shape::from([1, 2, 2, 1]), Shape::from([1, 3, 3, 1])];
        assert!(POINT.shape(&shapes).is_err());
    }
}
