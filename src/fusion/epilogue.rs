//! What follows a matrix product is done in its kernel.
//!
//! ```text
//! linear(x) + vector [N, 1, 1, C]      the timestep's part
//! f(linear(x))                          an activation
//! scale · linear(x)                     and a change of type
//! linear(x) + y                         a residual connection
//! ```
//!
//! each becomes a part of the linear map's, or the convolution's, [`Epilogue`], if nobody else reads
//! what it followed; one after the other, as long as they come in the epilogue's order.

use super::graph::Graph;
use crate::ops::{Activation, Binary, Conv2d, Epilogue, Linear, Scale};
use crate::tensor::{Caps, NodeId, View};

pub(super) fn apply(graph: &mut Graph, _caps: &Caps) {
    for id in graph.ids() {
        let fused = sum(graph, id)
            .or_else(|| function(graph, id))
            .or_else(|| scaled(graph, id));
        if let Some(Fused {
            product,
            inputs,
            view,
        }) = fused
        {
            match product {
                Product::Linear(op) => graph.replace(id, op, inputs, view),
                Product::Conv2d(op) => graph.replace(id, op, inputs, view),
            }
        }
    }
}

/// A matrix product.
#[derive(Clone, Copy)]
enum Product {
    Linear(Linear),
    Conv2d(Conv2d),
}

/// A product with its inputs, its shape and its type.
struct Fused {
    product: Product,
    inputs: Vec<NodeId>,
    view: View,
}

impl Fused {
    /// The product that nobody but the reader of `id` reads.
    fn of(graph: &Graph, id: NodeId) -> Option<Self> {
        let root = graph.sole_root(id)?;
        let linear = graph
            .op(root)
            .map(|(op, inputs)| (Product::Linear(*op), inputs));
        let conv2d = || {
            graph
                .op(root)
                .map(|(op, inputs)| (Product::Conv2d(*op), inputs))
        };
        let (product, inputs) = linear.or_else(conv2d)?;
        Some(Self {
            product,
            inputs: inputs.to_vec(),
            view: graph.view(root),
        })
    }

    /// The same with another epilogue and one more input, if it has one.
    fn with(
        mut self,
        change: impl FnOnce(Epilogue) -> Option<Epilogue>,
        input: Option<NodeId>,
    ) -> Option<Self> {
        let epilogue = match &mut self.product {
            Product::Linear(op) => &mut op.epilogue,
            Product::Conv2d(op) => &mut op.epilogue,
        };
        *epilogue = change(*epilogue)?;
        self.view.dtype = epilogue.dtype.unwrap_or(self.view.dtype);
        self.inputs.extend(input);
        Some(self)
    }
}

/// A product plus something.
fn sum(graph: &Graph, id: NodeId) -> Option<Fused> {
    let (Binary::Add, &[a, b]) = graph.op(id)? else {
        return None;
    };
    let is_vector = |product: &Fused, other: NodeId| {
        let (y, other) = (product.view.shape, graph.view(other).shape);
        other.len() == y.dim(0) * y.last() && other.dim(0) == y.dim(0) && other.last() == y.last()
    };
    let into = |product: NodeId, other: NodeId| {
        let product = Fused::of(graph, product)?;
        if graph.view(other).shape.len() == product.view.shape.len() {
            product.with(Epilogue::with_residual, Some(other))
        } else if is_vector(&product, other) {
            product.with(Epilogue::with_vector, Some(other))
        } else {
            None
        }
    };
    // Of two products the later takes in the other, which then need not wait for it.
    let [first, second] = if graph.is_before(graph.root(a), graph.root(b)) {
        [(b, a), (a, b)]
    } else {
        [(a, b), (b, a)]
    };
    into(first.0, first.1).or_else(|| into(second.0, second.1))
}

/// A function of a product.
fn function(graph: &Graph, id: NodeId) -> Option<Fused> {
    let (&function, inputs) = graph.op::<Activation>(id)?;
    let product = Fused::of(graph, inputs[0])?;
    product.with(|epilogue| epilogue.with_activation(function), None)
}

/// A multiple of a product, or the same in another type.
fn scaled(graph: &Graph, id: NodeId) -> Option<Fused> {
    let (&scale, inputs) = graph.op::<Scale>(id)?;
    let product = Fused::of(graph, inputs[0])?;
    product.with(|epilogue| epilogue.with_scale(scale), None)
}
