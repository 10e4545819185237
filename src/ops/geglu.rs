//! GEGLU: the first half of the channels times the GELU of the second.

use super::{activation::gelu, elementwise};
use crate::tensor::{Array, Caps, Checked, Dispatch, Io, Lanes, Op, Operand, Shape, Tensor};

/// `[.., 2D]` → `[.., D]`. Shazeer 2020 (arXiv 2002.05202), as diffusers' `GEGLU` after its projection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Geglu;

impl Op for Geglu {
    fn name(&self) -> &'static str {
        "geglu"
    }

    fn shape(&self, inputs: &[Shape]) -> Checked<Shape> {
        let channels = inputs[0].last();
        if channels.is_multiple_of(2) {
            Ok(inputs[0].with_last(channels / 2))
        } else {
            Err(format!("{channels} channels do not make two halves"))
        }
    }

    fn lower(&self, io: &Io, _caps: &Caps) -> Vec<Dispatch> {
        let half = io.output.shape.last();
        let lanes = Lanes::dividing(&[half]);
        let dispatch = elementwise("geglu", lanes, io.output.shape.len())
            .read("x", Operand::Input(0), io.inputs[0].dtype, lanes)
            .write("y", io.output, lanes)
            .param("half_channels", half / lanes.count());
        vec![dispatch]
    }

    fn reference(&self, inputs: &[&Array]) -> Array {
        let x = inputs[0];
        let channels = x.shape().last();
        let rows = x.data().chunks_exact(channels);
        let data = rows.flat_map(|row| {
            let (value, gate) = row.split_at(channels / 2);
            value
                .iter()
                .zip(gate)
                .map(|(value, gate)| value * gelu(*gate))
        });
        Array::new(x.shape().with_last(channels / 2), data.collect())
    }
}

impl<'g> Tensor<'g> {
    /// `[.., 2D]` → `[.., D]`: the first half of the channels times the GELU of the second.
    pub(crate) fn geglu(self) -> Tensor<'g> {
        self.apply(Geglu, &[])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::op_test;

    op_test!(geglu: [Geglu], [[1, 2], [3, 14], [2, 77, 64], [4194371, 2]], f32 = 1e-6, f16 = 2e-3);
}
