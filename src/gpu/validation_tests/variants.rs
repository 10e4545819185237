//! The shader variants that there are, found by lowering every operation.

use crate::gpu::prelude::prelude;
use crate::gpu::shaders::assemble;
use crate::ops::samples::{self, WeightTypes};
use crate::tensor::{Caps, DType, Dispatch, Io, NodeKind, Recorder, Recording};
use std::collections::BTreeMap;
use std::sync::OnceLock;

/// A shader variant with one of the dispatches that ask for it.
#[derive(Clone)]
pub(super) struct Variant {
    pub(super) dispatch: Dispatch,
    /// Whether it is for devices with f16.
    pub(super) f16: bool,
    /// The size of subgroups that it is for, if it makes use of them.
    pub(super) simd: Option<u32>,
    pub(super) source: String,
}

/// What every operation asks for, over all types that its operands may have. One of each text.
pub(super) fn variants() -> &'static [Variant] {
    static VARIANTS: OnceLock<Vec<Variant>> = OnceLock::new();
    VARIANTS.get_or_init(|| {
        let mut found = BTreeMap::new();
        // Texts that both kinds of device get are held to the stricter rules.
        for (f16, simd) in [
            (false, None),
            (true, None),
            (false, Some(8)),
            (true, Some(8)),
        ] {
            let caps = Caps {
                f16,
                simd,
                ..Caps::portable()
            };
            for dispatch in dispatches(&caps) {
                let source = assemble(dispatch.shader, &prelude(&dispatch, &caps));
                found.entry(source).or_insert((dispatch, f16, simd));
            }
        }
        let variant = |(source, (dispatch, f16, simd))| Variant {
            dispatch,
            f16,
            simd,
            source,
        };
        found.into_iter().map(variant).collect()
    })
}

fn dispatches(caps: &Caps) -> Vec<Dispatch> {
    let stored = [
        DType::F32,
        DType::F16,
        DType::Bf16,
        DType::F8E4m3,
        DType::F8E5m2,
    ];
    let computed: &[DType] = match caps.f16 {
        true => &[DType::F32, DType::F16],
        false => &[DType::F32],
    };
    let mut dispatches = Vec::new();
    for &compute in computed {
        for (weight, bias) in pairs(&stored) {
            let recorder = Recorder::new(compute);
            samples::record(&recorder, WeightTypes { weight, bias });
            let recording = recorder.finish().expect("the shapes fit");
            dispatches.extend(lowered(&recording, caps));
        }
    }
    dispatches
}

fn pairs(types: &[DType]) -> impl Iterator<Item = (DType, DType)> {
    types
        .iter()
        .flat_map(|&first| types.iter().map(move |&second| (first, second)))
}

/// The dispatches of all operations of a recording.
fn lowered(recording: &Recording, caps: &Caps) -> Vec<Dispatch> {
    let nodes = &recording.nodes;
    let dispatches = nodes.iter().filter_map(|node| match &node.kind {
        NodeKind::Op(op, inputs) => {
            let io = Io {
                inputs: inputs.iter().map(|&input| nodes[input].view).collect(),
                output: node.view,
            };
            Some(op.lower(&io, caps))
        }
        _ => None,
    });
    dispatches.flatten().collect()
}
