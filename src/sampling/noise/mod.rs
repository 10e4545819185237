//! Where the noise of a picture comes from: generators that give other programs' numbers.
//!
//! The same seed gives the same picture only if it gives the same noise, so a source here is
//! another program's generator, number for number. Values come in the order of a torch tensor
//! that was filled flat: for latents that is `[N, C, H, W]`.

mod brownian;
mod philox;
mod seed_sequence;
mod slerp;
mod torch_cpu;

use serde::{Deserialize, Serialize};

pub use self::brownian::BrownianTree;
pub(crate) use self::slerp::slerp;
use self::{philox::Philox, torch_cpu::TorchCpu};

/// Whose random numbers a seed stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoiseSource {
    /// `torch.randn` on the CPU: the noise of ComfyUI, and of diffusers with a CPU generator.
    #[default]
    TorchCpu,
    /// `torch.randn` on CUDA: the noise of A1111 and its descendants, and of sd.cpp.
    Philox,
}

/// How the noise of one step and that of another belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoisePath {
    /// Not at all: each step draws afresh, so another number of steps makes another picture.
    Independent,
    /// As increments of one Brownian motion over the noise levels ([`BrownianTree`]), so that a
    /// picture keeps its composition when the number of steps changes.
    Brownian,
}

impl NoiseSource {
    /// Starts the generator anew at `seed`. Every seed is a seed, 0 too.
    ///
    /// torch's CPU generator uses the low 32 bits of the seed only, as in torch.
    #[must_use]
    pub fn generator(self, seed: u64) -> NoiseGenerator {
        NoiseGenerator(match self {
            Self::TorchCpu => Generator::TorchCpu(Box::new(TorchCpu::new(seed))),
            Self::Philox => Generator::Philox(Philox::new(seed)),
        })
    }
}

/// A generator under way: each call of [`normal`](Self::normal) is one call of `torch.randn`.
#[derive(Clone, Debug)]
pub struct NoiseGenerator(Generator);

#[derive(Clone, Debug)]
enum Generator {
    TorchCpu(Box<TorchCpu>),
    Philox(Philox),
}

impl NoiseGenerator {
    /// The next `len` values of a unit normal, as `torch.randn(len, generator=…)` gives them.
    ///
    /// How numbers are divided into calls matters: two calls of 8 are not one of 16.
    #[must_use]
    pub fn normal(&mut self, len: usize) -> Vec<f32> {
        match &mut self.0 {
            Generator::TorchCpu(generator) => generator.normal(len),
            Generator::Philox(generator) => generator.normal(len),
        }
    }
}
