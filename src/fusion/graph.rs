//! A recording that rules rewrite: nodes are put in the place of others, and what nobody reads any
//! more goes.

use crate::tensor::{Node, NodeId, NodeKind, Op, Recording, Shape, View};
use std::any::Any;
use std::sync::Arc;

/// The places between two nodes of the recording: how many times one of them can be replaced.
const ROOM: usize = 16;

/// A recording under change. Nodes keep their numbers until [`Graph::finish`].
#[derive(Debug)]
pub(super) struct Graph {
    nodes: Vec<Node>,
    /// For each node the place at which it is computed: new ones come just before what they stand for.
    places: Vec<usize>,
    /// How many times each node is read; ends count one more.
    readers: Vec<usize>,
    ends: Recording,
}

impl Graph {
    /// The recording as it is.
    pub(super) fn new(mut recording: Recording) -> Self {
        let nodes = std::mem::take(&mut recording.nodes);
        let mut graph = Self {
            places: (1..=nodes.len()).map(|id| id * ROOM).collect(),
            readers: vec![0; nodes.len()],
            nodes,
            ends: recording,
        };
        for id in 0..graph.nodes.len() {
            for input in inputs(&graph.nodes[id].kind).to_vec() {
                graph.readers[input] += 1;
            }
        }
        for (_, id) in graph.ends.outputs.iter().chain(&graph.ends.feedback) {
            graph.readers[*id] += 1;
        }
        for id in (0..graph.nodes.len()).rev() {
            graph.release_if_unread(id);
        }
        graph
    }

    /// The nodes that were there when rules began, in the order of computation.
    pub(super) fn ids(&self) -> std::ops::Range<NodeId> {
        0..self.nodes.len()
    }

    /// The operation of a node with its inputs, if it is one of that kind and somebody reads it.
    pub(super) fn op<T: Op>(&self, id: NodeId) -> Option<(&T, &[NodeId])> {
        match &self.nodes[id].kind {
            NodeKind::Op(op, inputs) if self.readers[id] > 0 => {
                let op: &dyn Any = op.as_ref();
                op.downcast_ref().map(|op| (op, inputs.as_slice()))
            }
            _ => None,
        }
    }

    /// A node's shape and type.
    pub(super) fn view(&self, id: NodeId) -> View {
        self.nodes[id].view
    }

    /// The node whose elements these are: behind all reshapes.
    pub(super) fn root(&self, mut id: NodeId) -> NodeId {
        while let NodeKind::Reshape(of) = self.nodes[id].kind {
            id = of;
        }
        id
    }

    /// The node behind all reshapes, if nobody else reads it or a reshape of it.
    pub(super) fn sole_root(&self, mut id: NodeId) -> Option<NodeId> {
        while self.readers[id] == 1 {
            match self.nodes[id].kind {
                NodeKind::Reshape(of) => id = of,
                _ => return Some(id),
            }
        }
        None
    }

    /// Whether `earlier` is computed before `later`.
    pub(super) fn is_before(&self, earlier: NodeId, later: NodeId) -> bool {
        (self.places[earlier], earlier) < (self.places[later], later)
    }

    /// Adds `op` of `inputs`, computed just before node `id`, for a node that comes in its place.
    pub(super) fn add(
        &mut self,
        id: NodeId,
        op: impl Op,
        inputs: Vec<NodeId>,
        view: View,
    ) -> NodeId {
        let shapes: Vec<Shape> = inputs.iter().map(|&input| self.view(input).shape).collect();
        assert_eq!(
            op.shape(&shapes),
            Ok(view.shape),
            "{op:?} does not fit what it replaces"
        );
        for &input in &inputs {
            self.readers[input] += 1;
        }
        self.nodes.push(Node {
            kind: NodeKind::Op(Arc::new(op), inputs),
            view,
            scope: Arc::clone(&self.nodes[id].scope),
        });
        self.places.push(self.places[id] - 1);
        self.readers.push(0);
        self.nodes.len() - 1
    }

    /// Lets `op` of `inputs` compute what node `id` did, with the same elements. `view` is its own
    /// shape; the node becomes a reshape of it.
    pub(super) fn replace(&mut self, id: NodeId, op: impl Op, inputs: Vec<NodeId>, view: View) {
        let new = self.add(id, op, inputs, view);
        let old = std::mem::replace(&mut self.nodes[id].kind, NodeKind::Reshape(new));
        self.readers[new] += 1;
        self.nodes[id].view.dtype = view.dtype;
        self.release(&old);
    }

    /// The recording with what is left.
    pub(super) fn finish(self) -> Recording {
        let is_kept = |id: &NodeId| {
            self.readers[*id] > 0 || matches!(self.nodes[*id].kind, NodeKind::Input(..))
        };
        let mut order: Vec<NodeId> = (0..self.nodes.len()).filter(is_kept).collect();
        order.sort_by_key(|&id| (self.places[id], id));
        let mut renamed = vec![usize::MAX; self.nodes.len()];
        for (new, &old) in order.iter().enumerate() {
            renamed[old] = new;
        }
        let rename = |ids: &[NodeId]| ids.iter().map(|&id| renamed[id]).collect::<Vec<_>>();
        let node = |&id: &NodeId| {
            let node = &self.nodes[id];
            let kind = match &node.kind {
                NodeKind::Op(op, inputs) => NodeKind::Op(Arc::clone(op), rename(inputs)),
                NodeKind::Reshape(of) => NodeKind::Reshape(renamed[*of]),
                other => other.clone(),
            };
            Node {
                kind,
                ..node.clone()
            }
        };
        let ends = |ends: &[(String, NodeId)]| {
            let end = |(name, id): &(String, NodeId)| (name.clone(), renamed[*id]);
            ends.iter().map(end).collect()
        };
        Recording {
            nodes: order.iter().map(node).collect(),
            outputs: ends(&self.ends.outputs),
            feedback: ends(&self.ends.feedback),
        }
    }

    fn release(&mut self, kind: &NodeKind) {
        for &input in inputs(kind) {
            self.readers[input] -= 1;
            self.release_if_unread(input);
        }
    }

    /// Lets a node go that nobody reads, and what only it read.
    fn release_if_unread(&mut self, id: NodeId) {
        let is_kept = match self.nodes[id].kind {
            NodeKind::Input(..) => true,
            NodeKind::Reshape(of) => of == id,
            _ => false,
        };
        if self.readers[id] == 0 && !is_kept {
            let unread = NodeKind::Reshape(id); // itself: it is gone
            let kind = std::mem::replace(&mut self.nodes[id].kind, unread);
            self.release(&kind);
        }
    }
}

/// What a node reads.
fn inputs(kind: &NodeKind) -> &[NodeId] {
    match kind {
        NodeKind::Op(_, inputs) => inputs,
        NodeKind::Reshape(of) => std::slice::from_ref(of),
        NodeKind::Input(..) | NodeKind::Param(_) => &[],
    }
}
