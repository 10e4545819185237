//! A group norm is done where its result is loaded, once its statistics are known.
//!
//! ```text
//! linear(group_norm(x))     →  linear(x, coefficients(x))
//! conv2d(f(group_norm(x)))  →  conv2d(x, coefficients(x))
//! ```
//!
//! if nobody else reads what is normalised, and it is so large that its memory counts: a convolution
//! loads a pixel once for each place in its window, and computes f as often. Not on CPUs, where a load
//! and an exponential are as dear as the products themselves.

use super::graph::Graph;
use crate::ops::{Conv2d, GroupNorm, Linear, Load, NormInLoad, NormResult};
use crate::tensor::{Caps, NodeId, View};

/// From how many elements on: less stays in a GPU's cache.
const LARGE: usize = 4 << 20;

pub(super) fn apply(graph: &mut Graph, caps: &Caps) {
    if caps.simd.is_some() {
        return;
    }
    for id in graph.ids() {
        if let Some((&linear, norm)) = normalised(graph, id) {
            let load = norm.load;
            let inputs = norm.inputs(graph, id);
            let x = graph.view(inputs[0]).shape;
            let view = View {
                shape: x.with_last(graph.view(id).shape.last()),
                ..graph.view(id)
            };
            graph.replace(id, Linear { load, ..linear }, inputs, view);
        } else if let Some((&conv2d, norm)) = normalised(graph, id) {
            let load = norm.load;
            let inputs = norm.inputs(graph, id);
            graph.replace(id, Conv2d { load, ..conv2d }, inputs, graph.view(id));
        }
    }
}

/// A norm that goes into a product's load.
struct Norm {
    load: Load,
    op: GroupNorm,
    /// The norm's inputs.
    from: Vec<NodeId>,
    /// The product's inputs after x.
    rest: Vec<NodeId>,
}

impl Norm {
    /// Computes the coefficients before node `id`; the inputs of the product.
    fn inputs(self, graph: &mut Graph, id: NodeId) -> Vec<NodeId> {
        let x = graph.view(self.from[0]).shape;
        let channels = graph.view(self.from[1]).shape.last();
        let view = View {
            shape: [x.dim(0), 2, channels].into(),
            dtype: crate::tensor::DType::F32,
        };
        let (x, beside) = (self.from[0], self.from.get(3).copied());
        let coefficients = graph.add(id, self.op, self.from, view);
        let mut inputs = vec![x];
        inputs.extend(self.rest);
        inputs.extend(beside);
        inputs.push(coefficients);
        inputs
    }
}

/// A product of that kind whose rows nobody else reads, and which a group norm makes.
fn normalised<T: Product>(graph: &Graph, id: NodeId) -> Option<(&T, Norm)> {
    let (product, inputs) = graph.op::<T>(id)?;
    let (&op, from) = graph.op::<GroupNorm>(graph.sole_root(inputs[0])?)?;
    let is_plain = product.load() == Load::PLAIN && op.result == NormResult::Normalised;
    // Two values side by side would double the kernels that drivers have to compile.
    let is_plain = is_plain && !op.beside;
    let is_large = graph.view(inputs[0]).shape.len() >= LARGE;
    let load = Load {
        beside: op.beside,
        norm: Some(NormInLoad {
            activation: op.activation,
        }),
    };
    let norm = Norm {
        load,
        op: GroupNorm {
            result: NormResult::Coefficients,
            activation: None,
            ..op
        },
        from: from.to_vec(),
        rest: inputs[1..].to_vec(),
    };
    (is_plain && is_large).then_some((product, norm))
}

/// A matrix product with a load.
trait Product: crate::tensor::Op {
    fn load(&self) -> Load;
}

impl Product for Linear {
    fn load(&self) -> Load {
        self.load
    }
}

impl Product for Conv2d {
    fn load(&self) -> Load {
        self.load
    }
}
