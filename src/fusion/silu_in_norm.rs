//! The activation after a group norm is done in its kernel.
//!
//! ```text
//! f(group_norm(x))  →  one group norm
//! ```
//!
//! if nobody else reads what is normalised.

use super::graph::Graph;
use crate::ops::{Activation, GroupNorm};
use crate::tensor::{Caps, NodeId};

pub(super) fn apply(graph: &mut Graph, _caps: &Caps) {
    for id in graph.ids() {
        if let Some((op, inputs)) = activated(graph, id) {
            graph.replace(id, op, inputs, graph.view(id));
        }
    }
}

fn activated(graph: &Graph, id: NodeId) -> Option<(GroupNorm, Vec<NodeId>)> {
    let (&function, inputs) = graph.op::<Activation>(id)?;
    let (&norm, operands) = graph.op::<GroupNorm>(graph.sole_root(inputs[0])?)?;
    let op = GroupNorm {
        activation: Some(function),
        ..norm
    };
    norm.activation.is_none().then(|| (op, operands.to_vec()))
}
