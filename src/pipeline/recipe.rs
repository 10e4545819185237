//! What made a picture, read from the texts in its file.
//!
//! Pictures made here carry their whole request; those of A1111 and its descendants the
//! `parameters` text, whose settings become a request as far as there is one.

use super::hires::{Hires, HiresResize};
use super::noise::StepNoise;
use super::preset::Preset;
use super::request::{Noise, Request};
use crate::error::{Error, Result};
use crate::image::{Infotext, PARAMETERS_KEYWORD, PngInfo, REQUEST_KEYWORD};
use crate::sampling::{Choice, NoiseSource, Sampler};
use crate::text::extra_network;
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt;

/// The keyword of the text that ComfyUI writes its graph of nodes under.
const COMFYUI_KEYWORD: &str = "prompt";
/// Whose `Version` is ours.
const OUR_NAME: &str = "aquatint";

/// Parts of a model, and the settings that name their files: A1111's, and ours in its manner.
pub(super) const PART_LABELS: [(&str, &str); 4] = [
    ("unet", "UNet"),
    ("vae", "VAE"),
    ("text_encoder", "Text encoder"),
    ("text_encoder_2", "Text encoder 2"),
];

/// Settings of the `parameters` text that change nothing: they name, count and date.
const REMARKS: [&str; 12] = [
    "Batch pos",
    "Batch size",
    "Created Date",
    "Lora hashes",
    "Model",
    "Model hash",
    "Refiner",
    "TI hashes",
    "User",
    "VAE hash",
    "Version",
    "Cache FP16 weight for LoRA",
];

/// What made a picture, as its file tells it.
///
/// ```no_run
/// use aquatint::{Pipeline, PngInfo, Recipe, Result};
///
/// fn again(pipeline: &Pipeline, picture: &str) -> Result<()> {
///     let recipe = Recipe::read(&PngInfo::open(picture)?)?;
///     println!("{:?} drew it with {:?}", recipe.program, recipe.model);
///     pipeline.generate(&recipe.request)?[0].save("again.png")
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Recipe {
    /// The program that wrote the file.
    pub program: Program,
    /// That program's version, in its own words.
    pub version: Option<String>,
    /// The settings; what the file does not say is `None`, for the model's family to fill in.
    pub request: Request,
    /// The model's name.
    pub model: Option<String>,
    /// The files of parts that were not the model's own, by part: `vae`, `unet`, `text_encoder` or
    /// `text_encoder_2`.
    pub parts: BTreeMap<&'static str, String>,
    /// The name of the model that did the last steps.
    pub refiner: Option<String>,
    /// The name of the network that enlarged it between two passes.
    pub hires_upscaler: Option<String>,
    /// The model's hash as A1111 writes it: the first ten hexadecimal digits of the file's SHA-256.
    pub model_hash: Option<String>,
    /// What the file says and the request does not: each a sentence.
    pub warnings: Vec<String>,
}

/// A program that writes pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Program {
    /// This one.
    Aquatint,
    /// AUTOMATIC1111's web UI, or one of the many that write as it does.
    A1111,
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Aquatint => OUR_NAME,
            Self::A1111 => "AUTOMATIC1111 or a relative",
        })
    }
}

impl Recipe {
    /// Reads what made a picture.
    ///
    /// # Errors
    /// [`Error::BadFile`] if the file does not say, or says it in a form that is not read here.
    pub fn read(info: &PngInfo) -> Result<Self> {
        let infotext = info.text(PARAMETERS_KEYWORD).map(Infotext::parse);
        let mut recipe = match (info.text(REQUEST_KEYWORD), infotext) {
            (Some(json), infotext) => Self::ours(json, infotext.unwrap_or_default())
                .map_err(|reason| Error::bad_file(info.path(), reason))?,
            (None, Some(infotext)) if !infotext.settings.is_empty() => Self::a1111(&infotext),
            (None, _) => return Err(Error::bad_file(info.path(), silence(info))),
        };
        let left_out = info.left_out().iter();
        let left_out = left_out.map(|what| format!("could not read {what}"));
        recipe.warnings.extend(left_out);
        Ok(recipe)
    }

    /// From the request as it was written here.
    fn ours(json: &str, infotext: Infotext) -> std::result::Result<Self, String> {
        let version = infotext.get("Version").map(str::to_owned);
        // An object, since serde would take a list of the fields' values as well.
        let fields = serde_json::from_str::<Map<String, Value>>(json);
        let request = fields.and_then(|fields| serde_json::from_value(Value::Object(fields)));
        let request = request.map_err(|error| {
            let writer = version.as_deref().unwrap_or(OUR_NAME);
            format!(
                "its request was written by {writer} and is not understood by {OUR_NAME} {}: \
                 {error}; use the program that wrote it",
                env!("CARGO_PKG_VERSION")
            )
        })?;
        Ok(Self {
            program: Program::Aquatint,
            version,
            hires_upscaler: upscaler(&request, &infotext),
            request,
            model: infotext.get("Model").map(str::to_owned),
            parts: parts(&infotext),
            refiner: infotext.get("Refiner").map(str::to_owned),
            model_hash: None,
            warnings: Vec::new(),
        })
    }

