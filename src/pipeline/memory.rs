//! What a picture costs, counted before anything runs.

use super::hires::Pass;
use super::model::Model;
use super::prompts::Prompts;
use super::recordings::{Guidance, StepShape, TextShape};
use super::request::{Precision, Request};
use super::residence::Residence;
use super::tiled::TileLatents;
use super::vae::with_largest_tiles;
use crate::error::{Error, Result};
use crate::plan::{DispatchReport, PhaseReport, Plan, PlanReport, count_kernels};
use crate::sampling::Table;
use crate::tensor::{Caps, DType, Param, Rules, Wrap};
use serde::Serialize;
use std::collections::{BTreeMap, HashSet};
use std::fmt;

/// The size at which a model is planned without a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlanOptions {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// Pictures at once.
    pub batch_size: usize,
    /// How activations are stored; `Auto` as on a graphics device, f16.
    pub precision: Precision,
    /// The rules by which plans are made.
    pub rules: Rules,
    /// The most bytes that may be on the device, as [`super::LoadOptions::vram_bytes`]: the VAE works
    /// in tiles where it would not fit.
    pub vram_bytes: Option<u64>,
    /// The most pixels on a side of what the VAE has at once, whatever fits.
    pub vae_tile: Option<usize>,
    /// The windows in which the network sees the latents, if not all at once.
    pub tile_latents: Option<TileLatents>,
}

/// What each part of a model costs: `text_encoder` for prompt and negative prompt, `unet` for one
/// step with guidance (once a run what steps have in common), `vae_decoder` and `vae_encoder` for one picture.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ModelReport {
    /// The parts by name. Where the VAE works in tiles, `vae_decoder` and `vae_encoder` are what of
    /// them looks at the whole picture, and `.tile` is the rest, which runs once for each tile and
    /// once before.
    pub parts: BTreeMap<&'static str, PlanReport>,
    /// The most pixels on a side of what the VAE has at once; the whole picture's where `None`.
    pub vae_tile: Option<usize>,
    /// How many windows the network sees of the latents, one after another, in each step; `unet` is one of
    /// them.
    pub latent_windows: usize,
    /// Which parts are on the device at once, under the limit given.
    pub residence: Residence,
    /// How many kernels a device compiles for a picture: shader variants, of all parts but the
    /// encoder.
    pub kernels: usize,
}

/// The part that pictures from prompts do not take.
const ENCODER: &str = "vae_encoder";

/// The plans of a model at one size.
struct Planned {
    plans: Vec<(&'static str, Plan)>,
    /// The latents on a side of the VAE's tiles, where it has any.
    vae_tile: Option<usize>,
    latent_windows: usize,
    residence: Residence,
}

/// What a request takes on the device; of two passes, the one that takes more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Memory {
    /// The weights of all parts, as stored.
    pub weight_bytes: u64,
    /// The activations of all parts.
    pub activation_bytes: u64,
    /// Each part, in the order in which they run.
    pub parts: Vec<PartMemory>,
    /// Which of them are there at once.
    pub residence: Residence,
}

/// What one part of a model takes while it is on the device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PartMemory {
    /// `text_encoder`, `vae_encoder`, `unet` or `vae_decoder`, and `vae_encoder.tile` or
    /// `vae_decoder.tile` where they work in tiles; a refiner's with `refiner.` before it; `upscaler`
    /// between two passes.
    pub name: String,
    /// The weights, as stored.
    pub weight_bytes: u64,
    /// The activations.
    pub activation_bytes: u64,
}

impl PartMemory {
    /// Weights and activations.
    pub fn total_bytes(&self) -> u64 {
        self.weight_bytes + self.activation_bytes
    }
}

impl Memory {
    /// All parts together.
    pub(super) fn of(parts: Vec<PartMemory>) -> Self {
        Self {
            weight_bytes: parts.iter().map(|part| part.weight_bytes).sum(),
            activation_bytes: parts.iter().map(|part| part.activation_bytes).sum(),
            parts,
            residence: Residence::Together,
        }
    }

