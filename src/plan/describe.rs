//! What a plan will cost, counted before anything runs.

use super::lower::Plan;
use serde::Serialize;

/// A plan's totals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PlanReport {
    /// Shader runs.
    pub dispatches: usize,
    /// Floating-point operations, a multiply-add being two.
    pub flops: u64,
    /// Bytes read and written when each operand of each dispatch is moved once.
    pub bytes: u64,
    /// Bytes of the weights, as stored.
    pub weight_bytes: u64,
    /// Bytes of the memory slots for inputs, outputs and everything between.
    pub peak_activation_bytes: u64,
}

/// One dispatch of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DispatchReport {
    /// The operation.
    pub op: &'static str,
    /// The weight or block near which it was recorded.
    pub scope: String,
    /// Workgroups.
    pub groups: usize,
    /// Floating-point operations, a multiply-add being two.
    pub flops: u64,
    /// Bytes read and written when each operand is moved once.
    pub bytes: u64,
}

impl Plan {
    /// Every dispatch with its cost, in order.
    pub(crate) fn describe(&self) -> Vec<DispatchReport> {
        let steps = self.steps.iter();
        steps
            .map(|step| DispatchReport {
                op: step.op,
                scope: step.scope.to_string(),
                groups: step.dispatch.groups,
                flops: step.cost.flops,
                bytes: step.cost.bytes,
            })
            .collect()
    }

    /// The totals.
    pub(crate) fn report(&self) -> PlanReport {
        PlanReport {
            dispatches: self.steps.len(),
            flops: self.steps.iter().map(|step| step.cost.flops).sum(),
            bytes: self.steps.iter().map(|step| step.cost.bytes).sum(),
            weight_bytes: self
                .params
                .iter()
                .map(|param| param.size_bytes() as u64)
                .sum(),
            peak_activation_bytes: self.slots.iter().sum(),
        }
    }
}