    /// From the `parameters` text alone.
    fn a1111(infotext: &Infotext) -> Self {
        let mut reading = Reading::of(infotext);
        let request = reading.request();
        Self {
            program: Program::A1111,
            version: infotext.get("Version").map(str::to_owned),
            hires_upscaler: upscaler(&request, infotext),
            request,
            model: infotext.get("Model").map(str::to_owned),
            parts: parts(infotext),
            refiner: infotext.get("Refiner").map(without_hash),
            model_hash: infotext.get("Model hash").map(str::to_owned),
            warnings: reading.warnings(),
        }
    }
}

/// What to say of a file that does not say what made it.
fn silence(info: &PngInfo) -> String {
    if info.text(COMFYUI_KEYWORD).is_some() {
        return "holds a ComfyUI workflow, which is not read here; open it in ComfyUI, or give the \
                settings to `aquatint generate`"
            .to_owned();
    }
    let keywords: Vec<_> = info.texts().iter().map(|(keyword, _)| keyword).collect();
    let found = match (keywords.as_slice(), info.left_out()) {
        ([], []) => "no text at all: many sites and editors remove them".to_owned(),
        ([], left_out) => format!("nothing readable, without {}", left_out.join(", ")),
        (keywords, _) => format!("{keywords:?}"),
    };
    format!(
        "does not say what made it: expected the text {REQUEST_KEYWORD:?}, or {PARAMETERS_KEYWORD:?} \
         with settings, found {found}; use the file as the program wrote it"
    )
}

/// A `parameters` text on its way to a request: what has been understood of it.
struct Reading<'a> {
    infotext: &'a Infotext,
    understood: Vec<&'static str>,
    unreadable: Vec<String>,
}

impl<'a> Reading<'a> {
    fn of(infotext: &'a Infotext) -> Self {
        Self {
            infotext,
            understood: [&REMARKS[..], &PART_LABELS.map(|(_, label)| label)].concat(),
            unreadable: Vec::new(),
        }
    }

    fn request(&mut self) -> Request {
        let mut request = Request::new(&self.infotext.prompt);
        request.negative_prompt = self.infotext.negative_prompt.clone();
        request.steps = self.read("Steps", |text| text.parse().ok());
        request.guidance_scale = self.read("CFG scale", |text| text.parse().ok());
        request.seed = self.read("Seed", |text| text.parse().ok());
        request.variation_strength = self.read("Variation seed strength", |text| text.parse().ok());
        let variation_seed = self.read("Variation seed", |text| text.parse().ok());
        request.variation_seed = variation_seed.filter(|_| request.variation_strength.is_some());
        let size = self.read("Size", |text| {
            let (width, height) = text.split_once('x')?;
            Some((width.parse().ok()?, height.parse().ok()?))
        });
        (request.width, request.height) = size.unzip();
        request.preset = Some(Preset::A1111);
        request.noise = self.read("RNG", noise);
        request.step_noise = self.step_noise(request.noise.as_ref());
        request.refiner_start = self.read("Refiner switch at", |text| text.parse().ok());
        request.clip_skip = self.read("Clip skip", |text| text.parse().ok());
        (request.sampler, request.schedule) = self.sampler_and_schedule();
        request.hires = self.hires();
        let sampler = request.sampler.as_deref().map(Sampler::find);
        // It is written for samplers that take none as well, and changes nothing there.
        let takes_eta = matches!(sampler, Some(Ok(Sampler { eta: Some(_), .. })));
        let eta = self.read("Eta", |text| text.parse().ok());
        request.eta = eta.filter(|_| takes_eta);
        request
    }

    /// The second pass at a larger size. What other filters enlarge by is not known.
    fn hires(&mut self) -> Option<Hires> {
        let scale = self.read("Hires upscale", |text| text.parse().ok())?;
        let own = Hires::default();
        Some(Hires {
            scale,
            strength: self
                .read("Denoising strength", |text| text.parse().ok())
                .unwrap_or(own.strength),
            steps: self.read("Hires steps", |text| text.parse().ok()),
            resize: self
                .read("Hires upscaler", HiresResize::of_a1111)
                .unwrap_or(own.resize),
        })
    }

