//! What follows a matrix product within its kernel.

use super::load::Load;
use super::{Activation, Binary, Geglu, Scale};
use crate::tensor::{Array, Checked, Const, DType, Dispatch, Io, Lanes, Op, Operand, Shape};

/// y = scale · f(product + bias + vector) + residual; each part but the product may be missing. Or,
/// with `gated`, GEGLU of product + bias, and nothing else.
///
/// The operation's inputs are x, the weight, and in this order as many as there are of bias
/// `[O]`, vector `[N, .., O]` with one row a sample, and residual of as many elements as y.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Epilogue {
    /// Whether there is a vector.
    pub(crate) vector: bool,
    /// f, if it is not the identity.
    pub(crate) activation: Option<Activation>,
    /// Whether y is the first half of the columns times the GELU of the second.
    pub(crate) gated: bool,
    /// The scale.
    pub(crate) scale: f32,
    /// Whether there is a residual.
    pub(crate) residual: bool,
    /// The type of y in memory; that of x where there is none.
    pub(crate) dtype: Option<DType>,
}

impl Epilogue {
    /// Nothing but a bias, if there is one.
    pub(crate) const NONE: Self = Self {
        vector: false,
        activation: None,
        gated: false,
        scale: 1.0,
        residual: false,
        dtype: None,
    };

    /// Where bias, vector and residual stand among `count` inputs.
    fn places(&self, count: usize) -> [Option<usize>; 3] {
        let (vector, residual) = (usize::from(self.vector), usize::from(self.residual));
        let bias = count > 2 + vector + residual;
        let mut next = 2;
        [bias, self.vector, self.residual].map(|there| {
            next += usize::from(there);
            there.then(|| next - 1)
        })
    }

    /// The shape of y, if the inputs behind x and the weight fit a product of that shape.
    pub(super) fn check(&self, inputs: &[Shape], product: Shape) -> Checked<Shape> {
        let y = self.result(product);
        let [bias, vector, residual] = self.places(inputs.len());
        let shape = |place: Option<usize>| place.map(|place| inputs[place]);
        let known = [bias, vector, residual].into_iter().flatten().count();
        let fits = inputs.len() == 2 + known
            && (!self.gated || product.last().is_multiple_of(4))
            && shape(bias).is_none_or(|bias| bias.dims() == [product.last()])
            && shape(vector).is_none_or(|vector| {
                vector.last() == y.last() && vector.len() == y.dim(0) * y.last()
            })
            && shape(residual).is_none_or(|residual| residual.len() == y.len());
        if fits {
            Ok(y)
        } else {
            Err(format!("{:?} do not fit a product {product}", &inputs[2..]))
        }
    }

    /// The shape of y.
    fn result(&self, product: Shape) -> Shape {
        let halves = if self.gated { 2 } else { 1 };
        product.with_last(product.last() / halves)
    }

    /// Binds y and what is there of the rest, and sets what `common/epilogue.wgsl` needs; then the
    /// same of the load.
    pub(super) fn lower(&self, dispatch: Dispatch, io: &Io, load: Load) -> Dispatch {
        let (inputs, ..) = load.split(&io.inputs);
        let [bias, vector, residual] = self.places(inputs.len());
        let operands = Operands {
            biases: [bias, None, None],
            vector,
            residual,
            ..Operands::default()
        };
        load.lower(self.bind(dispatch, io, operands), io)
    }

    /// The same where the operands lie elsewhere among the inputs.
    pub(super) fn bind(&self, dispatch: Dispatch, io: &Io, operands: Operands) -> Dispatch {
        let parts = 1 + operands.weights.iter().flatten().count();
        let (y, halves) = (io.output.shape, if self.gated { 2 } else { 1 });
        let (rows, groups) = (y.rows() / parts, dispatch.groups);
        let lanes = match self.gated {
            true => Lanes::One, // its stores are pairs
            false => Lanes::dividing(&[y.last()]),
        };
        let weight_lanes = dispatch.lanes;
        let operand = |place: Option<usize>| {
            place.map(|place| (Operand::Input(place), io.inputs[place].dtype))
        };
        let Operands {
            weights: [weight_1, weight_2],
            biases: [bias, bias_1, bias_2],
            vector,
            residual,
        } = operands;
        dispatch
            .write("y", io.output, lanes)
            .read_if("weight_1", operand(weight_1), weight_lanes)
            .read_if("weight_2", operand(weight_2), weight_lanes)
            .read_if("bias", operand(bias), lanes)
            .read_if("bias_1", operand(bias_1), lanes)
            .read_if("bias_2", operand(bias_2), lanes)
            .read_if("vector", operand(vector), lanes)
            .read_if("residual", operand(residual), lanes)
            .constant("ACTIVATION", Const::U32(Activation::code(self.activation)))
            .constant("GATED", Const::Bool(self.gated))
            .constant("WEIGHTS", Const::U32(if parts == 3 { 3 } else { 1 }))
            .param("rows", rows)
            .param("columns", y.last() * halves)
            .param("sample_rows", rows / y.dim(0).max(1))
            .param("weight_groups", groups)
            .param_f32("scale", self.scale)
            .groups(groups * parts)
    }

