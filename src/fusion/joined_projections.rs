//! Queries, keys and values of a self attention come of one kernel.
//!
//! ```text
//! attention(linear(x), linear(x), linear(x))  →  attention(joined_linear(x))
//! ```
//!
//! if the three weights are of one shape and nobody else reads their results. The weights stay where
//! they are: the kernel reads three. Not on CPUs, where a kernel cannot choose among weights
//! without loading from all of them; nor where a part would begin where no binding may.

use super::graph::Graph;
use crate::ops::{Attention, Epilogue, JoinedLinear, Linear};
use crate::tensor::{Caps, NodeId, Shape, View};

pub(super) fn apply(graph: &mut Graph, caps: &Caps) {
    if caps.simd.is_some() {
        return;
    }
    for id in graph.ids() {
        if let Some((attention, op, inputs, view)) = joined(graph, id, caps) {
            let joined = graph.add(id, op, inputs, view);
            graph.replace(id, attention, vec![joined], graph.view(id));
        }
    }
}

fn joined(
    graph: &Graph,
    id: NodeId,
    caps: &Caps,
) -> Option<(Attention, JoinedLinear, Vec<NodeId>, View)> {
    let (&attention, &[q, k, v]) = graph.op::<Attention>(id)? else {
        return None;
    };
    let layers = [q, k, v].map(|projected| graph.op::<Linear>(graph.sole_root(projected)?));
    let [Some((q, q_in)), Some((k, k_in)), Some((v, v_in))] = layers else {
        return None;
    };
    let view = graph.view(id);
    let weight_scale = q.weight_scale;
    let is_plain =
        |layer: &Linear| layer.epilogue == Epilogue::NONE && layer.weight_scale == weight_scale;
    let fits = [q, k, v].into_iter().all(is_plain)
        && [k_in, v_in].into_iter().all(|inputs| {
            graph.root(inputs[0]) == graph.root(q_in[0])
                && inputs.len() == q_in.len()
                && graph.view(inputs[1]).shape == graph.view(q_in[1]).shape
        })
        && view.size_bytes().is_multiple_of(caps.binding_alignment);
    let inputs = [q_in[0]]
        .into_iter()
        .chain((1..q_in.len()).flat_map(|i| [q_in[i], k_in[i], v_in[i]]))
        .collect();
    let dims: Vec<usize> = [3].iter().chain(view.shape.dims()).copied().collect();
    let view = View {
        shape: Shape::new(&dims),
        dtype: graph.view(q_in[0]).dtype,
    };
    fits.then_some((attention, JoinedLinear { weight_scale }, inputs, view))
}
