//! Which parts of a model are on the device at once, under a limit on its memory.

use super::memory::Memory;
use super::run::Canceller;
use crate::error::{Error, Result};
use serde::Serialize;

/// How a model is put on a device.
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    /// The most bytes that weights and activations may take on the device together; what the adapter
    /// reports of its memory if `None`, and no limit where it reports nothing. A weight passes
    /// through up to 96 MiB of the system's own memory on its way, which do not count. A part that
    /// overflows f16 is run again in f32, whose activations may then exceed the limit.
    pub vram_bytes: Option<u64>,
    /// What calls the loading off, from any thread; what it was not called off by then goes on from one
    /// weight to the next. The check of kernels at an adapter's first use is not interrupted.
    pub canceller: Canceller,
}

/// Which parts of a model are on the device at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Residence {
    /// All of them, from one picture to the next.
    #[default]
    Together,
    /// The part that is running alone: each comes from the file when its turn is, and goes after it.
    InTurn,
}

impl Memory {
    /// The same in the residence that a limit in bytes allows: together where all parts fit, else in
    /// turn. The picture is the same.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] with what each part needs, if one does not fit alone.
    pub(super) fn within(mut self, limit: Option<u64>) -> Result<Self> {
        let Some(limit) = limit.filter(|limit| *limit < self.total_bytes()) else {
            return Ok(self);
        };
        self.residence = Residence::InTurn;
        if self.resident_bytes() <= limit {
            return Ok(self);
        }
        let mib = |bytes: u64| bytes.div_ceil(1 << 20);
        let parts = self.parts.iter();
        let parts = parts.map(|part| format!("{} {} MiB", part.name, mib(part.total_bytes())));
        let parts: Vec<String> = parts.collect();
        Err(Error::OutOfMemory {
            what: format!("planning parts in turn ({})", parts.join(", ")),
            needed_bytes: Some(self.resident_bytes()),
            available_bytes: Some(limit),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::PartMemory;

    const MIB: u64 = 1 << 20;

    /// A model whose UNet takes most.
    fn memory() -> Memory {
        let part = |name: &str, weights, activations| PartMemory {
            name: name.into(),
            weight_bytes: weights * MIB,
            activation_bytes: activations * MIB,
        };
        Memory::of(vec![
            part("text_encoder", 230, 5),
            part("unet", 1640, 300),
            part("vae_decoder", 95, 800),
        ])
    }

    #[test]
    fn parts_are_together_as_long_as_they_fit() {
        for limit in [None, Some(u64::MAX), Some(3070 * MIB)] {
            let fitted = memory().within(limit).unwrap();
            assert_eq!(fitted.residence, Residence::Together);
            assert_eq!(fitted.resident_bytes(), 3070 * MIB);
        }
    }

    #[test]
    fn parts_that_do_not_fit_together_take_turns() {
        for limit in [3070 * MIB - 1, 1940 * MIB] {
            let fitted = memory().within(Some(limit)).unwrap();
            assert_eq!(fitted.residence, Residence::InTurn);
            assert_eq!(fitted.resident_bytes(), 1940 * MIB);
        }
    }

    #[test]
    fn a_part_that_does_not_fit_alone_is_refused_with_what_each_needs() {
        assert!(memory().within(Some(1940 * MIB - 1)).is_err());
        let error = memory().within(Some(1500 * MIB)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "out of memory while planning parts in turn (text_encoder 235 MiB, unet 1940 MiB, \
             vae_decoder 895 MiB): 1940 MiB needed, 1500 MiB at most; use a smaller size or batch, \
             or --precision f16"
        );
    }
}
