//! Guidance that keeps the spread of the conditional prediction.

use super::RowField;
use super::arithmetic::narrow;
use crate::tensor::{
    Array, Caps, Checked, Const, DType, Dispatch, Io, Lanes, Op, Operand, Shape, Tensor,
};

/// output F `[2·N, H, W, C]`, the unconditional first, row `[R]` → `[N, H, W, C]`. Lin et al. 2024
/// (arXiv 2305.08891), eq. 15 and 16, as diffusers' `rescale_noise_cfg`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RescaleGuidance;

impl Op for RescaleGuidance {
    fn name(&self) -> &'static str {
        "rescale_guidance"
    }

    fn shape(&self, inputs: &[Shape]) -> Checked<Shape> {
        let (output, row) = (inputs[0], inputs[1]);
        if output.rank() == 4 && output.dim(0).is_multiple_of(2) && row.dims() == [RowField::COUNT]
        {
            let [height, width, channels] = [1, 2, 3].map(|axis| output.dim(axis));
            Ok(Shape::from([output.dim(0) / 2, height, width, channels]))
        } else {
            Err(format!("{output} and {row} are not two branches and a row"))
        }
    }

    fn lower(&self, io: &Io, _caps: &Caps) -> Vec<Dispatch> {
        let (output, batch) = (io.inputs[0], io.output.shape.dim(0));
        let dispatch = Dispatch::new("rescale_guidance", Lanes::One)
            .read("output", Operand::Input(0), output.dtype, Lanes::One)
            .read("row", Operand::Input(1), DType::F32, Lanes::One)
            .write("y", io.output, Lanes::One)
            .constant("ROW_GUIDANCE", Const::U32(RowField::Guidance.index()))
            .constant("ROW_RESCALE", Const::U32(RowField::Rescale.index()))
            .param("batch", batch)
            .param("count", io.output.shape.len() / batch)
            .groups(batch);
        vec![dispatch]
    }

    fn reference(&self, inputs: &[&Array]) -> Array {
        let (output, row) = (inputs[0], inputs[1]);
        let field = |field: RowField| row.data()[field as usize];
        let (unconditional, conditional) = output.data().split_at(output.data().len() / 2);
        let picture = unconditional.len() / (output.shape().dim(0) / 2);
        let pictures = unconditional
            .chunks_exact(picture)
            .zip(conditional.chunks_exact(picture));
        let data = pictures.flat_map(|(unconditional, conditional)| {
            let pairs = unconditional.iter().zip(conditional);
            let weight = field(RowField::Guidance);
            let guided: Vec<f32> = pairs.map(|(u, c)| u + weight * (c - u)).collect();
            let spread = spread(&guided);
            let ratio = if spread > 0.0 {
                (self::spread(conditional) / spread).sqrt()
            } else {
                1.0
            };
            let phi = f64::from(field(RowField::Rescale));
            let scale = narrow(phi * ratio + 1.0 - phi);
            guided.into_iter().map(move |value| value * scale)
        });
        let shape = self.shape(&[output.shape(), row.shape()]);
        Array::new(
            shape.expect("shapes were checked when recording"),
            data.collect(),
        )
    }
}

/// The sum of the squared differences to the mean.
fn spread(values: &[f32]) -> f64 {
    let mean = values.iter().map(|value| f64::from(*value)).sum::<f64>() / values.len() as f64;
    let squares = values
        .iter()
        .map(|value| (f64::from(*value) - mean).powi(2));
    squares.sum()
}

impl<'g> Tensor<'g> {
    /// F `[2·N, H, W, C]`, row `[R]` → guided and rescaled `[N, H, W, C]`.
    pub(crate) fn rescale_guidance(self, row: Tensor<'g>) -> Tensor<'g> {
        self.apply(RescaleGuidance, &[row])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::{check_arrays, seeded};

    #[test]
    fn the_guided_prediction_gets_the_spread_of_the_conditional_one() {
        for shape in [[2, 1, 1, 1], [2, 9, 13, 4], [6, 5, 7, 3], [4, 64, 64, 4]] {
            for (output, tolerance) in [(DType::F32, 1e-5), (DType::F16, 2e-3)] {
                let inputs = [
                    (seeded(shape.into(), 1), output),
                    (seeded([RowField::COUNT].into(), 2), DType::F32),
                ];
                check_arrays(&RescaleGuidance, &inputs, tolerance);
            }
        }
    }
}
