//! A group norm of many rows is measured in parts.
//!
//! ```text
//! group_norm(x)  →  group_norm(x, group_moments(x))
//! ```
//!
//! Otherwise a workgroup goes through all rows of its channels, a piece of each, and there are no more
//! workgroups than sets of groups. Many rows are worth a second dispatch, on GPUs. CPUs want whole
//! rows sooner: pieces far apart miss their caches.

use super::graph::Graph;
use crate::ops::{GroupMoments, GroupNorm};
use crate::tensor::{Caps, DType, NodeId, View};

/// From how many elements of a sample on: the VAE's larger levels. The largest of SDXL's UNet at 1024²
/// have 5 million, or are two values side by side, which would double the kernels that drivers compile.
const MANY: usize = 6 << 20;
/// On a CPU, from how many elements of a sample on: half a megabyte in f32, a core's cache.
const LARGE: usize = 1 << 17;

pub(super) fn apply(graph: &mut Graph, caps: &Caps) {
    for id in graph.ids() {
        let Some((norm, inputs)) = of_many(graph, id, caps) else {
            continue;
        };
        let places: &[usize] = if norm.beside { &[0, 3] } else { &[0] };
        let sources: Vec<NodeId> = places.iter().map(|&place| inputs[place]).collect();
        let views: Vec<View> = sources.iter().map(|&source| graph.view(source)).collect();
        let moments = GroupMoments::in_parts(norm.num_groups, &views, caps);
        if moments.parts == 1 {
            continue;
        }
        let view = View {
            shape: [views[0].shape.dim(0), moments.parts, moments.num_groups, 2].into(),
            dtype: DType::F32,
        };
        let measured = graph.add(id, moments, sources, view);
        let known = GroupNorm {
            known: true,
            ..norm
        };
        let inputs = inputs.into_iter().chain([measured]).collect();
        graph.replace(id, known, inputs, graph.view(id));
    }
}

/// A norm of many rows, with its inputs.
fn of_many(graph: &Graph, id: NodeId, caps: &Caps) -> Option<(GroupNorm, Vec<NodeId>)> {
    let (&norm, inputs) = graph.op::<GroupNorm>(id)?;
    let x = graph.view(inputs[0]).shape;
    let elements = x.rows() / x.dim(0) * graph.view(inputs[1]).shape.len();
    let is_worth = match caps.simd {
        Some(_) => elements >= LARGE,
        None => elements >= MANY && !norm.beside,
    };
    is_worth.then(|| (norm, inputs.to_vec()))
}