    /// A setting's value, if it is there; noted where it cannot be read.
    fn read<T>(&mut self, name: &'static str, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
        let text = self.infotext.get(name)?;
        self.understood.push(name);
        let value = parse(text);
        if value.is_none() {
            self.unreadable.push(format!("{name} {text:?}"));
        }
        value
    }

    /// ENSD, the eta noise seed delta: the steps' generators begin anew, at the seed and so much more.
    fn step_noise(&mut self, noise: Option<&Noise>) -> Option<StepNoise> {
        let seed_offset = self.read("ENSD", |text| text.parse().ok())?;
        let source = match noise {
            Some(Noise::TorchCpu) => NoiseSource::TorchCpu,
            _ => NoiseSource::Philox,
        };
        Some(StepNoise::Anew {
            source,
            seed_offset,
        })
    }

    /// Before version 1.9 the schedule was the end of the sampler's name, `DPM++ 2M Karras`, and
    /// none meant the even one; since then it is a setting, `Automatic` by default.
    fn sampler_and_schedule(&mut self) -> (Option<String>, Option<String>) {
        let choice = self.read("Sampler", |name| {
            let even = even_schedule(Choice::find(name, None, EVEN).ok()?.sampler);
            Choice::find(name, None, even).ok()
        });
        let schedule = self.read("Schedule type", |name| {
            // Any sampler will do to read a schedule's name by.
            let sampler = choice.map_or("euler", |choice| choice.sampler.name);
            Choice::find(sampler, Some(name), EVEN).ok()
        });
        let schedule = match self.infotext.get("Schedule type") {
            Some(_) => schedule,
            None => choice,
        };
        (
            choice.map(|choice| choice.sampler.name.to_owned()),
            schedule.map(|choice| choice.schedule.name.to_owned()),
        )
    }

    fn warnings(self) -> Vec<String> {
        let mut warnings = Vec::new();
        if !self.unreadable.is_empty() {
            let what = self.unreadable.join(", ");
            warnings.push(format!("not known here, so the default is taken: {what}"));
        }
        if self.infotext.get("Denoising strength").is_some()
            && self.infotext.get("Hires upscale").is_none()
        {
            warnings.push(
                "it was made from another picture, which its file does not name; with that, use \
                 `aquatint transform` or `inpaint`"
                    .to_owned(),
            );
        }
        let settings = self.infotext.settings.iter();
        let unknown: Vec<String> = settings
            .filter(|(name, _)| !self.understood.contains(&name.as_str()))
            .map(|(name, value)| format!("{name} {value:?}"))
            .collect();
        if !unknown.is_empty() {
            let what = unknown.join(", ");
            warnings.push(format!("not known here, so left out: {what}"));
        }
        if extra_network(&self.infotext.prompt).is_some() {
            warnings.push("the prompt asks for extra networks, which are not used here".to_owned());
        }
        warnings
    }
}

/// The network that the text names, where a request has one enlarge between its passes.
fn upscaler(request: &Request, infotext: &Infotext) -> Option<String> {
    let resize = request.hires.as_ref().map(|hires| hires.resize);
    let named = infotext.get("Hires upscaler");
    let named = named.filter(|_| resize == Some(HiresResize::Network));
    named.map(str::to_owned)
}

/// The parts that the text names.
fn parts(infotext: &Infotext) -> BTreeMap<&'static str, String> {
    let named = PART_LABELS.iter().filter_map(|(part, label)| {
        let name = infotext.get(label).filter(|name| *name != "None")?;
        Some((*part, name.to_owned()))
    });
    named.collect()
}

/// A model's name as A1111 writes it: `sd_xl_refiner_1.0 [7440042bbd]`.
fn without_hash(named: &str) -> String {
    let name = named
        .strip_suffix(']')
        .and_then(|named| named.rsplit_once(" ["));
    name.map_or(named, |(name, _)| name).to_owned()
}

/// The generators of A1111's `RNG` and, in small letters, of sd.cpp's.
fn noise(text: &str) -> Option<Noise> {
    match text.to_ascii_lowercase().as_str() {
        "cpu" => Some(Noise::TorchCpu),
        "gpu" | "nv" | "cuda" => Some(Noise::Philox),
        _ => None,
    }
}

/// k-diffusion's `get_sigmas`: timesteps evenly.
const EVEN: &str = "normal";

/// The schedule of A1111's samplers that have none of their own; those of its
/// `modules/sd_samplers_timesteps.py` go by a stride.
fn even_schedule(sampler: &Sampler) -> &'static str {
    match sampler.name {
        "ddim" | "pndm" | "uni_pc" | "uni_pc_bh2" => "ddim_uniform",
        _ => EVEN,
    }
}

#[cfg(test)]
#[path = "recipe_tests.rs"]
mod tests;
