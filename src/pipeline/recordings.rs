//! The plans of a model, recorded at one shape: text encoder, denoising step, decoder.

use super::model::Model;
use super::prompts::Prompts;
use super::request::{Request, Seamless};
use super::tiled::Windows;
use crate::error::{Error, Result};
use crate::networks::{AddedInputs, UnetInputs};
use crate::ops::{RowField, STATE_SLOTS, WindowField};
use crate::plan::Plan;
use crate::tensor::{Caps, DType, Recorder, Tensor, Wrap};

/// How many rows of the table a step's plan is told the timesteps of at once. What follows from them is
/// computed for all of these together, and again at every so many rows: so one plan serves tables of any
/// length, in memory that does not grow with it.
pub(crate) const WINDOW_ROWS: usize = 32;

/// The shape of a denoising step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct StepShape {
    /// Pictures.
    pub(crate) batch: usize,
    /// Evaluations of the network for each: 2 with guidance, more with joined prompts, else 1.
    pub(crate) branches: usize,
    /// Chunks of each prompt: the context is so many times as long as a text encoder's text.
    pub(crate) chunks: usize,
    /// Height and width in latents.
    pub(crate) latent: [usize; 2],
    /// What becomes of the branches.
    pub(crate) guidance: Guidance,
    /// Whether what is known of the pictures is put back after the step.
    pub(crate) keeps_known: bool,
    /// The windows in which the network sees the latents, one a run of the plan; `None` if all at once.
    pub(crate) windows: Option<Windows>,
    /// Which edges of the pictures join.
    pub(crate) wrap: Wrap,
}

/// The shape of the text encoders' run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TextShape {
    /// Chunks of text at once.
    pub(crate) texts: usize,
    /// The layer whose vectors are taken, counted from 1 for the last; the family's own if `None`.
    pub(crate) clip_skip: Option<usize>,
}

impl StepShape {
    /// What a resolved request needs.
    ///
    /// # Errors
    /// As [`Model::latent_size`], and [`Error::Unsupported`] if what becomes of the branches is not
    /// defined for as many as there are.
    pub(super) fn of(model: &Model, request: &Request, prompts: &Prompts) -> Result<Self> {
        let (branches, guidance) = (prompts.branches().len(), Guidance::of(request));
        if guidance == Guidance::Rescaled && branches > 2 {
            return Err(Error::Unsupported(
                "rescaled guidance with prompts joined by AND; use one of the two".into(),
            ));
        }
        let latent = model.latent_size(request.width(), request.height())?;
        let windows = model.windows(request, latent)?;
        let whole = Seamless::wrap(request.seamless);
        Ok(Self {
            batch: request.batch_size,
            branches,
            chunks: prompts.chunk_count(),
            latent,
            windows,
            guidance,
            keeps_known: request.task.keeps_known(model)?,
            wrap: windows.map_or(whole, |windows| windows.wrap_within()),
        })
    }
}

impl TextShape {
    /// What a resolved request needs.
    pub(super) fn of(request: &Request, prompts: &Prompts) -> Self {
        Self {
            texts: prompts.text_count(),
            clip_skip: request.clip_skip,
        }
    }
}

/// What becomes of the branches of a guided step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Guidance {
    /// They are weighed.
    #[default]
    Plain,
    /// They are weighed, and what comes out gets the spread of the conditional one.
    Rescaled,
    /// They are weighed, and the picture that follows is pulled into the range of pictures.
    Thresholded,
}

impl Guidance {
    /// What a request asks for.
    pub(super) fn of(request: &Request) -> Self {
        if request.dynamic_thresholding.is_some() {
            Self::Thresholded
        } else if request.guidance_rescale == 0.0 {
            Self::Plain
        } else {
            Self::Rescaled
        }
    }
}

/// A window of the latents, wherever it lies.
#[derive(Clone, Copy)]
struct Window<'g> {
    size: [usize; 2],
    place: Tensor<'g>,
}

