//! From a recording to a plan: dispatches, memory, and names for the ends.

use super::phase::{Phase, phases};
use super::place::{Place, Placed};
use super::selection::{Selector, bound_selections};
use super::sink::sink_selections;
use crate::error::{Error, Result};
use crate::fusion::fuse;
use crate::tensor::{
    Caps, Cost, DType, Dispatch, Io, NodeId, NodeKind, Operand, Param, Recording, Rule, View,
};
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;

/// One dispatch with the memory it works on.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    /// The operation that it belongs to.
    pub(crate) op: &'static str,
    /// When it runs.
    pub(crate) phase: Phase,
    /// The weight or block near which it was recorded.
    pub(crate) scope: Arc<str>,
    /// What is run.
    pub(crate) dispatch: Dispatch,
    /// What is bound, in binding order.
    pub(crate) bound: Vec<(Place, Range<u64>)>,
    /// What it costs: its share, where an operation takes several dispatches.
    pub(crate) cost: Cost,
}

/// A value with a name: an input or an output.
#[derive(Clone, Copy, Debug)]
pub(crate) struct End {
    pub(crate) node: NodeId,
    pub(crate) slot: usize,
    pub(crate) view: View,
    /// Whether the prologue depends on it.
    pub(crate) hoisted: bool,
}

/// A network at one shape: a flat list of dispatches over planned memory slots, those of the prologue
/// before those of the steps.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) recording: Recording,
    /// When each node of the recording is computed; `None` for what nothing depends on.
    pub(crate) phases: Vec<Option<Phase>>,
    /// Results of the prologue that steps read.
    pub(crate) hoisted: Vec<NodeId>,
    /// What chooses among rows that are bound in part, if anything does.
    pub(crate) selector: Option<Selector>,
    pub(crate) steps: Vec<Step>,
    pub(crate) slots: Vec<u64>,
    /// The most bytes of values that are needed at one time.
    pub(crate) living_bytes: u64,
    pub(crate) params: Vec<Param>,
    pub(crate) inputs: BTreeMap<String, End>,
    pub(crate) outputs: BTreeMap<String, End>,
    /// Copies after a run: from output to input, which lie in slots of their own.
    pub(crate) feedback: Vec<(End, End)>,
}

impl Plan {
    /// Lowers a recording for a device of those capabilities.
    ///
    /// # Errors
    /// [`Error::Record`] if an output is no result of an operation, or a fed-back input is missing.
    pub(crate) fn lower(recording: Recording, caps: &Caps) -> Result<Self> {
        let sinks = [Rule::Hoist, Rule::SinkSelections];
        let recording = match sinks.iter().all(|rule| caps.rules.has(*rule)) {
            true => sink_selections(recording),
            false => recording,
        };
        let recording = fuse(recording, caps);
        Lowering::new(&recording, caps).run(recording.clone(), caps)
    }
}

/// A recording on its way to a plan.
pub(super) struct Lowering<'r> {
    pub(super) recording: &'r Recording,
    /// For each node, the node whose memory it is: itself unless it is a reshape.
    pub(super) root: Vec<NodeId>,
    /// For each node, the time at which it is read last; `usize::MAX` for what must outlive the run.
    pub(super) last_use: Vec<usize>,
    pub(super) phases: Vec<Option<Phase>>,
    /// For each node that is no more than a chosen row of another, what chooses.
    pub(super) selected: Vec<Option<Selector>>,
}

impl<'r> Lowering<'r> {
    fn new(recording: &'r Recording, caps: &Caps) -> Self {
        let nodes = &recording.nodes;
        let mut root: Vec<NodeId> = (0..nodes.len()).collect();
        for (id, node) in nodes.iter().enumerate() {
            if let NodeKind::Reshape(of) = node.kind {
                root[id] = root[of];
            }
        }
        let mut lowering = Self {
            recording,
            last_use: vec![0; nodes.len()],
            phases: phases(recording, &root, caps),
            selected: Vec::new(),
            root,
        };
        for (_, id) in recording.outputs.iter().chain(&recording.feedback) {
            lowering.last_use[lowering.root[*id]] = usize::MAX;
        }
        for (id, node) in nodes.iter().enumerate() {
            if let (NodeKind::Op(_, inputs), Some(time)) = (&node.kind, lowering.time(id)) {
                for &input in inputs {
                    let last_use = &mut lowering.last_use[lowering.root[input]];
                    *last_use = time.max(*last_use);
                }
            }
        }
        let is_kept = |id: NodeId| lowering.last_use[id] == usize::MAX;
        lowering.selected =
            bound_selections(recording, &lowering.root, &lowering.phases, is_kept, caps);
        lowering
    }

    /// When a node is computed, in dispatches of the prologue and of one step after it, if it is.
    pub(super) fn time(&self, id: NodeId) -> Option<usize> {
        self.phases[id].map(|phase| match phase {
            Phase::Prologue => id,
            Phase::Step => self.recording.nodes.len() + id,
        })
    }

    /// Whether steps read what the prologue computed.
    pub(super) fn crosses(&self, id: NodeId) -> bool {
        let is_hoisted = self.phases[id] == Some(Phase::Prologue);
        let is_computed = matches!(self.recording.nodes[id].kind, NodeKind::Op(..));
        is_hoisted && is_computed && self.last_use[id] >= self.recording.nodes.len()
    }

