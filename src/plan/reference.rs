//! The CPU interpreter of a plan's recording: every operation by its plain-f32 definition.

use super::execute::check_length;
use super::lower::{End, Plan};
use super::phase::Phase;
use super::residency::Residency;
use crate::error::{Error, Result};
use crate::lock::lock;
use crate::tensor::{Array, NodeId, NodeKind};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// The most that values may take at once: an interpreter is for small pictures, and must not bring
/// the machine down with a large one.
const MAX_BYTES: u64 = 4 << 30;

/// A recording with the values of its inputs and, after a run, of its outputs.
#[derive(Debug)]
pub(crate) struct Interpreter {
    plan: Arc<Plan>,
    residency: Arc<Residency>,
    /// Inputs, outputs and what the prologue left for steps, by node.
    kept: Mutex<HashMap<NodeId, Arc<Array>>>,
}

impl Interpreter {
    /// A plan with all inputs zero, as fresh device memory has it.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] if the plan's values would take more than [`MAX_BYTES`].
    pub(crate) fn new(plan: &Arc<Plan>, residency: &Arc<Residency>) -> Result<Self> {
        let needed_bytes = plan.report().peak_activation_bytes;
        if needed_bytes > MAX_BYTES {
            return Err(Error::OutOfMemory {
                what: "preparing the interpreter".into(),
                needed_bytes: Some(needed_bytes),
                available_bytes: Some(MAX_BYTES),
            });
        }
        let zeros = |end: &End| (end.node, Arc::new(Array::zeros(end.view.shape)));
        Ok(Self {
            plan: Arc::clone(plan),
            residency: Arc::clone(residency),
            kept: Mutex::new(plan.inputs.values().map(zeros).collect()),
        })
    }

    /// Writes an input.
    ///
    /// # Errors
    /// [`crate::Error::Record`] if the number of values is not the input's.
    pub(crate) fn write(&self, end: End, values: &[f32]) -> Result<()> {
        check_length(end, values)?;
        let array = Array::new(end.view.shape, values.to_vec());
        lock(&self.kept).insert(end.node, Arc::new(array));
        Ok(())
    }

    /// Reads an output or an input; zeros before the first run, as fresh device memory has.
    pub(crate) fn read(&self, end: End) -> Vec<f32> {
        let kept = lock(&self.kept);
        kept.get(&end.node).map_or_else(
            || vec![0.0; end.view.shape.len()],
            |array| array.data().to_vec(),
        )
    }

    /// Evaluates every node of a phase once, in the order of recording.
    ///
    /// # Errors
    /// The weight file's errors.
    pub(crate) fn run(&self, phase: Phase) -> Result<()> {
        let nodes = &self.plan.recording.nodes;
        let mut values: Vec<Option<Arc<Array>>> = vec![None; nodes.len()];
        let mut readers = self.readers();
        let mut kept = lock(&self.kept);
        for (id, node) in nodes.iter().enumerate() {
            let value = match &node.kind {
                NodeKind::Input(..) => kept.get(&id).cloned(),
                NodeKind::Param(param) => Some(self.residency.array(param)?),
                NodeKind::Reshape(of) => values[*of]
                    .as_deref()
                    .map(|array| Arc::new(array.clone().reshaped(node.view.shape))),
                NodeKind::Op(op, inputs) if self.plan.phases[id] == Some(phase) => {
                    let inputs: Vec<&Array> = inputs
                        .iter()
                        .map(|input| {
                            values[*input]
                                .as_deref()
                                .expect("nodes come after their inputs")
                        })
                        .collect();
                    Some(Arc::new(op.reference(&inputs)))
                }
                NodeKind::Op(..) => kept.get(&id).cloned(),
            };
            values[id] = value;
            // What no later node reads is let go, as a plan's slots are.
            let inputs = match &node.kind {
                NodeKind::Op(_, inputs) => inputs.as_slice(),
                NodeKind::Reshape(of) => std::slice::from_ref(of),
                NodeKind::Input(..) | NodeKind::Param(_) => &[],
            };
            for &input in inputs {
                readers[input] -= 1;
                if readers[input] == 0 {
                    values[input] = None;
                }
            }
        }
        let outputs = self.plan.outputs.values().map(|end| (end.node, end.node));
        let hoisted = self.plan.hoisted.iter().map(|&id| (id, id));
        let fed_back = self.plan.feedback.iter();
        let fed_back = fed_back.map(|(from, to)| (from.node, to.node));
        let fed_back = fed_back.filter(|_| phase == Phase::Step);
        for (from, to) in outputs.chain(hoisted).chain(fed_back) {
            if let Some(value) = &values[from] {
                kept.insert(to, Arc::clone(value));
            }
        }
        Ok(())
    }

    /// How many times each node is read; ends count one more, so that they stay.
    fn readers(&self) -> Vec<usize> {
        let nodes = &self.plan.recording.nodes;
        let mut readers = vec![0; nodes.len()];
        for node in nodes {
            match &node.kind {
                NodeKind::Op(_, inputs) => inputs.iter().for_each(|&input| readers[input] += 1),
                NodeKind::Reshape(of) => readers[*of] += 1,
                NodeKind::Input(..) | NodeKind::Param(_) => {}
            }
        }
        let recording = &self.plan.recording;
        let ends = recording.outputs.iter().chain(&recording.feedback);
        for id in ends.map(|(_, id)| id).chain(&self.plan.hoisted) {
            readers[*id] += 1;
        }
        readers
    }
}
