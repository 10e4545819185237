//! The plans of a pipeline that are ready to run, kept between requests.

use super::model::Model;
use super::recordings::StepShape;
use crate::error::Result;
use crate::gpu::Device;
use crate::plan::{Residency, Runner};
use crate::tensor::DType;
use std::sync::{Arc, Mutex, PoisonError};

/// What tells one plan of a model from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// The text encoder for so many prompts.
    TextEncoder(usize),
    /// The denoising step.
    Step(StepShape),
    /// The decoder for a latent of that height and width.
    VaeDecoder([usize; 2]),
}

/// A part at one shape, with the type of its activations.
pub(super) type PlanKey = (Part, DType);

/// Runners that no run is using: at most one of each part, so that memory does not pile up.
#[derive(Debug)]
pub(super) struct Plans {
    device: Device,
    residency: Arc<Residency>,
    idle: Mutex<Vec<(PlanKey, Runner)>>,
}

impl Plans {
    pub(super) fn new(device: &Device, residency: Arc<Residency>) -> Self {
        Self {
            device: device.clone(),
            residency,
            idle: Mutex::default(),
        }
    }

    /// An idle runner of that key, or a new one. Another shape of the same part is freed first.
    ///
    /// # Errors
    /// As [`Runner::new`].
    pub(super) async fn take(&self, model: &Model, key: PlanKey) -> Result<Runner> {
        {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(at) = idle.iter().position(|(known, _)| *known == key) {
                return Ok(idle.swap_remove(at).1);
            }
            idle.retain(|((part, _), _)| {
                std::mem::discriminant(part) != std::mem::discriminant(&key.0)
            });
        }
        let caps = self.device.caps();
        let plan = match key.0 {
            Part::TextEncoder(prompts) => model.text_encoder_plan(prompts, key.1, &caps)?,
            Part::Step(shape) => model.step_plan(shape, key.1, &caps)?,
            Part::VaeDecoder(latent) => model.vae_decoder_plan(latent, key.1, &caps)?,
        };
        Runner::new(&self.device, plan, &self.residency).await
    }

    /// Keeps a runner for the next request.
    pub(super) fn give_back(&self, key: PlanKey, runner: Runner) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|((part, _), _)| {
            std::mem::discriminant(part) != std::mem::discriminant(&key.0)
        });
        idle.push((key, runner));
    }
}
