//! What a plan will cost, counted before anything runs.

use super::lower::Plan;
use super::phase::Phase;
use crate::gpu::variant_key;
use crate::tensor::{Caps, Dispatch};
use serde::Serialize;
use std::collections::HashSet;

/// What the dispatches of one phase of a plan cost together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PhaseReport {
    /// Shader runs.
    pub dispatches: usize,
    /// Floating-point operations, a multiply-add being two.
    pub flops: u64,
    /// Bytes read and written when each operand of each dispatch is moved once.
    pub bytes: u64,
}

/// A plan's totals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PlanReport {
    /// One run: for the UNet one step.
    #[serde(flatten)]
    pub step: PhaseReport,
    /// What comes before the first step, and again when an input has changed that it depends on.
    pub prologue: PhaseReport,
    /// Bytes of the weights, as stored.
    pub weight_bytes: u64,
    /// Bytes of the memory slots for inputs, outputs and everything between.
    pub peak_activation_bytes: u64,
    /// The most of these that hold values at one time: what one memory without gaps would take.
    pub living_activation_bytes: u64,
}

/// One dispatch of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct DispatchReport {
    /// When it runs.
    pub phase: Phase,
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
                phase: step.phase,
                op: step.op,
                scope: step.scope.to_string(),
                groups: step.dispatch.groups,
                flops: step.cost.flops,
                bytes: step.cost.bytes,
            })
            .collect()
    }

    /// What it runs, in order.
    pub(crate) fn dispatches(&self) -> impl Iterator<Item = &Dispatch> {
        self.steps.iter().map(|step| &step.dispatch)
    }

    /// The totals.
    pub(crate) fn report(&self) -> PlanReport {
        let params = self.params.iter();
        PlanReport {
            step: self.phase_report(Phase::Step),
            prologue: self.phase_report(Phase::Prologue),
            weight_bytes: params.map(|param| param.size_bytes() as u64).sum(),
            peak_activation_bytes: self.slots.iter().sum(),
            living_activation_bytes: self.living_bytes,
        }
    }

    fn phase_report(&self, phase: Phase) -> PhaseReport {
        let mut report = PhaseReport::default();
        for step in self.steps.iter().filter(|step| step.phase == phase) {
            report.dispatches += 1;
            report.flops += step.cost.flops;
            report.bytes += step.cost.bytes;
        }
        report
    }
}

/// How many kernels the plans take together on a device of those capabilities: shader variants, each
/// compiled once.
pub(crate) fn count_kernels<'p>(plans: impl IntoIterator<Item = &'p Plan>, caps: &Caps) -> usize {
    let dispatches = plans.into_iter().flat_map(Plan::dispatches);
    let keys = dispatches.map(|dispatch| variant_key(dispatch, caps));
    keys.collect::<HashSet<_>>().len()
}
