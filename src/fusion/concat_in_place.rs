//! Values side by side are read where they lie.
//!
//! ```text
//! linear(concat(x, y)), conv2d(concat(x, y)), group_norm(concat(x, y))  →  the same of two sources
//! ```
//!
//! so that the skips of a UNet are not copied.

use super::graph::Graph;
use crate::ops::{Concat, Conv2d, GroupNorm, Linear, Load};
use crate::tensor::{Caps, NodeId};

pub(super) fn apply(graph: &mut Graph, _caps: &Caps) {
    for id in graph.ids() {
        let view = graph.view(id);
        if let Some((op, inputs)) = of_two(graph, id, Linear::beside) {
            graph.replace(id, op, inputs, view);
        } else if let Some((op, inputs)) = of_two(graph, id, Conv2d::beside) {
            graph.replace(id, op, inputs, view);
        } else if let Some((op, inputs)) = of_two(graph, id, GroupNorm::beside) {
            graph.replace(id, op, inputs, view);
        }
    }
}

/// An operation of a concat: what `change` makes of it, with both sources for inputs.
fn of_two<T: crate::tensor::Op + Copy>(
    graph: &Graph,
    id: NodeId,
    change: fn(T) -> Option<T>,
) -> Option<(T, Vec<NodeId>)> {
    let (&op, inputs) = graph.op::<T>(id)?;
    let joined = graph.root(inputs[0]);
    let (Concat, &[a, b]) = graph.op(joined)? else {
        return None;
    };
    let is_seen_so = graph.view(inputs[0]).shape == graph.view(joined).shape;
    let inputs = [a]
        .iter()
        .chain(&inputs[1..])
        .chain([&b])
        .copied()
        .collect();
    change(op).filter(|_| is_seen_so).map(|op| (op, inputs))
}

impl Linear {
    fn beside(self) -> Option<Self> {
        let load = Load {
            beside: true,
            ..self.load
        };
        (self.load == Load::PLAIN).then_some(Self { load, ..self })
    }
}

impl Conv2d {
    fn beside(self) -> Option<Self> {
        let load = Load {
            beside: true,
            ..self.load
        };
        (self.load == Load::PLAIN).then_some(Self { load, ..self })
    }
}

impl GroupNorm {
    fn beside(self) -> Option<Self> {
        (!self.beside).then_some(Self {
            beside: true,
            ..self
        })
    }
}
