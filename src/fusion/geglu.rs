//! GEGLU is done in the kernel of its projection.
//!
//! ```text
//! geglu(linear(x))  →  one linear map whose tiles hold values and their gates
//! ```
//!
//! if nobody else reads the projection, and its columns come in fours.

use super::graph::Graph;
use crate::ops::{Geglu, Linear};
use crate::tensor::{Caps, NodeId, View};

pub(super) fn apply(graph: &mut Graph, _caps: &Caps) {
    for id in graph.ids() {
        if let Some((op, inputs, view)) = gated(graph, id) {
            graph.replace(id, op, inputs, view);
        }
    }
}

fn gated(graph: &Graph, id: NodeId) -> Option<(Linear, Vec<NodeId>, View)> {
    let (Geglu, inputs) = graph.op(id)?;
    let (&linear, operands) = graph.op::<Linear>(graph.sole_root(inputs[0])?)?;
    let view = graph.view(id);
    let op = Linear {
        epilogue: linear.epilogue.with_gate()?,
        ..linear
    };
    let in_fours = view.shape.last().is_multiple_of(2);
    in_fours.then(|| (op, operands.to_vec(), view))
}
