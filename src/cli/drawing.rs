//! The flags that every verb shares that draws: the model, the settings of a request, and where the
//! pictures go.

use std::path::PathBuf;

use aquatint::sampling::{Prediction, SAMPLERS, SCHEDULES};
use aquatint::{Noise, Preset, Request};
use clap::Args;

use super::args::SizeArgs;
use super::device::DeviceArgs;
use super::model::{ModelArgs, RefinerArgs};
use super::output::Pattern;
use super::preview::PreviewArgs;
use super::sweep::SweepArgs;
use super::values::{
    NoisePathArg, PromptStyleArg, SeamlessArg, Seed, SigmaRulesArg, Sigmas, Verbosity, corner,
    finite_number, noise, prediction, preset, seed, sigmas, size, whole_number,
};
use super::variation::VariationArgs;

/// The flags of every verb that draws.
#[derive(Debug, Args)]
pub(super) struct DrawArgs {
    #[command(flatten)]
    pub(super) model: ModelArgs,

    #[command(flatten)]
    pub(super) refiner: RefinerArgs,

    /// Share of the noise after which the refiner takes over [default: 0.8]
    #[arg(long, value_name = "SHARE", value_parser = finite_number, requires = "refiner")]
    #[arg(allow_negative_numbers = true)]
    pub(super) refiner_start: Option<f64>,

