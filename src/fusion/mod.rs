//! Fusion: a recording rewritten so that fewer kernels do the same, by rules that can be switched off.
//!
//! Networks record what their papers say and know nothing of this. Each rule is a file: at its top
//! the pattern that it looks for, and what it puts in its place.

mod epilogue;
mod graph;

use self::graph::Graph;
use crate::tensor::{Caps, Recording, Rule};

/// What a rule does to a recording.
type Apply = fn(&mut Graph);

/// Every rule of fusion, in the order in which they run.
const RULES: [(Rule, Apply); 1] = [(Rule::Epilogue, epilogue::apply)];

/// The recording after all rules that are on.
pub(crate) fn fuse(recording: Recording, caps: &Caps) -> Recording {
    let mut graph = Graph::new(recording);
    for (rule, apply) in RULES {
        if caps.rules.has(rule) {
            apply(&mut graph);
        }
    }
    graph.finish()
}