/// Names of the plans' inputs and outputs.
pub(crate) mod ends {
    /// Token ids `[N, L]` of each text encoder.
    pub(crate) const IDS: [&str; 2] = ["ids", "ids_2"];
    /// Where each text's end token stands among all N·L, `[N, 1]`, for each text encoder.
    pub(crate) const TEXT_ENDS: [&str; 2] = ["text_ends", "text_ends_2"];
    /// The text encoders' vectors for tokens, joined: `[N, L, C]`.
    pub(crate) const EMBEDDINGS: &str = "embeddings";
    /// A text encoder's vector for each text, `[N, P]`; also the UNet's, `[branches·N, P]`.
    pub(crate) const POOLED: &str = "pooled";
    /// What a run carries from row to row, `[S, N, h, w, C]`.
    pub(crate) const STATE: &str = "state";
    /// The state before the last row.
    pub(crate) const PREVIOUS: &str = "previous";
    /// Where the window is that the network sees, as [`crate::ops::WindowField`] has it.
    pub(crate) const WINDOW: &str = "window";
    /// What the network predicts of the windows so far, `[branches·N, h, w, C]`.
    pub(crate) const SUM: &str = "sum";
    /// A row of the table.
    pub(crate) const ROW: &str = "row";
    /// The network's timesteps at the rows of a window, each once for each evaluation.
    pub(crate) const TIMESTEPS: &str = "timesteps";
    /// What the prompts say, `[branches·N, chunks·L, C]`, the unconditional first.
    pub(crate) const CONTEXT: &str = "context";
    /// Sizes and the like that the UNet is told, `[branches·N, T]`.
    pub(crate) const TIME_IDS: &str = "time_ids";
    /// The guidance scale less one, for UNets that are told it, `[N]`.
    pub(crate) const GUIDANCE: &str = "guidance";
    /// What UNets for inpainting and instructions take behind the latent's channels,
    /// `[branches·N, h, w, C_in − C]`.
    pub(crate) const BESIDE: &str = "beside";
    /// What is known of the pictures: clean latents `[N, h, w, C]`.
    pub(crate) const KNOWN: &str = "known";
    /// The unit normal that the run began with, `[N, h, w, C]`.
    pub(crate) const KNOWN_NOISE: &str = "known_noise";
    /// How much of the pictures may change, 0 to 1, `[N, h, w, 1]`.
    pub(crate) const MASK: &str = "mask";
    /// Fresh noise `[N, h, w, C]`.
    pub(crate) const NOISE: &str = "noise";
    /// How many values are not finite.
    pub(crate) const NONFINITE: &str = "nonfinite";
    /// One latent `[1, h, w, C]`.
    pub(crate) const LATENT: &str = "latent";
    /// A picture in −1..1, `[1, H, W, 3]`.
    pub(crate) const IMAGE: &str = "image";
    /// The mean of a picture's latent, `[1, h, w, C]`.
    pub(crate) const MEAN: &str = "mean";
    /// The logarithm of the variance of a picture's latent, `[1, h, w, C]`.
    pub(crate) const LOG_VARIANCE: &str = "log_variance";
    /// The decoder's picture before clamping, `[1, H, W, 3]`.
    pub(crate) const DECODED: &str = "decoded";
    /// The picture as bytes, `[1, H, W, 4]`.
    pub(crate) const PIXELS: &str = "pixels";
}

impl Model {
    /// ids → embeddings, for so many chunks at once, by all text encoders.
    pub(super) fn text_encoder_plan(
        &self,
        shape: TextShape,
        compute: DType,
        caps: &Caps,
    ) -> Result<Plan> {
        let TextShape { texts, clip_skip } = shape;
        let recorder = Recorder::new(compute);
        let [length, _] = self.context_shape();
        let names = ends::IDS.into_iter().zip(ends::TEXT_ENDS);
        let encodings = self.text_encoders.iter().zip(names);
        let encodings: Vec<_> = encodings
            .map(|(encoder, (ids, text_ends))| {
                let ids = recorder.input(ids, [texts, length], DType::U32);
                let text_ends = recorder.input(text_ends, [texts, 1], DType::U32);
                let skipped_layers = clip_skip.map_or(encoder.skipped_layers, |skip| skip - 1);
                encoder.network.forward(ids, text_ends, skipped_layers)
            })
            .collect();
        let hidden = encodings.iter().map(|encoding| encoding.hidden);
        if let Some(embeddings) = hidden.reduce(|joined, next| joined.concat(next)) {
            let embeddings = embeddings.to(DType::F32); // [N, L, ΣC]
            recorder.output(ends::EMBEDDINGS, embeddings);
            recorder.output(ends::NONFINITE, embeddings.count_nonfinite());
        }
        if let Some(pooled) = encodings.iter().rev().find_map(|encoding| encoding.pooled) {
            recorder.output(ends::POOLED, pooled.to(DType::F32)); // [N, P]
        }
        Plan::lower(recorder.finish()?, caps)
    }