    /// All plans together.
    fn of_plans(plans: &[(&'static str, Plan)]) -> Self {
        let parts = plans.iter().map(|(name, plan)| {
            let report = plan.report();
            PartMemory {
                name: (*name).to_owned(),
                weight_bytes: report.weight_bytes,
                activation_bytes: report.peak_activation_bytes,
            }
        });
        Self::of(parts.collect())
    }

    /// The same with one more part, if there is one.
    pub(super) fn with(mut self, part: Option<PartMemory>) -> Self {
        self.parts.extend(part);
        Self::of(self.parts)
    }

    /// The same with a refiner beside it.
    pub(super) fn refined_by(mut self, refiner: Self) -> Self {
        let parts = refiner.parts.into_iter().map(|part| PartMemory {
            name: format!("refiner.{}", part.name),
            ..part
        });
        self.parts.extend(parts);
        Self::of(self.parts)
    }

    /// Weights and activations of all parts.
    pub fn total_bytes(&self) -> u64 {
        self.weight_bytes + self.activation_bytes
    }

    /// The most that is on the device at once.
    pub fn resident_bytes(&self) -> u64 {
        match self.residence {
            Residence::Together => self.total_bytes(),
            Residence::InTurn => {
                let parts = self.parts.iter();
                parts.map(PartMemory::total_bytes).max().unwrap_or(0)
            }
        }
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let turn = match self.residence {
            Residence::Together => "",
            Residence::InTurn => "; parts in turn",
        };
        write!(
            f,
            "{:.0} MiB ({:.0} weights, {:.0} activations{turn})",
            mib(self.resident_bytes()),
            mib(self.weight_bytes),
            mib(self.activation_bytes)
        )
    }
}

impl fmt::Display for ModelReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let work = |phase: PhaseReport| {
            let giga = |count: u64| count as f64 / 1e9;
            let (flops, bytes) = (giga(phase.flops), giga(phase.bytes));
            format!("{:>11} {flops:>11.3} {bytes:>12.3}", phase.dispatches)
        };
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        writeln!(
            f,
            "part              dispatches       GFLOP     GB moved  weights MiB  activations MiB"
        )?;
        for (name, part) in &self.parts {
            writeln!(
                f,
                "{name:<16} {} {:>12.1} {:>16.1}",
                work(part.step),
                mib(part.weight_bytes),
                mib(part.peak_activation_bytes)
            )?;
            if part.prologue.dispatches > 0 {
                writeln!(f, "{:<16} {}", "  once a run", work(part.prologue))?;
            }
        }
        writeln!(f, "{} kernels to compile for a picture", self.kernels)?;
        if self.latent_windows > 1 {
            let count = self.latent_windows;
            writeln!(
                f,
                "a step is {count} runs of the unet, one for each window of the latent"
            )?;
        }
        if let Some(side) = self.vae_tile {
            writeln!(f, "the VAE works in tiles of {side} pixels")?;
        }
        match self.residence {
            Residence::Together => Ok(()),
            Residence::InTurn => writeln!(f, "parts take turns on the device"),
        }
    }
}

impl Model {
    /// What each part costs at a size, with no device at hand.
    ///
    /// # Errors
    /// [`crate::Error::Request`] if the size is out of range or no multiple of the latent factor.
    pub fn plan(&self, options: &PlanOptions) -> Result<ModelReport> {
        let Planned {
            plans,
            vae_tile,
            latent_windows,
            residence,
        } = self.planned(options)?;
        let reports = plans.iter().map(|(name, plan)| (*name, plan.report()));
        let drawing = plans.iter().filter(|(name, _)| !name.starts_with(ENCODER));
        Ok(ModelReport {
            parts: reports.collect(),
            kernels: count_kernels(drawing.map(|(_, plan)| plan), &Caps::unlimited()),
            vae_tile: vae_tile.map(|side| side * self.config.vae_scale_factor),
            latent_windows,
            residence,
        })
    }

