//! Channels into pixels, and pixels into channels.

use super::elementwise;
use crate::tensor::{Array, Caps, Checked, Const, Dispatch, Io, Lanes, Op, Operand, Shape, Tensor};

/// Shi et al. 2016 (arXiv 1609.05158), eq. 4, with torch's order of channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PixelShuffle {
    /// `[N, H, W, C·f²]` → `[N, H·f, W·f, C]`: `y[r·f + i, c·f + j, k] = x[r, c, (k·f + i)·f + j]`.
    IntoPixels(usize),
    /// The inverse: `[N, H·f, W·f, C]` → `[N, H, W, C·f²]`.
    IntoChannels(usize),
}

impl PixelShuffle {
    fn factor(self) -> usize {
        match self {
            Self::IntoPixels(factor) | Self::IntoChannels(factor) => factor,
        }
    }

    /// The side with many pixels and few channels, of an input and an output.
    fn shuffled(self, x: Shape, y: Shape) -> Shape {
        match self {
            Self::IntoPixels(_) => y,
            Self::IntoChannels(_) => x,
        }
    }
}

impl Op for PixelShuffle {
    fn name(&self) -> &'static str {
        "pixel_shuffle"
    }

    fn shape(&self, inputs: &[Shape]) -> Checked<Shape> {
        let x = inputs[0];
        let (f, unfit) = (self.factor(), || format!("{x} does not divide by {self:?}"));
        if x.rank() != 4 {
            return Err(unfit());
        }
        let [n, height, width, channels] = [0, 1, 2, 3].map(|axis| x.dim(axis));
        match self {
            Self::IntoPixels(_) if channels.is_multiple_of(f * f) => {
                Ok([n, height * f, width * f, channels / (f * f)].into())
            }
            Self::IntoChannels(_) if height.is_multiple_of(f) && width.is_multiple_of(f) => {
                Ok([n, height / f, width / f, channels * f * f].into())
            }
            _ => Err(unfit()),
        }
    }

    fn lower(&self, io: &Io, _caps: &Caps) -> Vec<Dispatch> {
        let x = io.inputs[0];
        let shuffled = self.shuffled(x.shape, io.output.shape);
        let dispatch = elementwise("pixel_shuffle", Lanes::One, io.output.shape.len())
            .read("x", Operand::Input(0), x.dtype, Lanes::One)
            .write("y", io.output, Lanes::One)
            .constant(
                "UNSHUFFLE",
                Const::Bool(matches!(self, Self::IntoChannels(_))),
            )
            .param("height", shuffled.dim(1))
            .param("width", shuffled.dim(2))
            .param("channels", shuffled.dim(3))
            .param("factor", self.factor());
        vec![dispatch]
    }

    fn reference(&self, inputs: &[&Array]) -> Array {
        let x = inputs[0];
        let shape = self
            .shape(&[x.shape()])
            .expect("shapes were checked when recording");
        let f = self.factor();
        let [batch, height, width, channels] =
            [0, 1, 2, 3].map(|axis| self.shuffled(x.shape(), shape).dim(axis));
        let mut y = Array::zeros(shape);
        for index in 0..batch * height * width * channels {
            let (k, pixel) = (index % channels, index / channels);
            let (column, row, n) = (
                pixel % width,
                pixel / width % height,
                pixel / (width * height),
            );
            let deep_pixel = (n * (height / f) + row / f) * (width / f) + column / f;
            let deep = (deep_pixel * channels + k) * f * f + row % f * f + column % f;
            match self {
                Self::IntoPixels(_) => y.data_mut()[index] = x.data()[deep],
                Self::IntoChannels(_) => y.data_mut()[deep] = x.data()[index],
            }
        }
        y
    }

    fn flops(&self, _io: &Io) -> u64 {
        0
    }
}

impl<'g> Tensor<'g> {
    /// `[N, H, W, C·f²]` → `[N, H·f, W·f, C]`, as torch's `pixel_shuffle`.
    pub(crate) fn pixel_shuffle(self, factor: usize) -> Tensor<'g> {
        self.apply(PixelShuffle::IntoPixels(factor), &[])
    }

    /// `[N, H·f, W·f, C]` → `[N, H, W, C·f²]`, as torch's `pixel_unshuffle`.
    pub(crate) fn pixel_unshuffle(self, factor: usize) -> Tensor<'g> {
        self.apply(PixelShuffle::IntoChannels(factor), &[])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::op_test;

    const PIXELS: PixelShuffle = PixelShuffle::IntoPixels(2);
    const CHANNELS: PixelShuffle = PixelShuffle::IntoChannels(2);

    op_test!(into_pixels: [PIXELS], [[1, 1, 1, 4], [2, 5, 7, 12]], f32 = 0.0, f16 = 0.0);
    op_test!(into_channels: [CHANNELS], [[1, 2, 2, 1], [2, 10, 6, 3]], f32 = 0.0, f16 = 0.0);

    #[test]
    fn the_order_is_torchs() {
        // torch.pixel_shuffle(torch.arange(8.).reshape(1, 8, 1, 1), 2): two channels of
        // [[0, 1], [2, 3]] and [[4, 5], [6, 7]].
        let x = Array::new([1, 1, 1, 8], (0_u8..8).map(f32::from).collect());
        let y = PIXELS.reference(&[&x]);
        assert_eq!(y.data(), [0.0, 4.0, 1.0, 5.0, 2.0, 6.0, 3.0, 7.0]);
        assert_eq!(CHANNELS.reference(&[&y]).data(), x.data());
    }
}
