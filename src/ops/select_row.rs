//! Takes what belongs to the row of the sampler's table that a step executes.

use super::{RowField, elementwise};
use crate::tensor::{
    Array, Caps, Checked, Const, DType, Dispatch, Io, Lanes, Op, Operand, Rows, Shape, Tensor,
};

/// x `[R, ..]`, row `[F]` → `[..]`: the part of x at the row's place, a whole number below R.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SelectRow;

impl Op for SelectRow {
    fn name(&self) -> &'static str {
        "select_row"
    }

    fn shape(&self, inputs: &[Shape]) -> Checked<Shape> {
        let (x, row) = (inputs[0], inputs[1]);
        if x.rank() > 1 && row.dims() == [RowField::COUNT] {
            Ok(Shape::new(&x.dims()[1..]))
        } else {
            Err(format!("{x} has no rows that {row} could choose from"))
        }
    }

    fn rows(&self) -> Rows {
        Rows::Selected(RowField::Place as usize)
    }

    fn lower(&self, io: &Io, _caps: &Caps) -> Vec<Dispatch> {
        let count = io.output.shape.len();
        let lanes = Lanes::dividing(&[count]);
        let dispatch = elementwise("select_row", lanes, count)
            .read("x", Operand::Input(0), io.inputs[0].dtype, lanes)
            .read("row", Operand::Input(1), DType::F32, Lanes::One)
            .write("y", io.output, lanes)
            .constant("ROW_PLACE", Const::U32(RowField::Place.index()));
        vec![dispatch]
    }

    fn reference(&self, inputs: &[&Array]) -> Array {
        let (x, row) = (inputs[0], inputs[1]);
        let shape = Shape::new(&x.shape().dims()[1..]);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a place is a small whole number"
        )]
        let place = row.data()[RowField::Place as usize] as usize;
        let parts = x.data().chunks_exact(shape.len());
        let part = parts.skip(place).take(1).flatten().copied();
        Array::new(shape, part.collect())
    }

    fn flops(&self, _io: &Io) -> u64 {
        0
    }
}

impl<'g> Tensor<'g> {
    /// `[R, ..]`, row `[F]` → `[..]`: the part at the row's place.
    pub(crate) fn select_row(self, row: Tensor<'g>) -> Tensor<'g> {
        self.apply(SelectRow, &[row])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::{check_arrays, seeded};

    #[test]
    fn the_part_at_the_rows_place_is_taken() {
        for (shape, dtype) in [
            (Shape::from([3, 2]), DType::F32),
            (Shape::from([3, 7, 5]), DType::F16),
            (Shape::from([3, 2, 1, 1, 64]), DType::F16),
            (Shape::from([3, 4_194_371]), DType::F32),
        ] {
            for place in 0..3_u8 {
                let mut row = Array::zeros([RowField::COUNT]);
                row.data_mut()[RowField::Place as usize] = f32::from(place);
                let inputs = [(seeded(shape, 1), dtype), (row, DType::F32)];
                check_arrays(&SelectRow, &inputs, 0.0);
            }
        }
    }
}
