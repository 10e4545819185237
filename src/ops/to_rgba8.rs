//! Turns a decoder's picture into bytes.

use super::elementwise;
use crate::tensor::{Array, Caps, Checked, DType, Dispatch, Io, Lanes, Op, Operand, Shape, Tensor};

/// `[N, H, W, 3]` in −1..1 → `[N, H, W, 4]` bytes, opaque. What lies outside is clamped.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ToRgba8;

impl Op for ToRgba8 {
    fn name(&self) -> &'static str {
        "to_rgba8"
    }

    fn shape(&self, inputs: &[Shape]) -> Checked<Shape> {
        if inputs[0].last() == 3 {
            Ok(inputs[0].with_last(4))
        } else {
            Err(format!(
                "{} does not have the three channels of a picture",
                inputs[0]
            ))
        }
    }

    fn dtype(&self, _inputs: &[DType]) -> DType {
        DType::U8
    }

    fn lower(&self, io: &Io, _caps: &Caps) -> Vec<Dispatch> {
        let dispatch = elementwise("to_rgba8", Lanes::One, io.output.shape.rows())
            .read("x", Operand::Input(0), io.inputs[0].dtype, Lanes::One)
            .write("y", io.output, Lanes::One);
        vec![dispatch]
    }

    fn reference(&self, inputs: &[&Array]) -> Array {
        let byte = |x: f32| (x / 2.0 + 0.5).clamp(0.0, 1.0) * 255.0;
        let pixels = inputs[0].data().chunks_exact(3);
        let data = pixels.flat_map(|rgb| {
            [
                byte(rgb[0]).round(),
                byte(rgb[1]).round(),
                byte(rgb[2]).round(),
                255.0,
            ]
        });
        Array::new(inputs[0].shape().with_last(4), data.collect())
    }
}

impl<'g> Tensor<'g> {
    /// `[N, H, W, 3]` in −1..1 → `[N, H, W, 4]` bytes, opaque.
    pub(crate) fn to_rgba8(self) -> Tensor<'g> {
        self.apply(ToRgba8, &[])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::check_arrays;

    #[test]
    fn pixels_are_rounded_and_clamped() {
        // 41 is no divisor of 255: ties are rounded as the driver likes.
        let data = (0..3 * 35).map(|i| (i as f32 - 50.0) / 41.0).collect();
        let x = Array::new([1, 5, 7, 3], data);
        check_arrays(&ToRgba8, &[(x.clone(), DType::F32)], 0.0);
        // Stored as f16, none of these values comes near a tie either.
        check_arrays(&ToRgba8, &[(x, DType::F16)], 0.0);
    }

    #[test]
    fn more_groups_than_one_grid_axis_holds() {
        let x = Array::zeros([1, 1, 4_194_371, 3]);
        check_arrays(&ToRgba8, &[(x.map(|_| 0.3), DType::F32)], 0.0);
    }
}
