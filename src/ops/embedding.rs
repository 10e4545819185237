//! Looks up the rows of a table.

use super::elementwise;
use crate::tensor::{
    Array, Caps, Checked, DType, Dispatch, Io, Lanes, Op, Operand, Param, Shape, Tensor,
};

/// ids `[N, L]` u32, table `[V, C]` → `[N, L, C]`.
///
/// A table larger than one binding is bound in slices of rows, one dispatch each; every dispatch
/// writes the rows that its slice holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Embedding {
    /// The type of the result in memory.
    pub(crate) dtype: DType,
}

impl Op for Embedding {
    fn name(&self) -> &'static str {
        "embedding"
    }

    fn shape(&self, inputs: &[Shape]) -> Checked<Shape> {
        let (ids, table) = (inputs[0], inputs[1]);
        if ids.rank() == 2 && table.rank() == 2 {
            Ok(Shape::from([ids.dim(0), ids.dim(1), table.dim(1)]))
        } else {
            Err(format!(
                "ids {ids} and table {table} are not [N, L] and [V, C]"
            ))
        }
    }

    fn dtype(&self, _inputs: &[DType]) -> DType {
        self.dtype
    }

    fn lower(&self, io: &Io, caps: &Caps) -> Vec<Dispatch> {
        let table = io.inputs[1];
        let (rows, channels) = (table.shape.dim(0), table.shape.dim(1));
        let lanes = Lanes::dividing(&[channels]);
        let row_bytes = (channels * table.dtype.size_bytes()) as u64;
        let slice_rows = rows_per_binding(row_bytes, caps).min(rows);
        let slices = (0..rows).step_by(slice_rows);
        slices
            .map(|first| {
                let count = slice_rows.min(rows - first);
                let start = first as u64 * row_bytes;
                let bytes = start..start + count as u64 * row_bytes;
                elementwise("embedding", lanes, io.output.shape.len())
                    .read("ids", Operand::Input(0), DType::U32, Lanes::One)
                    .read("table", Operand::InputBytes(1, bytes), table.dtype, lanes)
                    .write("y", io.output, lanes)
                    .param("first_row", first)
                    .param("rows", count)
                    .param("channels", channels / lanes.count())
            })
            .collect()
    }

    fn reference(&self, inputs: &[&Array]) -> Array {
        let (ids, table) = (inputs[0], inputs[1]);
        let channels = table.shape().last();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "ids are whole numbers ≥ 0"
        )]
        let row = |id: &f32| &table.data()[*id as usize * channels..][..channels];
        let data = ids.data().iter().flat_map(row).copied().collect();
        Array::new([ids.shape().dim(0), ids.shape().dim(1), channels], data)
    }

    fn flops(&self, _io: &Io) -> u64 {
        0
    }
}

/// How many rows one binding may span, so that every slice starts where a binding may start.
fn rows_per_binding(row_bytes: u64, caps: &Caps) -> usize {
    let mut aligned = 1;
    while !(row_bytes * aligned).is_multiple_of(caps.binding_alignment) {
        aligned *= 2;
    }
    let rows = caps.max_binding_bytes / (row_bytes * aligned) * aligned;
    usize::try_from(rows.max(aligned)).unwrap_or(usize::MAX)
}

impl<'g> Tensor<'g> {
    /// ids `[N, L]` u32, table `[V, C]` → `[N, L, C]`.
    pub(crate) fn embedding(self, table: &Param) -> Tensor<'g> {
        let recorder = self.recorder();
        let op = Embedding {
            dtype: recorder.compute(),
        };
        self.apply(op, &[recorder.param(table)])
    }

    /// x `[N, L, C]`, rows `[N, 1]` u32 counted over all N·L → `[N, C]`.
    pub(crate) fn take_rows(self, rows: Tensor<'g>) -> Tensor<'g> {
        let (n, length, channels) = (self.dim(0), self.dim(1), self.dim(2));
        let op = Embedding {
            dtype: self.dtype(),
        };
        rows.apply(op, &[self.reshape([n * length, channels])]) // [N, 1, C]
            .reshape([n, channels])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::{check_arrays, seeded};

    fn ids(shape: [usize; 2], rows: usize) -> Array {
        let data = (0..shape[0] * shape[1])
            .map(|i| (i * 7919 % rows) as f32)
            .collect();
        Array::new(shape, data)
    }

    #[test]
    fn rows_are_looked_up() {
        for (length, rows, channels) in [
            (77, 1, 1),
            (77, 1024, 5),
            (77, 3072, 128),
            (2_097_187, 3, 1),
        ] {
            for (stored, compute) in [
                (DType::F32, DType::F32),
                (DType::F16, DType::F32),
                (DType::F32, DType::F16),
            ] {
                let table = seeded([rows, channels].into(), 1);
                let inputs = [(ids([2, length], rows), DType::U32), (table, stored)];
                check_arrays(&Embedding { dtype: compute }, &inputs, 1e-3);
            }
        }
    }

    #[test]
    fn a_table_larger_than_a_binding_is_sliced() {
        let caps = Caps {
            max_binding_bytes: 4096,
            ..Caps::portable()
        };
        let view = |shape: Shape, dtype| crate::tensor::View { shape, dtype };
        let io = Io {
            inputs: vec![
                view([1, 3].into(), DType::U32),
                view([100, 96].into(), DType::F16),
            ],
            output: view([1, 3, 96].into(), DType::F32),
        };
        let slices = Embedding { dtype: DType::F32 }.lower(&io, &caps);
        let ranges: Vec<_> = slices
            .iter()
            .map(|slice| slice.operands[1].clone())
            .collect();
        // 192 bytes a row: multiples of 4 rows start at multiples of 256 bytes; 20 rows fit 4,096 bytes.
        assert_eq!(ranges.len(), 5);
        assert_eq!(ranges[1], Operand::InputBytes(1, 3840..7680));
        assert_eq!(ranges[4], Operand::InputBytes(1, 15360..19200));
    }
}