    /// One row of a table: scaling, network, guidance, update and the check that all is finite. With
    /// windows, the network's share in it for one of them, and the update by what is predicted of those
    /// so far: a row that leaves the state as it is serves for all but the last.
    pub(crate) fn step_plan(&self, shape: StepShape, compute: DType, caps: &Caps) -> Result<Plan> {
        let StepShape {
            batch,
            branches,
            chunks,
            latent: [height, width],
            guidance: guidance_rule,
            keeps_known,
            windows,
            wrap,
        } = shape;
        let channels = self.config.vae.latent_channels;
        let state_shape = [STATE_SLOTS, batch, height, width, channels];
        let evaluations = branches * batch;
        let [context_length, context_width] = self.context_shape();
        let context_shape = [evaluations, chunks * context_length, context_width];

        let recorder = Recorder::new(compute).wrapping(wrap);
        let state = recorder.input(ends::STATE, state_shape, DType::F32);
        recorder.input(ends::PREVIOUS, state_shape, DType::F32);
        let row = recorder.input(ends::ROW, [RowField::COUNT], DType::F32);
        let timesteps = [WINDOW_ROWS, evaluations];
        let timesteps = recorder.input_per_run(ends::TIMESTEPS, timesteps, DType::F32);
        let context = recorder.input_per_run(ends::CONTEXT, context_shape, compute);
        let noise = recorder.input(ends::NOISE, [batch, height, width, channels], DType::F32);
        let added = self.config.unet.added.as_ref().map(|added| AddedInputs {
            pooled: recorder.input_per_run(
                ends::POOLED,
                [evaluations, added.pooled_width],
                compute,
            ),
            time_ids: recorder.input_per_run(
                ends::TIME_IDS,
                [evaluations, added.time_ids],
                DType::F32,
            ),
        });
        let guidance = self
            .unet
            .embeds_guidance()
            .then(|| recorder.input_per_run(ends::GUIDANCE, [evaluations], DType::F32));

        let mut sample = state.model_input(row, branches);
        let beside = self.config.unet.in_channels - channels;
        if beside > 0 {
            let shape = [evaluations, height, width, beside];
            sample = sample.concat(recorder.input_per_run(ends::BESIDE, shape, compute));
        }
        let window = windows.map(|windows| Window {
            size: windows.size,
            place: recorder.input(ends::WINDOW, [WindowField::count(windows.size)], DType::F32),
        });
        if let Some(Window { size, place }) = window {
            sample = sample.cut_window(place, size);
        }
        let mut output = self.unet.forward(UnetInputs {
            sample,
            timestep: timesteps.select_row(row),
            context,
            added,
            guidance,
        });
        if let Some(Window { place, .. }) = window {
            let sum = recorder.input(
                ends::SUM,
                [evaluations, height, width, channels],
                DType::F32,
            );
            output = sum.add_window(output, place);
            recorder.feed_back(ends::SUM, output);
        }
        let output = match guidance_rule {
            Guidance::Rescaled if branches == 2 => output.rescale_guidance(row),
            Guidance::Thresholded => state.dynamic_threshold(output, row),
            Guidance::Plain | Guidance::Rescaled => output,
        };
        let mut next = state.sampler_step(output, noise, row);
        if keeps_known {
            let latents = [batch, height, width, channels];
            next = next.keep_known(
                recorder.input(ends::KNOWN, latents, DType::F32),
                recorder.input(ends::KNOWN_NOISE, latents, DType::F32),
                recorder.input(ends::MASK, [batch, height, width, 1], DType::F32),
                row,
            );
        }
        recorder.output(ends::NONFINITE, next.count_nonfinite());
        recorder.feed_back(ends::PREVIOUS, state);
        recorder.feed_back(ends::STATE, next);
        Plan::lower(recorder.finish()?, caps)
    }

    /// One latent → one picture, whose edges may join.
    pub(crate) fn vae_decoder_plan(
        &self,
        latent: [usize; 2],
        wrap: Wrap,
        compute: DType,
        caps: &Caps,
    ) -> Result<Plan> {
        let recorder = Recorder::new(compute).wrapping(wrap);
        let shape = [1, latent[0], latent[1], self.config.vae.latent_channels];
        let latent = recorder.input(ends::LATENT, shape, DType::F32);
        let decoded = self.vae_decoder.forward(latent.to(compute));
        recorder.output(ends::DECODED, decoded);
        recorder.output(ends::PIXELS, decoded.to_rgba8());
        recorder.output(ends::NONFINITE, decoded.count_nonfinite());
        Plan::lower(recorder.finish()?, caps)
    }

    /// One picture, whose edges may join → mean and log variance of its latent.
    ///
    /// # Errors
    /// As [`Model::require_encoder`].
    pub(super) fn vae_encoder_plan(
        &self,
        latent: [usize; 2],
        wrap: Wrap,
        compute: DType,
        caps: &Caps,
    ) -> Result<Plan> {
        let encoder = self.require_encoder()?;
        let [height, width] = latent.map(|side| side * self.config.vae_scale_factor);
        let recorder = Recorder::new(compute).wrapping(wrap);
        let image = recorder.input(ends::IMAGE, [1, height, width, 3], DType::F32);
        let moments = encoder.forward(image.to(compute)).to(DType::F32);
        recorder.output(ends::MEAN, encoder.mean(moments));
        recorder.output(ends::LOG_VARIANCE, encoder.log_variance(moments));
        recorder.output(ends::NONFINITE, moments.count_nonfinite());
        Plan::lower(recorder.finish()?, caps)
    }
}
