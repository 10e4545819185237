//! A picture that is enlarged for a convolution is enlarged by the convolution's addresses.
//!
//! ```text
//! conv2d(upsample_nearest(x))  →  one convolution of x
//! ```
//!
//! if nobody else reads the enlarged picture.

use super::graph::Graph;
use crate::ops::{Conv2d, UpsampleNearest};
use crate::tensor::{Caps, NodeId};

pub(super) fn apply(graph: &mut Graph, _caps: &Caps) {
    for id in graph.ids() {
        if let Some((op, inputs)) = enlarged(graph, id) {
            graph.replace(id, op, inputs, graph.view(id));
        }
    }
}

fn enlarged(graph: &Graph, id: NodeId) -> Option<(Conv2d, Vec<NodeId>)> {
    let (&conv2d, inputs) = graph.op::<Conv2d>(id)?;
    let (&UpsampleNearest { height, width }, x) = graph.op(graph.sole_root(inputs[0])?)?;
    let op = Conv2d {
        enlarged: Some([height, width]),
        ..conv2d
    };
    let inputs = x.iter().chain(&inputs[1..]).copied().collect();
    conv2d.enlarged.is_none().then_some((op, inputs))
}
