//! Pipelines: loading, what a request takes, and generating.

use crate::border::{self, Outcome, give, give_text, handle, optional_text, put, text};
use crate::canceller::{AquatintCanceller, optional_canceller};
use crate::device::AquatintDevice;
use crate::error::AquatintError;
use crate::image::AquatintImages;
use aquatint::{
    Canceller, Device, Error, LoadOptions, LoadProgress, Model, ModelFiles, Pipeline, Request,
};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::ffi::{c_char, c_int, c_void};
use std::path::PathBuf;

/// A model with its weights on a device. Several threads may use one at once.
#[derive(Debug)]
pub struct AquatintPipeline(Pipeline);

/// How far the loading of weights is.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct AquatintLoadProgress {
    /// Bytes of weights on the device.
    pub done_bytes: u64,
    /// Bytes of all weights that will be there.
    pub total_bytes: u64,
}

/// A step that is done.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct AquatintStep {
    /// Its number, from 0.
    pub index: usize,
    /// How many steps there are, of all pictures where they are drawn in turn.
    pub count: usize,
    /// The noise level at which the step began.
    pub sigma: f64,
}

/// What a request takes on the device, in bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct AquatintMemory {
    /// The weights of all parts, as stored.
    pub weight_bytes: u64,
    /// The activations of all parts.
    pub activation_bytes: u64,
    /// The most that is on the device at once: less than both where parts take turns.
    pub resident_bytes: u64,
}

/// Hears how far the loading is, on the thread that loads. May be null. It must return: no exception and
/// no longjmp may leave it.
pub type AquatintLoadCallback =
    Option<unsafe extern "C" fn(progress: *const AquatintLoadProgress, user_data: *mut c_void)>;

/// Hears of a step that is done, on the thread that generates. Anything but 0 cancels. May be null. It
/// must return: no exception and no longjmp may leave it.
pub type AquatintStepCallback =
    Option<unsafe extern "C" fn(step: *const AquatintStep, user_data: *mut c_void) -> c_int>;

/// The options of loading, as JSON has them.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Options {
    vram_bytes: Option<u64>,
    unet: Option<PathBuf>,
    vae: Option<PathBuf>,
    text_encoder: Option<PathBuf>,
    text_encoder_2: Option<PathBuf>,
    refiner: Option<PathBuf>,
}

impl Options {
    /// # Safety
    /// `json` is null, or ends in a zero.
    unsafe fn read(json: *const c_char) -> Outcome<Self> {
        // SAFETY: as the caller promises.
        let json = unsafe { optional_text("options", json) }?;
        json.map_or_else(|| Ok(Self::default()), |json| object("options", json))
    }

    /// A model's files with the parts that are given apart from it; `None` where there are none at all.
    fn files(&self, model: Option<&str>) -> Option<ModelFiles> {
        type With = fn(ModelFiles, &PathBuf) -> ModelFiles;
        let parts: [(&Option<PathBuf>, With); 4] = [
            (&self.unet, |files, path| files.unet(path)),
            (&self.vae, |files, path| files.vae(path)),
            (&self.text_encoder, |files, path| files.text_encoder(path)),
            (&self.text_encoder_2, |files, path| {
                files.text_encoder_2(path)
            }),
        ];
        let mut files = model.map(ModelFiles::new);
        for (path, with) in parts {
            if let Some(path) = path {
                files = Some(with(files.unwrap_or_default(), path));
            }
        }
        files
    }

    /// Puts a model on a device, and a refiner into the memory that it leaves.
    fn load(
        &self,
        device: &Device,
        model: Model,
        canceller: &Canceller,
        progress: &mut dyn FnMut(LoadProgress),
    ) -> Outcome<Pipeline> {
        let mut load = |model, vram_bytes| {
            let options = LoadOptions {
                vram_bytes,
                canceller: canceller.clone(),
            };
            Pipeline::with_options(device, model, &options, progress)
        };
        let pipeline = load(model, self.vram_bytes)?;
        let Some(refiner) = &self.refiner else {
            return Ok(pipeline);
        };
        let refiner = load(Model::open(refiner)?, pipeline.left_bytes())?;
        Ok(pipeline.with_refiner(refiner)?)
    }
}

