//! Fusion: a recording rewritten so that fewer kernels do the same, by rules that can be switched off.
//!
//! Networks record what their papers say and know nothing of this. Each rule is a file: at its top
//! the pattern that it looks for, and what it puts in its place.

mod concat_in_place;
mod epilogue;
mod geglu;
mod graph;
mod joined_projections;
mod norm_in_load;
mod norm_in_parts;
mod silu_in_norm;
#[cfg(test)]
mod tests;
mod upsample_in_conv;

use self::graph::Graph;
use crate::tensor::{Caps, Recording, Rule};

/// What a rule does to a recording.
type Apply = fn(&mut Graph, &Caps);

/// Every rule of fusion, in the order in which they run.
const RULES: [(Rule, Apply); 8] = [
    (Rule::JoinedProjections, joined_projections::apply),
    (Rule::SiluInNorm, silu_in_norm::apply),
    (Rule::UpsampleInConv, upsample_in_conv::apply),
    (Rule::Geglu, geglu::apply),
    (Rule::Epilogue, epilogue::apply),
    // The inputs of loads come behind those of epilogues.
    (Rule::ConcatInPlace, concat_in_place::apply),
    (Rule::NormInLoad, norm_in_load::apply),
    (Rule::NormInParts, norm_in_parts::apply),
];

/// The recording after all rules that are on.
pub(crate) fn fuse(recording: Recording, caps: &Caps) -> Recording {
    let mut graph = Graph::new(recording);
    for (rule, apply) in RULES {
        if caps.rules.has(rule) {
            apply(&mut graph, caps);
        }
    }
    graph.finish()
}