    /// What to keep out of the picture; needs a guidance scale other than 1
    #[arg(
        short,
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true
    )]
    #[arg(allow_hyphen_values = true)]
    pub(super) negative_prompt: String,

    /// What the second text encoder reads, of models with two (XL) [default: the prompt]
    #[arg(long = "prompt-2", value_name = "TEXT", allow_hyphen_values = true)]
    pub(super) prompt_2: Option<String>,

    /// What the second text encoder reads of what to keep out [default: the negative prompt]
    #[arg(
        long = "negative-prompt-2",
        value_name = "TEXT",
        allow_hyphen_values = true
    )]
    pub(super) negative_prompt_2: Option<String>,

    /// Whose brackets and weights the prompts have [default: plain, or as --preset says]
    ///
    /// plain takes the text as it is and cuts it where the text encoder ends, as diffusers does.
    /// a1111 and comfy read (word:1.3) and go on in further chunks; a1111 also reads [word], BREAK,
    /// prompts joined by AND, [from:to:when] and [one|another].
    #[arg(long, value_name = "PROGRAM", value_enum)]
    pub(super) prompt_style: Option<PromptStyleArg>,

    #[command(flatten)]
    pub(super) size: SizeArgs,

    /// Make edges go on at the opposite ones, for textures that tile: left and right, top and bottom, or all
    ///
    /// With --tile-latents, windows go on around the edge: a wide picture with x is a panorama of 360°.
    #[arg(long, value_name = "EDGES", value_enum, conflicts_with = "vae_tile")]
    pub(super) seamless: Option<SeamlessArg>,

    /// Number of denoising steps [default: from the model's family]
    #[arg(long, value_name = "N", value_parser = whole_number, allow_negative_numbers = true)]
    pub(super) steps: Option<usize>,

    /// How strongly the prompt guides; 1 turns guidance off [default: from the model's family]
    #[arg(short, long, visible_alias = "cfg-scale", value_name = "SCALE")]
    #[arg(value_parser = finite_number, allow_negative_numbers = true)]
    pub(super) guidance_scale: Option<f64>,

    /// Sampler: how each step moves [default: from the model's family]
    #[arg(long, visible_alias = "sampling-method", value_name = "NAME", long_help = sampler_help())]
    pub(super) sampler: Option<String>,

    /// Schedule: the noise levels of the steps [default: from the model's family]
    #[arg(long, visible_alias = "scheduler", value_name = "NAME", long_help = schedule_help())]
    pub(super) schedule: Option<String>,

    /// Noise levels of the run's own, as in 14.6,3.9,0.9,0, in place of the schedule's
    ///
    /// They fall from the noisiest on; the last is where the run ends. The number of steps follows.
    #[arg(long, value_name = "SIGMA,…", value_parser = sigmas, conflicts_with = "schedule")]
    #[arg(allow_hyphen_values = true)]
    pub(super) sigmas: Option<Sigmas>,

    /// Whose habits decide where programs differ over the same sampler and schedule [default: diffusers, or as --preset says]
    ///
    /// They differ in which levels some names stand for, in whether the network is told fractions of
    /// timesteps, and in how much noise there is at first.
    #[arg(long, value_name = "PROGRAM", value_enum)]
    pub(super) sigma_rules: Option<SigmaRulesArg>,

    /// How much of the removed noise is replaced by fresh noise each step, 0 to 1 [default: the sampler's]
    #[arg(long, value_name = "ETA", value_parser = finite_number, allow_negative_numbers = true)]
    pub(super) eta: Option<f64>,

    /// Layer of the text encoders whose vectors are taken, 1 for the last [default: the model's own]
    #[arg(long, value_name = "N", value_parser = whole_number, allow_negative_numbers = true)]
    pub(super) clip_skip: Option<usize>,

    /// How much of the unguided spread is restored after guidance, 0 to 1; 0.7 against washed-out pictures
    #[arg(long, value_name = "SHARE", default_value = "0", value_parser = finite_number)]
    #[arg(allow_negative_numbers = true)]
    pub(super) guidance_rescale: f64,

    /// Dynamic thresholding: the share of each step's values that are left unclamped, as in 0.995
    ///
    /// The picture that each step predicts is clamped to the magnitude that this share of its values
    /// does not exceed, if that is over 1, and divided by it: against saturation at large guidance
    /// scales. Made for models of pixels; diffusers calls it unsuitable for latent ones such as Stable
    /// Diffusion, whose latents go beyond -1..1.
    #[arg(long, value_name = "RATIO", value_parser = finite_number)]
    #[arg(allow_negative_numbers = true)]
    pub(super) dynamic_thresholding: Option<f64>,

    /// The most that dynamic thresholding divides by, from 1 (diffusers' sample_max_value) [default: no limit]
    #[arg(long, value_name = "MAX", value_parser = finite_number, requires = "dynamic_thresholding")]
    #[arg(allow_negative_numbers = true)]
    pub(super) threshold_max: Option<f64>,

    /// Share of the steps after which guidance begins
    #[arg(long, value_name = "SHARE", default_value = "0", value_parser = finite_number)]
    #[arg(allow_negative_numbers = true)]
    pub(super) guidance_start: f64,

    /// Share of the steps after which guidance ends
    #[arg(long, value_name = "SHARE", default_value = "1", value_parser = finite_number)]
    #[arg(allow_negative_numbers = true)]
    pub(super) guidance_end: f64,

    /// Size that SDXL is told the picture came from [default: the picture's own]
    #[arg(long, value_name = "WxH", value_parser = size)]
    pub(super) original_size: Option<[usize; 2]>,

    /// Pixels that SDXL is told were cropped off at the left and at the top [default: 0,0]
    #[arg(long, value_name = "X,Y", value_parser = corner)]
    pub(super) crop: Option<[usize; 2]>,

    /// Size that SDXL is told the picture has [default: its own]
    #[arg(long, value_name = "WxH", value_parser = size)]
    pub(super) target_size: Option<[usize; 2]>,

    /// How the noise of one step and another belong together [default: as --sigma-rules has it]
    ///
    /// Along a Brownian motion a picture keeps its composition when the number of steps changes;
    /// that is how k-diffusion's stochastic solvers, the samplers with `sde` in their names, draw it.
    #[arg(long, value_name = "PATH", value_enum)]
    pub(super) noise_path: Option<NoisePathArg>,

    /// What the network predicts: epsilon, v or flow [default: what the file says]
    ///
    /// For files that say nothing, or the wrong thing.
    #[arg(long, value_name = "NAME", value_parser = prediction)]
    pub(super) prediction: Option<Prediction>,

    /// Seed of the noise, up to 2⁶⁴ − 1; -1 draws one and prints it
    #[arg(short, long, value_name = "N", default_value = "-1", value_parser = seed)]
    #[arg(allow_negative_numbers = true)]
    pub(super) seed: Seed,

    #[command(flatten)]
    pub(super) variation: VariationArgs,

    #[command(flatten)]
    pub(super) sweep: SweepArgs,

    /// Make what another program would make: a1111, comfyui or diffusers
    ///
    /// Sets, as far as other flags do not, what programs differ in: where noise comes from, how the
    /// pictures of a batch and the steps share it, the prompt style and the sigma rules.
    #[arg(long, value_name = "PROGRAM", value_parser = preset)]
    pub(super) preset: Option<Preset>,

    /// Where noise comes from: torch-cpu, philox or FILE.safetensors [default: torch-cpu, or as --preset says]
    ///
    /// torch-cpu draws as PyTorch's CPU generator (diffusers; ComfyUI's single pictures without
    /// ancestral samplers), philox as CUDA's (AUTOMATIC1111, stable-diffusion.cpp). A file holds recorded noise, as --trace writes it:
    /// latents_init, noise.000, noise.001, …
    #[arg(long, value_name = "SOURCE", value_parser = noise)]
    pub(super) noise: Option<Noise>,

    #[command(flatten)]
    pub(super) device: DeviceArgs,

    /// File to write, or a folder to write into
    ///
    /// In the file's name, {seed}, {index} (of the picture in the batch, from 0), {model}, {width}
    /// and {height} are filled in. Where a file of that name exists, a number is added before the
    /// extension: cat.png, cat-1.png, cat-2.png, …
    #[arg(short, long, value_name = "PATTERN", default_value = Pattern::DEFAULT)]
    #[arg(value_parser = Pattern::parse)]
    pub(super) output: Pattern,

    /// Replace files that exist instead of adding a number
    #[arg(long)]
    pub(super) overwrite: bool,

    #[command(flatten)]
    pub(super) preview: PreviewArgs,

    /// Say what would be drawn, in how many steps and how much memory, and draw nothing
    ///
    /// The model and the pictures are opened and everything is checked, as before the first step.
    #[arg(long)]
    pub(super) dry_run: bool,

    /// Record tokens, embeddings, noise and the latents of every step into a file
    ///
    /// For bug reports and for comparing with other runtimes. All f32 but the ids, in PyTorch's
    /// order [N, C, H, W], with the settings as JSON in the header's metadata.
    #[arg(long, value_name = "FILE.safetensors")]
    pub(super) trace: Option<PathBuf>,

    /// Print one JSON object: the resolved request, files, seeds, timings
    #[arg(long)]
    pub(super) json: bool,

    /// Say nothing but errors and the names of the files
    #[arg(short, long, conflicts_with = "verbose")]
    quiet: bool,

    /// Say more: the device, memory, timings
    #[arg(short, long)]
    verbose: bool,
}