/// Loads a model: a `.safetensors` file or a diffusers folder; or null, where `options` give all parts.
///
/// `options` is null or a JSON object, every field of which may be left out: `vram_bytes`, the most of
/// the device's memory to use; `unet`, `vae`, `text_encoder` and `text_encoder_2`, files in place of the
/// model's own parts; `refiner`, a model that does the last steps. `canceller` may be null; it calls the
/// loading off, which leaves nothing on the device then. Pipelines of the same file share its weights.
///
/// # Safety
/// `device` and `canceller` are null or were not freed; texts are null or end in a zero; `pipeline` is null
/// or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn aquatint_pipeline_load(
    device: *const AquatintDevice,
    model: *const c_char,
    options: *const c_char,
    canceller: *const AquatintCanceller,
    progress: AquatintLoadCallback,
    user_data: *mut c_void,
    pipeline: *mut *mut AquatintPipeline,
) -> *mut AquatintError {
    let work = || {
        // SAFETY: as the caller promises.
        let device = unsafe { handle("device", device) }?;
        // SAFETY: as the caller promises.
        let (model, options) = unsafe { (optional_text("model", model)?, Options::read(options)?) };
        let files = options.files(model);
        let files = files.ok_or_else(|| AquatintError::argument("model", "is null"))?;
        let model = Model::open(files)?;
        // SAFETY: as the caller promises.
        let canceller = unsafe { optional_canceller(canceller) };
        let mut progress = told(progress, user_data);
        let pipeline = options.load(&device.0, model, &canceller, &mut progress)?;
        Ok(AquatintPipeline(pipeline))
    };
    // SAFETY: as the caller promises.
    unsafe { give(pipeline, work) }
}

/// Loads the small model inside the library: 128 x 128 pixels, emoji. Fails with
/// AQUATINT_ERROR_CODE_UNSUPPORTED where the library was built without it. Options, canceller, callback and
/// result are as in aquatint_pipeline_load.
///
/// # Safety
/// As for aquatint_pipeline_load.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn aquatint_pipeline_load_demo(
    device: *const AquatintDevice,
    options: *const c_char,
    canceller: *const AquatintCanceller,
    progress: AquatintLoadCallback,
    user_data: *mut c_void,
    pipeline: *mut *mut AquatintPipeline,
) -> *mut AquatintError {
    let work = || {
        // SAFETY: as the caller promises.
        let device = unsafe { handle("device", device) }?;
        // SAFETY: as the caller promises.
        let options = unsafe { Options::read(options) }?;
        // SAFETY: as the caller promises.
        let canceller = unsafe { optional_canceller(canceller) };
        let mut progress = told(progress, user_data);
        let pipeline = options.load(&device.0, demo()?, &canceller, &mut progress)?;
        Ok(AquatintPipeline(pipeline))
    };
    // SAFETY: as the caller promises.
    unsafe { give(pipeline, work) }
}

#[cfg(feature = "demo-model")]
fn demo() -> aquatint::Result<Model> {
    Model::demo()
}

#[cfg(not(feature = "demo-model"))]
fn demo() -> aquatint::Result<Model> {
    let reason = "the demo model, in a build without the feature demo-model; load a file";
    Err(Error::Unsupported(reason.to_owned()))
}

/// A callback of C's as one of ours.
fn told(callback: AquatintLoadCallback, user_data: *mut c_void) -> impl FnMut(LoadProgress) {
    move |loaded| {
        let progress = AquatintLoadProgress {
            done_bytes: loaded.done_bytes,
            total_bytes: loaded.total_bytes,
        };
        if let Some(callback) = callback {
            // SAFETY: the caller's callback, with what the caller gave for it.
            unsafe { callback(&raw const progress, user_data) };
        }
    }
}

/// The request with every default filled in and a seed drawn where there is none, as JSON. Pictures name
/// it in their text `aquatint`. The result is the caller's to free.
///
/// # Safety
/// `pipeline` is null or was not freed; `request` is null or ends in a zero; `resolved` is null or can be
/// written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn aquatint_pipeline_resolve(
    pipeline: *const AquatintPipeline,
    request: *const c_char,
    resolved: *mut *mut c_char,
) -> *mut AquatintError {
    let work = || {
        // SAFETY: as the caller promises.
        let (pipeline, request) =
            unsafe { (handle("pipeline", pipeline)?, read_request(request)?) };
        let request = pipeline.0.resolve(&request)?;
        serde_json::to_string(&request).map_err(|error| AquatintError::json("request", &error))
    };
    // SAFETY: as the caller promises.
    unsafe { give_text(resolved, work) }
}

