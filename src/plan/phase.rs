//! When the values of a recording are computed: once per run, or in each step.

use crate::tensor::{Cadence, Node, NodeKind};
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

/// For each node, whether it is the same in every step of a run: it depends on weights and on inputs
/// per run alone.
pub(super) fn constant(nodes: &[Node]) -> Vec<bool> {
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