    /// The definition: the same operations one after the other.
    pub(super) fn reference(&self, product: Array, inputs: &[&Array]) -> Array {
        let [bias, vector, residual] = self.places(inputs.len());
        let shape = product.shape();
        let samples = shape.dim(0);
        let flat = Shape::from([samples, shape.len() / samples / shape.last(), shape.last()]);
        let mut y = product.reshaped(flat);
        if let Some(bias) = bias {
            let bias = inputs[bias].clone().reshaped([1, 1, shape.last()].into());
            y = Binary::Add.reference(&[&y, &bias]);
        }
        if let Some(vector) = vector {
            let vector = inputs[vector].clone();
            let vector = vector.reshaped([samples, 1, shape.last()].into());
            y = Binary::Add.reference(&[&y, &vector]);
        }
        if self.gated {
            return Geglu.reference(&[&y]).reshaped(self.result(shape));
        }
        if let Some(activation) = self.activation {
            y = activation.reference(&[&y]);
        }
        let scale = Scale {
            factor: self.scale,
            dtype: None,
        };
        y = scale.reference(&[&y]);
        if let Some(residual) = residual {
            y = Binary::Add.reference(&[&y, &inputs[residual].clone().reshaped(flat)]);
        }
        y.reshaped(shape)
    }

    /// How many operations an element of y takes beside the product.
    pub(super) fn flops(&self, io: &Io) -> u64 {
        let parts = [
            self.vector,
            self.activation.is_some() || self.gated,
            self.scale != 1.0,
            self.residual,
        ];
        let count = parts.into_iter().filter(|&there| there).count();
        (count * io.output.shape.len()) as u64
    }

    /// With a part more, if it comes after all that is there.
    pub(crate) fn with_vector(self) -> Option<Self> {
        let first = self.activation.is_none() && !self.gated && self.scale == 1.0;
        (first && !self.vector && !self.residual && self.dtype.is_none()).then_some(Self {
            vector: true,
            ..self
        })
    }

    /// With a function more, if it comes after all that is there.
    pub(crate) fn with_activation(self, function: Activation) -> Option<Self> {
        let first = self.activation.is_none() && !self.gated && self.scale == 1.0;
        (first && !self.residual && self.dtype.is_none()).then_some(Self {
            activation: Some(function),
            ..self
        })
    }

    /// With a scale or another type, if it comes after all that is there. A change of type alone
    /// may come last.
    pub(crate) fn with_scale(self, scale: Scale) -> Option<Self> {
        let fits = !self.gated && (scale.factor == 1.0 || !self.residual);
        (fits && self.dtype.is_none()).then_some(Self {
            scale: self.scale * scale.factor,
            dtype: scale.dtype,
            ..self
        })
    }

    /// With a residual, if there is none yet.
    pub(crate) fn with_residual(self) -> Option<Self> {
        (!self.residual && !self.gated && self.dtype.is_none()).then_some(Self {
            residual: true,
            ..self
        })
    }

    /// With GEGLU, if nothing but a bias is there.
    pub(crate) fn with_gate(self) -> Option<Self> {
        (self == Self::NONE).then_some(Self {
            gated: true,
            ..self
        })
    }
}

/// Where the operands of an epilogue stand among the inputs.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Operands {
    /// Further weights, where one kernel multiplies by several.
    pub(super) weights: [Option<usize>; 2],
    /// The bias of each weight.
    pub(super) biases: [Option<usize>; 3],
    /// The vector.
    pub(super) vector: Option<usize>,
    /// The residual.
    pub(super) residual: Option<usize>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::op_test;
    use crate::ops::{Conv2d, Conv2dGeometry, Linear, Padding};

    const EVERYTHING: Epilogue = Epilogue {
        vector: true,
        activation: Some(Activation::Gelu),
        gated: false,
        scale: 0.5,
        residual: true,
        dtype: None,
    };
    const VECTOR: Epilogue = Epilogue {
        vector: true,
        ..Epilogue::NONE
    };
    const RESIDUAL: Epilogue = Epilogue {
        residual: true,
        ..Epilogue::NONE
    };
    const WIDE: Epilogue = Epilogue {
        activation: Some(Activation::Silu),
        dtype: Some(DType::F32),
        ..Epilogue::NONE
    };

    const GATED: Epilogue = Epilogue {
        gated: true,
        ..Epilogue::NONE
    };

    const fn linear(epilogue: Epilogue) -> Linear {
        Linear {
            epilogue,
            weight_scale: 0.7,
            ..Linear::PLAIN
        }
    }

    const fn conv2d(epilogue: Epilogue) -> Conv2d {
        let geometry = Conv2dGeometry {
            stride: 1,
            padding: Padding::same(1),
        };
        Conv2d {
            epilogue,
            ..Conv2d::plain(geometry)
        }
    }

    op_test!(after_linear: [linear(EVERYTHING)], [
        [[2, 19, 12], [40, 12], [40], [2, 1, 40], [2, 19, 40]],
        [[2, 19, 12], [5, 12], [5], [2, 5], [38, 5]],
        [[3, 6], [7, 6], [3, 7], [3, 7]]
    ], f32 = 2e-5, f16 = 3e-3);
    op_test!(after_convolution: [conv2d(EVERYTHING)], [
        [[2, 5, 7, 8], [12, 3, 3, 8], [12], [2, 1, 1, 12], [2, 5, 7, 12]],
        [[2, 5, 7, 8], [3, 3, 3, 8], [2, 1, 1, 3], [2, 35, 3]]
    ], f32 = 2e-5, f16 = 3e-3);
    op_test!(vector: [linear(VECTOR)], [[[2, 19, 12], [40, 12], [40], [2, 40]]], f32 = 2e-5, f16 = 3e-3);
    op_test!(residual: [linear(RESIDUAL)], [[[2, 19, 12], [40, 12], [40], [38, 40]]], f32 = 2e-5, f16 = 3e-3);
    op_test!(gated: [linear(GATED)], [
        [[2, 19, 12], [80, 12], [80]],
        [[19, 7], [12, 7]],
        [[3, 8], [20, 8], [20]]
    ], f32 = 2e-5, f16 = 3e-3);
    op_test!(widened: [linear(WIDE)], [[[2, 19, 12], [40, 12], [40]]], f32 = 2e-5, f16 = 3e-3);
}