/// What a request takes on the device, known before anything runs. What cannot fit is refused here with
/// AQUATINT_ERROR_CODE_OUT_OF_MEMORY, as it is by aquatint_generate.
///
/// # Safety
/// `pipeline` is null or was not freed; `request` is null or ends in a zero; `memory` is null or can be
/// written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn aquatint_pipeline_memory(
    pipeline: *const AquatintPipeline,
    request: *const c_char,
    memory: *mut AquatintMemory,
) -> *mut AquatintError {
    let work = || {
        // SAFETY: as the caller promises.
        let (pipeline, request) =
            unsafe { (handle("pipeline", pipeline)?, read_request(request)?) };
        let memory = pipeline.0.memory(&request)?;
        Ok(AquatintMemory {
            weight_bytes: memory.weight_bytes,
            activation_bytes: memory.activation_bytes,
            resident_bytes: memory.resident_bytes(),
        })
    };
    // SAFETY: as the caller promises.
    unsafe { put(memory, AquatintMemory::default(), work) }
}

/// Makes the pictures of a request, which is JSON with the fields of aquatint's `Request`:
/// {"prompt": "a fox", "steps": 20, "seed": 7}. What is left out is the model's default; an unknown field
/// is refused. Pictures that do not fit at once are drawn in turn, and are the same. Blocks; `callback` hears
/// of each step and may cancel, and so may `canceller`, from another thread and within a step; it may be
/// null.
///
/// # Safety
/// `pipeline` and `canceller` are null or were not freed; `request` is null or ends in a zero; `images` is
/// null or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn aquatint_generate(
    pipeline: *const AquatintPipeline,
    request: *const c_char,
    canceller: *const AquatintCanceller,
    callback: AquatintStepCallback,
    user_data: *mut c_void,
    images: *mut *mut AquatintImages,
) -> *mut AquatintError {
    let work = || {
        // SAFETY: as the caller promises.
        let (pipeline, request) =
            unsafe { (handle("pipeline", pipeline)?, read_request(request)?) };
        // SAFETY: as the caller promises.
        let canceller = unsafe { optional_canceller(canceller) };
        let turns = pipeline.0.in_turn(&request)?;
        let (mut images, mut warnings) = (Vec::new(), Vec::new());
        for (turn, request) in turns.iter().enumerate() {
            let mut run = pipeline.0.start_with_canceller(request, &canceller)?;
            let new = run.warnings().iter();
            let new: Vec<_> = new
                .filter(|new| !warnings.contains(*new))
                .cloned()
                .collect();
            warnings.extend(new);
            let steps = run.step_count();
            while let Some(step) = run.next_step()? {
                let step = AquatintStep {
                    index: turn * steps + step.index,
                    count: turns.len() * steps,
                    sigma: step.sigma,
                };
                hear(callback, user_data, &step)?;
            }
            images.extend(run.finish()?);
        }
        Ok(AquatintImages::new(images, warnings))
    };
    // SAFETY: as the caller promises.
    unsafe { give(images, work) }
}

/// Tells the caller of a step, if it wants to hear.
///
/// # Errors
/// That it cancels.
fn hear(callback: AquatintStepCallback, user_data: *mut c_void, step: &AquatintStep) -> Outcome {
    let cancels = |callback: unsafe extern "C" fn(_, _) -> c_int| {
        // SAFETY: the caller's callback, with what the caller gave for it.
        unsafe { callback(&raw const *step, user_data) != 0 }
    };
    match callback.is_some_and(cancels) {
        true => Err(Error::Cancelled.into()),
        false => Ok(()),
    }
}

/// # Safety
/// `request` is null or ends in a zero.
unsafe fn read_request(request: *const c_char) -> Outcome<Request> {
    // SAFETY: as the caller promises.
    let json = unsafe { text("request", request) }?;
    object("request", json)
}

/// What a JSON object says; an array, of which serde would take fields in their order, is refused.
fn object<T: DeserializeOwned>(name: &str, json: &str) -> Outcome<T> {
    let fields = serde_json::from_str::<Map<String, Value>>(json);
    let object = fields.and_then(|fields| serde_json::from_value(Value::Object(fields)));
    object.map_err(|error| AquatintError::json(name, &error))
}

/// Frees a pipeline, and its weights with the last handle that needs them; nothing of null.
///
/// # Safety
/// `pipeline` is null or was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn aquatint_pipeline_free(pipeline: *mut AquatintPipeline) {
    // SAFETY: as the caller promises.
    unsafe { border::free(pipeline) };
}
