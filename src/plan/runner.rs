//! A plan ready to run, wherever it runs.

use super::execute::Executable;
use super::lower::{End, Plan};
use super::phase::Phase;
use super::reference::Interpreter;
use super::residency::Residency;
use crate::error::{Error, Result};
use crate::gpu::{Device, Texture};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A plan on a device: write inputs by name, run, read outputs by name.
#[derive(Debug)]
pub(crate) struct Runner {
    plan: Arc<Plan>,
    backend: Backend,
    /// Whether the prologue's results are not those of its inputs.
    stale: AtomicBool,
}

#[derive(Debug)]
enum Backend {
    Gpu(Executable),
    Reference(Interpreter),
}

impl Runner {
    /// Prepares a plan: memory, weights and kernels.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`], [`Error::Unsupported`], [`Error::DeviceLost`], [`Error::Gpu`].
    pub(crate) async fn new(
        device: &Device,
        plan: Plan,
        residency: &Arc<Residency>,
    ) -> Result<Self> {
        let plan = Arc::new(plan);
        let backend = match device.gpu() {
            Some(gpu) => Backend::Gpu(Executable::new(gpu, &plan, residency).await?),
            None => Backend::Reference(Interpreter::new(&plan, residency)?),
        };
        Ok(Self {
            plan,
            backend,
            stale: AtomicBool::new(true),
        })
    }

    /// Writes the input of that name, one f32 for each element.
    ///
    /// # Errors
    /// [`Error::Record`] if there is no such input or the number of values is another.
    pub(crate) fn write(&self, name: &str, values: &[f32]) -> Result<()> {
        let end = self.end(self.plan.inputs.get(name), name)?;
        if end.hoisted {
            self.stale.store(true, Ordering::Relaxed);
        }
        match &self.backend {
            Backend::Gpu(executable) => executable.write(end, values),
            Backend::Reference(interpreter) => interpreter.write(end, values),
        }
    }

    /// Runs the plan once, after its prologue if an input of that was written.
    ///
    /// # Errors
    /// [`Error::DeviceLost`] or [`Error::Gpu`].
    pub(crate) async fn run(&self) -> Result<()> {
        if self.stale.load(Ordering::Relaxed) {
            self.run_phase(Phase::Prologue).await?;
            self.stale.store(false, Ordering::Relaxed);
        }
        self.run_phase(Phase::Step).await
    }

    async fn run_phase(&self, phase: Phase) -> Result<()> {
        match &self.backend {
            Backend::Gpu(executable) => executable.run(phase).await,
            Backend::Reference(interpreter) => interpreter.run(phase),
        }
    }

    /// Reads the output, or the input, of that name.
    ///
    /// # Errors
    /// [`Error::Record`] if there is none; [`Error::DeviceLost`], [`Error::Gpu`].
    pub(crate) async fn read(&self, name: &str) -> Result<Vec<f32>> {
        let found = self
            .plan
            .outputs
            .get(name)
            .or_else(|| self.plan.inputs.get(name));
        let end = self.end(found, name)?;
        match &self.backend {
            Backend::Gpu(executable) => executable.read(end).await,
            Backend::Reference(interpreter) => Ok(interpreter.read(end)),
        }
    }

    /// A texture of the output of that name, `[1, H, W, 4]` of bytes.
    ///
    /// # Errors
    /// [`Error::Record`] if there is none, [`Error::Unsupported`] on the CPU interpreter or where the device
    /// has none so large; [`Error::OutOfMemory`], [`Error::DeviceLost`], [`Error::Gpu`].
    pub(crate) fn texture(&self, name: &str) -> Result<Texture> {
        let end = self.end(self.plan.outputs.get(name), name)?;
        match &self.backend {
            Backend::Gpu(executable) => executable.texture(end),
            Backend::Reference(_) => {
                Err(Error::Unsupported("textures on the CPU interpreter".into()))
            }
        }
    }

    /// The plan that it runs.
    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Encodes one step without submitting it, where there is something to encode.
    ///
    /// # Errors
    /// None that preparing it did not find.
    pub(crate) fn encode_only(&self) -> Result<()> {
        match &self.backend {
            Backend::Gpu(executable) => executable.encode_only(),
            Backend::Reference(_) => Ok(()),
        }
    }

    /// Waits until everything submitted is done.
    ///
    /// # Errors
    /// [`Error::DeviceLost`] or [`Error::Gpu`].
    pub(crate) async fn wait(&self) -> Result<()> {
        match &self.backend {
            Backend::Gpu(executable) => executable.wait().await,
            Backend::Reference(_) => Ok(()),
        }
    }

    fn end(&self, end: Option<&End>, name: &str) -> Result<End> {
        end.copied().ok_or_else(|| Error::Record {
            scope: "a plan".into(),
            reason: format!("no input or output is called {name}"),
        })
    }
}
