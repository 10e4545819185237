//! The shader variants that there are, found by lowering every operation.

use crate::gpu::prelude::prelude;
use crate::gpu::shaders::assemble;
use crate::ops::samples::{self, WeightTypes};
use crate::ops::select;
use crate::tensor::{
    Caps, Const, DType, Dispatch, Io, KernelChoice, NodeKind, Recorder, Recording,
};
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

/// A shader variant with one of the dispatches that ask for it.
#[derive(Clone)]
pub(super) struct Variant {
    pub(super) dispatch: Dispatch,
    /// Whether it is for devices with f16.
    pub(super) f16: bool,
    /// Whether it makes use of subgroups.
    pub(super) subgroups: bool,
    /// The size of the cooperative matrices that it makes use of, if any.
    pub(super) cooperative: Option<u32>,
    pub(super) source: String,
}

/// What every operation asks for, over all types that its operands may have. One of each text.
pub(super) fn variants() -> &'static [Variant] {
    static VARIANTS: OnceLock<Vec<Variant>> = OnceLock::new();
    VARIANTS.get_or_init(|| {
        let mut found = BTreeMap::new();
        // Texts that both kinds of device get are held to the stricter rules.
        let mut add = |dispatch: Dispatch, caps: &Caps| {
            let source = assemble(dispatch.shader, &prelude(&dispatch, caps));
            found.entry(source).or_insert((dispatch, caps.f16));
        };
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
                add(dispatch, &caps);
            }
        }
        for cooperative in [None, Some(8), Some(16)] {
            for (dispatch, caps) in in_every_tile(cooperative) {
                add(dispatch, &caps);
            }
        }
        let variant = |(source, (dispatch, f16)): (String, (Dispatch, bool))| Variant {
            f16,
            subgroups: source.contains("subgroup"),
            cooperative: dispatch.constants.iter().find_map(|one| match one {
                ("COOP", Const::U32(size)) => Some(*size),
                _ => None,
            }),
            dispatch,
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

/// Products in every tile that a device with such matrices has for them, with every epilogue's
/// operands and none.
fn in_every_tile(cooperative: Option<u32>) -> Vec<(Dispatch, Caps)> {
    let mut all = Vec::new();
    let caps = Caps {
        cooperative,
        max_workgroup_bytes: 32 << 10,
        ..Caps::portable()
    };
    for compute in [DType::F32, DType::F16] {
        for weight in [DType::F16, DType::Bf16, DType::F8E4m3] {
            let recorder = Recorder::new(compute);
            samples::record_large(&recorder, weight);
            let recording = recorder.finish().expect("the shapes fit");
            for tile in select::all_tiles(&caps) {
                let of = |operation: &str| (operation.to_owned(), tile.clone());
                let caps = Caps {
                    choice: Arc::new(KernelChoice {
                        tiles: [of("linear"), of("conv2d")].into(),
                        ..KernelChoice::all()
                    }),
                    ..caps.clone()
                };
                let dispatches = lowered(&recording, &caps).into_iter();
                all.extend(dispatches.map(|dispatch| (dispatch, caps.clone())));
            }
        }
    }
    all
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
