//! Plans: a recording lowered to a flat list of dispatches over planned memory, and what runs it.

mod describe;
mod execute;
#[cfg(test)]
mod float8_tests;
#[cfg(test)]
mod hoisting_tests;
mod lower;
mod memory;
mod phase;
mod place;
mod reference;
mod residency;
mod runner;
mod selection;
mod sink;
#[cfg(test)]
mod submission_tests;

pub(crate) use describe::count_kernels;
pub use describe::{DispatchReport, PhaseReport, PlanReport};
pub(crate) use lower::Plan;
pub use phase::Phase;
pub(crate) use residency::Residency;
pub(crate) use runner::Runner;
