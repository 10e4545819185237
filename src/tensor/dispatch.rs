//! What an operation becomes: one run of one shader variant, described as plain data.

use super::{DType, KernelChoice, Rules, View};
use std::ops::Range;
use std::sync::Arc;

/// What a plan may count on: what a device can do, as far as the choice of a shader variant depends on
/// it, and the rules that are on.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Caps {
    /// Whether shaders may hold f16 values (`enable f16`).
    pub(crate) f16: bool,
    /// How many invocations of a subgroup run as one instruction of an adapter that is a CPU, if it is
    /// one and tells: kernels there keep away from workgroup memory.
    pub(crate) simd: Option<u32>,
    /// Rows and columns of the cooperative matrices of halves with sums in f32, if there are any.
    pub(crate) cooperative: Option<u32>,
    /// The most bytes of memory that a workgroup may share.
    pub(crate) max_workgroup_bytes: u64,
    /// The most bytes that one storage binding may span.
    pub(crate) max_binding_bytes: u64,
    /// What the offset of a storage binding must be a multiple of, in bytes.
    pub(crate) binding_alignment: u64,
    /// The rules by which recordings become plans.
    pub(crate) rules: Rules,
    /// Which kernels may be used.
    pub(crate) choice: Arc<KernelChoice>,
}

impl Caps {
    /// A device without limits but that of workgroups, with f16: what a plan is counted for when no device is at hand.
    pub(crate) fn unlimited() -> Self {
        Self {
            f16: true,
            simd: None,
            cooperative: None,
            max_workgroup_bytes: 16 << 10,
            max_binding_bytes: u64::MAX,
            binding_alignment: 256,
            rules: Rules::all(),
            choice: Arc::new(KernelChoice::all()),
        }
    }

    /// The WebGPU defaults with f16.
    #[cfg(test)]
    pub(crate) fn portable() -> Self {
        Self {
            max_binding_bytes: 128 << 20,
            ..Self::unlimited()
        }
    }
}

/// How many elements one load or store of a shader moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Lanes {
    /// One element.
    One,
    /// Four neighbours along the last axis.
    Four,
}

impl Lanes {
    /// The widest lanes that divide every one of `lengths`.
    pub(crate) fn dividing(lengths: &[usize]) -> Self {
        if lengths.iter().all(|length| length % 4 == 0) {
            Self::Four
        } else {
            Self::One
        }
    }

    /// The number of elements.
    pub(crate) fn count(self) -> usize {
        match self {
            Self::One => 1,
            Self::Four => 4,
        }
    }
}

/// The tensor bound to a storage binding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Operand {
    /// The operation's input of that position, whole.
    Input(usize),
    /// A range of bytes of an input.
    InputBytes(usize, Range<u64>),
    /// The operation's output.
    Output,
}

/// How a shader sees one storage binding: part of the variant, hence of the pipeline's key.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Storage {
    /// The binding's name in the shader.
    pub(crate) name: &'static str,
    /// Its elements' type in memory.
    pub(crate) dtype: DType,
    /// How many elements a load or store moves.
    pub(crate) lanes: Lanes,
    /// Whether the shader writes it.
    pub(crate) written: bool,
    /// Whether the prelude declares the binding, since only some variants have it.
    pub(crate) optional: bool,
}

/// A constant of the generated prelude.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Const {
    /// `const NAME: bool`.
    Bool(bool),
    /// `const NAME: u32`.
    U32(u32),
}

/// A member of a shader's `Params`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum ParamValue {
    /// A `u32` member.
    U32(u32),
    /// An `f32` member.
    F32(f32),
}

/// One run of one shader variant: bindings, parameters and the number of workgroups.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Dispatch {
    /// The shader: `shaders/<shader>.wgsl`.
    pub(crate) shader: &'static str,
    /// The lanes that the alias `lane` has in the shader.
    pub(crate) lanes: Lanes,
    /// The storage bindings' types, in binding order: those that the shader declares, then the
    /// optional ones.
    pub(crate) storage: Vec<Storage>,
    /// The optional bindings that this variant lacks, with the lanes of a load.
    pub(crate) absent: Vec<(&'static str, Lanes)>,
    /// What is bound to them.
    pub(crate) operands: Vec<Operand>,
    /// Files of `shaders/common` that this variant has before the shader, besides those that the
    /// shader names itself.
    pub(crate) imports: Vec<&'static str>,
    /// The prelude's constants.
    pub(crate) constants: Vec<(&'static str, Const)>,
    /// The members of `Params`, by name.
    pub(crate) params: Vec<(&'static str, ParamValue)>,
    /// The number of workgroups, folded into the grid by the encoder.
    pub(crate) groups: usize,
}

impl Dispatch {
    /// A dispatch of `shaders/<shader>.wgsl` with nothing bound yet.
    pub(crate) fn new(shader: &'static str, lanes: Lanes) -> Self {
        Self {
            shader,
            lanes,
            storage: Vec::new(),
            absent: Vec::new(),
            operands: Vec::new(),
            imports: Vec::new(),
            constants: Vec::new(),
            params: Vec::new(),
            groups: 1,
        }
    }

    /// Binds `operand`, a value of type `dtype` read `lanes` at a time, to the next binding.
    pub(crate) fn read(
        mut self,
        name: &'static str,
        operand: Operand,
        dtype: DType,
        lanes: Lanes,
    ) -> Self {
        self.storage.push(Storage {
            name,
            dtype,
            lanes,
            written: false,
            optional: false,
        });
        self.operands.push(operand);
        self
    }

    /// Binds an operand that only some variants of the shader have, after all that every one has.
    /// The shader knows by the constant `HAS_NAME` whether it is there; if not, its loads are zeros.
    pub(crate) fn read_if(
        mut self,
        name: &'static str,
        operand: Option<(Operand, DType)>,
        lanes: Lanes,
    ) -> Self {
        let Some((operand, dtype)) = operand else {
            self.absent.push((name, lanes));
            return self;
        };
        self.storage.push(Storage {
            name,
            dtype,
            lanes,
            written: false,
            optional: true,
        });
        self.operands.push(operand);
        self
    }

    /// Binds the output, of which `view` is the type, to the next binding.
    pub(crate) fn write(mut self, name: &'static str, view: View, lanes: Lanes) -> Self {
        self.storage.push(Storage {
            name,
            dtype: view.dtype,
            lanes,
            written: true,
            optional: false,
        });
        self.operands.push(Operand::Output);
        self
    }

    /// Puts a file of `shaders/common` before the shader.
    pub(crate) fn import(mut self, name: &'static str) -> Self {
        self.imports.push(name);
        self
    }

    /// Sets a constant of the prelude.
    pub(crate) fn constant(mut self, name: &'static str, value: Const) -> Self {
        self.constants.push((name, value));
        self
    }

    /// Sets a `u32` member of `Params`.
    ///
    /// # Panics
    /// If the value does not fit 32 bits: no tensor that the device could hold has such an axis.
    pub(crate) fn param(mut self, name: &'static str, value: usize) -> Self {
        let value = u32::try_from(value).expect("an axis of a tensor fits 32 bits");
        self.params.push((name, ParamValue::U32(value)));
        self
    }

    /// Sets an `f32` member of `Params`.
    pub(crate) fn param_f32(mut self, name: &'static str, value: f32) -> Self {
        self.params.push((name, ParamValue::F32(value)));
        self
    }

    /// Sets the number of workgroups.
    pub(crate) fn groups(mut self, groups: usize) -> Self {
        self.groups = groups;
        self
    }
}
