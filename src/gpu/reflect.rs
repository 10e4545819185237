//! What a shader declares: its bindings and the members of `Params`, read from the parsed module.

use crate::error::{Error, Result};
use crate::tensor::ParamValue;
use naga::{AddressSpace, Scalar, StorageAccess, TypeInner};

/// A storage binding of a shader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StorageBinding {
    /// The variable's name.
    pub(crate) name: String,
    /// Whether the shader may write it.
    pub(crate) written: bool,
}

/// A member of a shader's `Params`.
#[derive(Clone, Debug)]
struct Member {
    name: String,
    offset: usize,
    scalar: Scalar,
}

/// The member of `Params` that tells at which of a dispatch's workgroups a piece of it begins. The
/// encoder fills it; a shader that has it can be run in pieces.
const FIRST_GROUP: &str = "first_group";

/// The interface of one shader: storage bindings 0.., the uniform `Params`, and behind it the
/// storage bindings that only some variants have.
#[derive(Clone, Debug)]
pub(crate) struct Reflection {
    /// The storage bindings, in order.
    pub(crate) storage: Vec<StorageBinding>,
    /// How many of them come before `Params`.
    pub(crate) params_binding: usize,
    members: Vec<Member>,
    params_bytes: usize,
}

impl Reflection {
    /// Reads the interface of a module with the one entry point `main`.
    ///
    /// # Errors
    /// [`Error::Gpu`] naming what is not as the shaders here are written.
    pub(crate) fn of(module: &naga::Module) -> Result<Self> {
        let mut storage = Vec::new();
        let mut params = None;
        for (_, variable) in module.global_variables.iter() {
            let (Some(binding), Some(name)) = (&variable.binding, &variable.name) else {
                continue;
            };
            match variable.space {
                AddressSpace::Storage { access } => {
                    let written = access.contains(StorageAccess::STORE);
                    let found = StorageBinding {
                        name: name.clone(),
                        written,
                    };
                    storage.push((binding.binding, found));
                }
                _ => params = Some((binding.binding, &module.types[variable.ty].inner)),
            }
        }
        storage.sort_by_key(|(binding, _)| *binding);
        let bindings = storage.iter().map(|(binding, _)| *binding);
        let Some((binding, TypeInner::Struct { members, span })) = params else {
            return Err(Error::Gpu("a shader declares no Params".into()));
        };
        // All numbers but that of Params are storage bindings'.
        if !bindings.eq((0..)
            .filter(|number| *number != binding)
            .take(storage.len()))
            || binding as usize > storage.len()
        {
            return Err(Error::Gpu(
                "a shader's bindings are not numbered in order".into(),
            ));
        }
        let member = |member: &naga::StructMember| match module.types[member.ty].inner {
            TypeInner::Scalar(scalar) => Ok(Member {
                name: member.name.clone().unwrap_or_default(),
                offset: member.offset as usize,
                scalar,
            }),
            _ => Err(Error::Gpu("a member of Params is not a scalar".into())),
        };
        Ok(Self {
            storage: storage.into_iter().map(|(_, found)| found).collect(),
            params_binding: binding as usize,
            members: members.iter().map(member).collect::<Result<_>>()?,
            params_bytes: (*span as usize).next_multiple_of(16),
        })
    }

    /// Whether the shader can be run in pieces.
    pub(crate) fn has_pieces(&self) -> bool {
        self.members.iter().any(|member| member.name == FIRST_GROUP)
    }

    /// How many bytes `Params` has.
    pub(crate) fn params_bytes(&self) -> u64 {
        self.params_bytes as u64
    }

    /// The bytes of `Params` for the piece of a dispatch that begins at that workgroup.
    ///
    /// # Errors
    /// [`Error::Gpu`] if a value has no member, a member no value, or their types differ.
    pub(crate) fn params(
        &self,
        values: &[(&'static str, ParamValue)],
        first_group: u32,
    ) -> Result<Vec<u8>> {
        let first_group = (FIRST_GROUP, ParamValue::U32(first_group));
        let values = values.iter();
        let values: Vec<_> = values
            .chain(self.has_pieces().then_some(&first_group))
            .collect();
        let mut bytes = vec![0; self.params_bytes];
        for member in &self.members {
            let value = values.iter().find(|(name, _)| *name == member.name);
            let word = match (value, member.scalar) {
                (Some((_, ParamValue::U32(value))), Scalar::U32) => value.to_le_bytes(),
                (Some((_, ParamValue::F32(value))), Scalar::F32) => value.to_le_bytes(),
                _ => {
                    return Err(Error::Gpu(format!(
                        "Params.{} is not set as its type asks",
                        member.name
                    )));
                }
            };
            bytes[member.offset..member.offset + 4].copy_from_slice(&word);
        }
        if values.len() == self.members.len() {
            Ok(bytes)
        } else {
            Err(Error::Gpu(format!(
                "{values:?} has members that Params lacks"
            )))
        }
    }
}