    fn run(self, recording: Recording, caps: &Caps) -> Result<Plan> {
        self.check(caps)?;
        let Placed {
            params,
            places,
            starts,
            slots,
            living_bytes,
        } = self.place(caps);
        let mut steps = self.steps(Phase::Prologue, &places, &starts, caps)?;
        steps.extend(self.steps(Phase::Step, &places, &starts, caps)?);
        let end = |id: NodeId| self.end(id, &places);
        let mut inputs = BTreeMap::new();
        for (id, node) in self.recording.nodes.iter().enumerate() {
            if let NodeKind::Input(name, _) = &node.kind {
                inputs.insert(name.clone(), end(id)?);
            }
        }
        let mut outputs = BTreeMap::new();
        for (name, id) in &self.recording.outputs {
            outputs.insert(name.clone(), end(*id)?);
        }
        let mut feedback = Vec::new();
        for (name, id) in &self.recording.feedback {
            let to = inputs
                .get(name)
                .ok_or_else(|| self.error(*id, "feeds an input that is not there"))?;
            feedback.push((end(*id)?, *to));
        }
        Ok(Plan {
            hoisted: (0..recording.nodes.len())
                .filter(|&id| self.crosses(id))
                .collect(),
            selector: self.selected.iter().copied().flatten().next(),
            phases: self.phases,
            recording,
            steps,
            slots,
            living_bytes,
            params,
            inputs,
            outputs,
            feedback,
        })
    }

    /// Shaders count elements in 32 bits, and write f32 and, on devices that can, f16.
    fn check(&self, caps: &Caps) -> Result<()> {
        for (id, node) in self.recording.nodes.iter().enumerate() {
            if u32::try_from(node.view.shape.len()).is_err() {
                let (shape, scope) = (node.view.shape, &node.scope);
                return Err(Error::Unsupported(format!(
                    "a value of {shape} near {scope} has more elements than 32 bits count; \
                     use a smaller size or batch"
                )));
            }
            let written = matches!(node.kind, NodeKind::Op(..));
            match node.view.dtype {
                DType::Bf16 | DType::F8E4m3 | DType::F8E5m2 if written => {
                    let reason = format!("would be written as {}", node.view.dtype);
                    return Err(self.error(id, &reason));
                }
                DType::F16 if written && !caps.f16 => {
                    return Err(self.error(id, "would be written as f16, which the device cannot"));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The dispatches of a phase, in order.
    fn steps(
        &self,
        phase: Phase,
        places: &HashMap<NodeId, Place>,
        starts: &HashMap<NodeId, u64>,
        caps: &Caps,
    ) -> Result<Vec<Step>> {
        let mut steps = Vec::new();
        for (id, node) in self.recording.nodes.iter().enumerate() {
            let NodeKind::Op(op, inputs) = &node.kind else {
                continue;
            };
            if self.phases[id] != Some(phase) || self.selected[id].is_some() {
                continue;
            }
            let view = |&input: &NodeId| self.recording.nodes[input].view;
            let io = Io {
                inputs: inputs.iter().map(view).collect(),
                output: node.view,
            };
            let bind = |operand: &Operand| {
                let at = |id: NodeId, bytes: Range<u64>| {
                    let start = starts.get(&id).copied().unwrap_or(0);
                    (places[&id], start + bytes.start..start + bytes.end)
                };
                let input = |i: usize| self.root[inputs[i]];
                match operand {
                    Operand::Input(i) => at(input(*i), 0..io.inputs[*i].size_bytes()),
                    Operand::InputBytes(i, bytes) => at(input(*i), bytes.clone()),
                    Operand::Output => at(id, 0..node.view.size_bytes()),
                }
            };
            let dispatches = op.lower(&io, caps);
            let shares = shares(op.cost(&io), dispatches.len());
            for (dispatch, cost) in dispatches.into_iter().zip(shares) {
                let bound: Vec<_> = dispatch.operands.iter().map(bind).collect();
                check_bindings(&node.scope, &bound, caps)?;
                steps.push(Step {
                    op: op.name(),
                    phase,
                    scope: node.scope.clone(),
                    dispatch,
                    bound,
                    cost,
                });
            }
        }
        Ok(steps)
    }

    fn end(&self, id: NodeId, places: &HashMap<NodeId, Place>) -> Result<End> {
        match places.get(&self.root[id]) {
            Some(Place::Slot(slot)) => Ok(End {
                node: id,
                slot: *slot,
                view: self.recording.nodes[id].view,
                hoisted: self.phases[id] == Some(Phase::Prologue),
            }),
            _ => Err(self.error(id, "is an output but not the result of an operation")),
        }
    }

    fn error(&self, id: NodeId, reason: &str) -> Error {
        Error::Record {
            scope: self.recording.nodes[id].scope.to_string(),
            reason: format!("value {id} {reason}"),
        }
    }
}

/// A cost in so many equal parts, the first of which takes the remainder.
fn shares(cost: Cost, count: usize) -> impl Iterator<Item = Cost> {
    let count = count as u64;
    let share = move |total: u64, i: u64| total / count + if i == 0 { total % count } else { 0 };
    (0..count).map(move |i| Cost {
        flops: share(cost.flops, i),
        bytes: share(cost.bytes, i),
    })
}

/// That a device can bind what a dispatch works on.
fn check_bindings(scope: &str, bound: &[(Place, Range<u64>)], caps: &Caps) -> Result<()> {
    let sizes = bound.iter().map(|(_, bytes)| bytes.end - bytes.start);
    match sizes.max() {
        Some(largest) if largest > caps.max_binding_bytes => {
            const MIB: u64 = 1 << 20;
            Err(Error::Unsupported(format!(
                "{} MiB in one binding near {scope}, where the device allows {}; use a smaller \
                 size, or --precision f16",
                largest.div_ceil(MIB),
                caps.max_binding_bytes / MIB
            )))
        }
        _ => Ok(()),
    }
}