impl DrawArgs {
    /// How much is said on the way.
    pub(super) fn verbosity(&self) -> Verbosity {
        match (self.quiet, self.verbose) {
            (true, _) => Verbosity::Quiet,
            (false, false) => Verbosity::Normal,
            (false, true) => Verbosity::Verbose,
        }
    }

    /// What was typed, as a request; everything else is left to the model's family.
    pub(super) fn request(&self, prompt: &str) -> Request {
        let args = self;
        let mut request = Request::new(prompt);
        request.negative_prompt = args.negative_prompt.clone();
        request.prompt_2 = args.prompt_2.clone();
        request.negative_prompt_2 = args.negative_prompt_2.clone();
        request.prompt_style = args.prompt_style.map(Into::into);
        request.width = args.size.width;
        request.height = args.size.height;
        request.batch_size = args.size.batch_size;
        request.precision = args.size.precision.into();
        request.vae_tile = args.size.vae_tile;
        request.tile_latents = args.size.tile_latents();
        request.seamless = args.seamless.map(Into::into);
        request.steps = args.steps;
        request.guidance_scale = args.guidance_scale;
        request.sampler = args.sampler.clone();
        request.schedule = args.schedule.clone();
        request.sigmas = args.sigmas.as_ref().map(|sigmas| sigmas.0.clone());
        request.sigma_rules = args.sigma_rules.map(Into::into);
        request.eta = args.eta;
        request.clip_skip = args.clip_skip;
        request.guidance_rescale = args.guidance_rescale;
        request.dynamic_thresholding = args.dynamic_thresholding;
        request.threshold_max = args.threshold_max;
        request.guidance_start = args.guidance_start;
        request.guidance_end = args.guidance_end;
        request.refiner_start = args.refiner_start;
        request.original_size = args.original_size;
        request.crop = args.crop;
        request.target_size = args.target_size;
        request.noise_path = args.noise_path.map(Into::into);
        request.prediction = args.prediction;
        request.seed = match args.seed {
            Seed::Draw => None,
            Seed::Fixed(seed) => Some(seed),
        };
        args.variation.apply(&mut request);
        request.preset = args.preset;
        request.noise = args.noise.clone();
        request
    }
}

fn sampler_help() -> String {
    let entries = SAMPLERS
        .iter()
        .map(|sampler| (sampler.name, sampler.summary));
    registry_help(
        "Sampler: how each step moves [default: from the model's family]",
        entries,
    )
}

fn schedule_help() -> String {
    let entries = SCHEDULES
        .iter()
        .map(|schedule| (schedule.name, schedule.summary));
    registry_help(
        "Schedule: the noise levels of the steps [default: from the model's family]",
        entries,
    )
}

/// A flag's help with the names that it takes, one line each.
fn registry_help<'a>(title: &str, entries: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let lines: String = entries
        .map(|(name, summary)| format!("\n- {name}: {summary}"))
        .collect();
    format!("{title}\n{lines}")
}
