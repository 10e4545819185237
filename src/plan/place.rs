//! Where the values of a recording lie.

use super::lower::Lowering;
use super::memory::{Lifetime, assign, living_bytes};
use crate::tensor::{Caps, NodeId, NodeKind, Param};
use std::collections::HashMap;

/// What values that share a slot begin at a multiple of, in bytes: the most that any device asks for,
/// by WebGPU's limits.
const MIN_ALIGNMENT: u64 = 256;

/// Where a value lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Place {
    /// In a memory slot.
    Slot(usize),
    /// In a slot that holds so many rows of so many bytes, at the place of the row at work.
    Row {
        /// The slot.
        slot: usize,
        /// How many rows it holds.
        rows: usize,
        /// Bytes from row to row.
        stride: u64,
    },
    /// In a weight's own buffer.
    Param(usize),
}

/// Where everything lies.
pub(super) struct Placed {
    pub(super) params: Vec<Param>,
    pub(super) places: HashMap<NodeId, Place>,
    /// Where in their slots those values begin that share one.
    pub(super) starts: HashMap<NodeId, u64>,
    pub(super) slots: Vec<u64>,
    pub(super) living_bytes: u64,
}

/// The result of an operation with the operation's inputs.
type Owner<'r> = (NodeId, &'r [NodeId]);

impl Lowering<'_> {
    /// The weights, where every value lies, and the slots' sizes. Inputs keep slots of their own,
    /// since the caller may write them once for many runs; so do outputs, and what steps read of the
    /// prologue. The rest of the prologue shares the slots of the steps.
    pub(super) fn place(&self, caps: &Caps) -> Placed {
        let mut params: Vec<Param> = Vec::new();
        let mut places = HashMap::new();
        let mut pinned: Vec<u64> = Vec::new();
        let mut owners = Vec::new();
        for (id, node) in self.recording.nodes.iter().enumerate() {
            if self.phases[id].is_none() {
                continue;
            }
            let bytes = node.view.size_bytes();
            match &node.kind {
                NodeKind::Param(param) => {
                    let known = params.iter().position(|known| known.name == param.name);
                    let place = known.unwrap_or_else(|| {
                        params.push(param.clone());
                        params.len() - 1
                    });
                    places.insert(id, Place::Param(place));
                }
                NodeKind::Op(_, inputs) if self.selected[id].is_some() => {
                    let table = inputs[0];
                    if let Place::Slot(slot) = places[&self.root[table]] {
                        let rows = self.recording.nodes[table].view.shape.dim(0);
                        let stride = bytes;
                        places.insert(id, Place::Row { slot, rows, stride });
                    }
                }
                NodeKind::Op(_, inputs) if self.last_use[id] != usize::MAX && !self.crosses(id) => {
                    owners.push((id, inputs.as_slice()));
                }
                NodeKind::Input(..) | NodeKind::Op(..) => {
                    places.insert(id, Place::Slot(pinned.len()));
                    pinned.push(bytes);
                }
                NodeKind::Reshape(_) => {}
            }
        }
        let lifetimes = self.lifetimes(&owners);
        let living_bytes = pinned.iter().sum::<u64>() + living_bytes(&lifetimes);
        let alignment = caps.binding_alignment.max(MIN_ALIGNMENT);
        let assignment = assign(&lifetimes, alignment, caps.max_binding_bytes);
        let mut starts = HashMap::new();
        for ((owner, _), (slot, start)) in owners.into_iter().zip(assignment.of) {
            places.insert(owner, Place::Slot(pinned.len() + slot));
            starts.insert(owner, start);
        }
        pinned.extend(assignment.slots);
        Placed {
            params,
            places,
            starts,
            slots: pinned,
            living_bytes,
        }
    }

    /// When values are needed that share slots, and what their operations read of one another.
    fn lifetimes(&self, owners: &[Owner]) -> Vec<Lifetime> {
        let known: HashMap<NodeId, usize> = owners.iter().map(|(id, _)| *id).zip(0..).collect();
        let lifetime = |&(id, inputs): &Owner| {
            let reads = inputs
                .iter()
                .filter_map(|&input| known.get(&self.root[input]));
            Lifetime {
                bytes: self.recording.nodes[id].view.size_bytes(),
                from: self.time(id).unwrap_or_default(),
                to: self.last_use[id],
                reads: reads.copied().collect(),
            }
        };
        owners.iter().map(lifetime).collect()
    }
}
