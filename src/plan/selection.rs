//! The rule that a selection is bound, not copied: who reads the chosen row is given that part of the
//! rows.

use super::phase::Phase;
use crate::tensor::{Caps, NodeId, NodeKind, Recording, Rows, Rule};

/// The element of an input in which the place of the row at work stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Selector {
    pub(crate) input: NodeId,
    pub(crate) element: usize,
}

/// For each node what chooses it, if it is a selection that needs no dispatch: among rows that the
/// prologue left, all of a plan by one element of an input, and in rows as long as the offset of a
/// binding must be. `root` is the node whose memory each is. What outlives a run (`is_kept`) has memory of its own.
pub(super) fn bound_selections(
    recording: &Recording,
    root: &[NodeId],
    phases: &[Option<Phase>],
    is_kept: impl Fn(NodeId) -> bool,
    caps: &Caps,
) -> Vec<Option<Selector>> {
    let nodes = &recording.nodes;
    let mut selected = vec![None; nodes.len()];
    let mut chosen = None;
    for (id, node) in nodes.iter().enumerate() {
        let NodeKind::Op(op, inputs) = &node.kind else {
            continue;
        };
        let (Rows::Selected(element), &[table, input]) = (op.rows(), &inputs[..]) else {
            continue;
        };
        let binds = caps.rules.has(Rule::BindSelections)
            && phases[id] == Some(Phase::Step)
            && phases[table] == Some(Phase::Prologue)
            && !matches!(nodes[root[table]].kind, NodeKind::Param(_))
            && matches!(nodes[input].kind, NodeKind::Input(..))
            && !is_kept(id)
            && node
                .view
                .size_bytes()
                .is_multiple_of(caps.binding_alignment);
        let selector = Selector { input, element };
        if binds && *chosen.get_or_insert(selector) == selector {
            selected[id] = Some(selector);
        }
    }
    selected
}