    /// Every dispatch of each part with its cost, in order.
    ///
    /// # Errors
    /// As [`Model::plan`].
    pub fn describe(
        &self,
        options: &PlanOptions,
    ) -> Result<BTreeMap<&'static str, Vec<DispatchReport>>> {
        let plans = self.planned(options)?.plans;
        let described = plans.iter().map(|(name, plan)| (*name, plan.describe()));
        Ok(described.collect())
    }

    /// The plans of every part, the encoder included where the file has one.
    fn planned(&self, options: &PlanOptions) -> Result<Planned> {
        let request = Request::new("")
            .size(options.width, options.height)
            .batch_size(options.batch_size);
        let request = Request {
            tile_latents: options.tile_latents,
            ..request
        };
        request.check()?;
        let compute = match options.precision {
            Precision::F32 => DType::F32,
            Precision::F16 | Precision::Auto => DType::F16,
        };
        let latent = self.latent_size(options.width, options.height)?;
        let shape = StepShape {
            batch: options.batch_size,
            branches: 2,
            chunks: 1,
            latent,
            guidance: Guidance::Plain,
            keeps_known: false,
            windows: self.windows(&request, latent)?,
            wrap: Wrap::NONE,
        };
        let caps = Caps {
            rules: options.rules,
            ..Caps::unlimited()
        };
        let fit = |vae_tile: Option<usize>| {
            let texts = own_layers(shape.branches);
            let mut plans = self.plans(shape, texts, compute, &caps, vae_tile)?;
            let memory = Memory::of_plans(&plans).within(options.vram_bytes)?;
            if self.vae_encoder.is_some() {
                plans.extend(self.vae_encoder_plans(shape.latent, vae_tile, compute, &caps)?);
            }
            Ok(Planned {
                plans,
                vae_tile,
                latent_windows: shape.windows.map_or(1, |windows| windows.count()),
                residence: memory.residence,
            })
        };
        match fit(self.vae_tile(options.vae_tile)?) {
            Err(refusal @ Error::OutOfMemory { .. }) if options.vae_tile.is_none() => {
                with_largest_tiles(shape.latent, refusal, |side| fit(Some(side)))
            }
            planned => planned,
        }
    }

    /// What a pass of a resolved request takes at the rows of a table.
    pub(super) fn memory(
        &self,
        request: &Request,
        pass: Pass,
        table: &Table,
        compute: DType,
        caps: &Caps,
        vae_tile: Option<usize>,
    ) -> Result<Memory> {
        let prompts = Prompts::read(self, request, table)?;
        let shape = StepShape::of(self, request, &prompts)?;
        let texts = TextShape::of(request, &prompts);
        let mut plans = self.plans(shape, texts, compute, caps, vae_tile)?;
        if pass.encodes(request) {
            let encoder = self.vae_encoder_plans(shape.latent, vae_tile, compute, caps)?;
            plans.splice(1..1, encoder);
        }
        Ok(Memory::of_plans(&plans))
    }

    /// The plans of a picture as the defaults have it, but always with guidance.
    ///
    /// # Errors
    /// As [`Model::plan`].
    pub(super) fn default_plans(
        &self,
        compute: DType,
        caps: &Caps,
    ) -> Result<Vec<(&'static str, Plan)>> {
        let defaults = self.defaults();
        let shape = StepShape {
            batch: 1,
            branches: 2,
            chunks: 1,
            latent: self.latent_size(defaults.width, defaults.height)?,
            guidance: Guidance::Plain,
            keeps_known: false,
            windows: None,
            wrap: Wrap::NONE,
        };
        self.plans(shape, own_layers(shape.branches), compute, caps, None)
    }

    /// Every weight that making a picture needs, each once.
    pub(crate) fn params(&self) -> Result<Vec<Param>> {
        let smallest = StepShape {
            batch: 1,
            branches: 1,
            chunks: 1,
            latent: [8, 8],
            guidance: Guidance::Plain,
            keeps_known: false,
            windows: None,
            wrap: Wrap::NONE,
        };
        let plans = self.plans(
            smallest,
            own_layers(1),
            DType::F32,
            &Caps::unlimited(),
            None,
        )?;
        let mut seen = HashSet::new();
        let params = plans.into_iter().flat_map(|(_, plan)| plan.params);
        Ok(params
            .filter(|param| seen.insert(param.name.clone()))
            .collect())
    }

    fn plans(
        &self,
        shape: StepShape,
        texts: TextShape,
        compute: DType,
        caps: &Caps,
        vae_tile: Option<usize>,
    ) -> Result<Vec<(&'static str, Plan)>> {
        let mut plans = vec![
            (
                "text_encoder",
                self.text_encoder_plan(texts, compute, caps)?,
            ),
            ("unet", self.step_plan(shape, compute, caps)?),
        ];
        plans.extend(self.vae_decoder_plans(shape.latent, vae_tile, compute, caps)?);
        Ok(plans)
    }
}

/// So many texts, with the layers that the family takes.
fn own_layers(texts: usize) -> TextShape {
    TextShape {
        texts,
        clip_skip: None,
    }
}
