//! When the values of a recording are computed: once per run, or in each step.

use crate::tensor::{Cadence, Caps, Node, NodeId, NodeKind, Recording, Rule};
use serde::Serialize;

/// When a dispatch runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Before the first step, and again when an input is written that it depends on.
    Prologue,
    /// In each step.
    Step,
}

/// When each node is computed, if anything depends on it. Inputs are there to be written, whether or
/// not this network reads them.
pub(super) fn phases(recording: &Recording, root: &[NodeId], caps: &Caps) -> Vec<Option<Phase>> {
    let nodes = &recording.nodes;
    let mut needed: Vec<bool> = nodes
        .iter()
        .map(|node| matches!(node.kind, NodeKind::Input(..)))
        .collect();
    for (_, id) in recording.outputs.iter().chain(&recording.feedback) {
        needed[root[*id]] = true;
    }
    for (id, node) in nodes.iter().enumerate().rev() {
        if let (NodeKind::Op(_, inputs), true) = (&node.kind, needed[id]) {
            for &input in inputs {
                needed[root[input]] = true;
            }
        }
    }
    let constant = if caps.rules.has(Rule::Hoist) {
        constant(nodes)
    } else {
        vec![false; nodes.len()]
    };
    let phase = |id: NodeId| match constant[id] {
        true => Phase::Prologue,
        false => Phase::Step,
    };
    let ids = 0..nodes.len();
    ids.map(|id| needed[root[id]].then(|| phase(id))).collect()
}

/// For each node, whether it is the same in every step of a run: it depends on weights and on inputs
/// per run alone.
fn constant(nodes: &[Node]) -> Vec<bool> {
    let mut constant = Vec::with_capacity(nodes.len());
    for node in nodes {
        constant.push(is_constant(&node.kind, &constant));
    }
    constant
}

/// Whether a node is the same in every step, after all that came before it.
pub(super) fn is_constant(kind: &NodeKind, before: &[bool]) -> bool {
    match kind {
        NodeKind::Input(_, cadence) => *cadence == Cadence::Run,
        NodeKind::Param(_) => true,
        NodeKind::Op(_, inputs) => inputs.iter().all(|&input| before[input]),
        NodeKind::Reshape(of) => before[*of],
    }
}
