//! aquatint makes pictures from prompts on any GPU.
//!
//! A [`Device`] is where pictures are made, a [`Pipeline`] a model on it, a [`Request`] what is
//! asked for, a [`Run`] one generation under way:
//!
//! ```no_run
//! use aquatint::{Device, Pipeline, Request};
//!
//! fn main() -> aquatint::Result<()> {
//!     let device = Device::best()?;
//!     let pipeline = Pipeline::load(&device, "sd-v1-5.safetensors")?; // the family is read from the file
//!     let request = Request::new("a lighthouse in a storm, aquatint print")
//!         .negative("blurry").size(512, 512).steps(28).guidance_scale(6.5)
//!         .sampler("dpmpp_2m").schedule("karras").seed(7);
//!     println!("needs {}", pipeline.memory(&request)?); // known before anything runs
//!     let mut run = pipeline.start(&request)?;
//!     while let Some(step) = run.next_step()? { // drop `run` to cancel
//!         eprintln!("{}/{}  sigma {:.2}", step.index + 1, step.count, step.sigma);
//!     }
//!     let image = run.finish()?.remove(0);
//!     image.save("lighthouse.png")
//! }
//! ```
//!
//! [`guide`] walks through what an app does.
//!
//! # Features
//!
//! * `demo-model` (default): a model of 9.5 MB inside, [`Model::demo`].
//! * `pull` (default): downloads from a hub of models, `Hub`. Off, nothing here knows of a network.
//!
//! # Errors
//!
//! What fails is an [`Error`], grouped by what the caller can mend, and says what was expected, what was
//! found and what to do. The library never prints, exits or panics on input. All that can be known before
//! the first step, such as that a picture will not fit, is told before it.
//!
//! # Threads
//!
//! [`Device`], [`Model`] and [`Pipeline`] are handles, cheap to clone and shared by threads. A [`Run`] may
//! go from one thread to another. Calls block until they are done; there is no executor and no global state.
//!
//! # Memory
//!
//! Weights are mapped from their files and kept on the device as stored; [`Pipeline::memory`] says what a
//! request takes, before anything runs. Under [`LoadOptions::vram_bytes`], parts of a model take turns,
//! and the picture is the same. Several models share a limit by [`Pipeline::swap`]. Dropping a pipeline gives
//! its memory back.
//!
//! # In an app
//!
//! An app that draws with wgpu shares its device: [`Device::from_wgpu`], and [`wgpu`] as it is used here. A
//! new major version of it is one of this crate too. Pictures may stay on the device, as textures
//! ([`Run::finish_on_gpu`]). Blocking calls have twins for executors of any kind
//! ([`Pipeline::generate_async`]), and a [`Canceller`] stops either from another thread.
#![cfg_attr(doctest, doc = include_str!("../README.md"))]

#[doc(hidden)]
pub mod bench;
mod error;
mod families;
mod fusion;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod gpu;
pub mod guide;
#[cfg(feature = "pull")]
mod hub;
mod image;
mod library;
mod lock;
mod nearest;
mod networks;
mod nn;
mod ops;
mod pipeline;
mod plan;
pub mod sampling;
mod tensor;
mod text;
mod tuning;
mod weights;

pub use error::{Error, Result};
pub use families::{BetaSchedule, Defaults, FamilyInfo, Purpose, SchedulerConfig, families};
pub use gpu::{AdapterInfo, Device, DeviceOptions};
#[cfg(feature = "pull")]
pub use hub::{Hub, Pull, PullProgress, Pulled};
pub use image::{
    Difference, Grid, GridLabels, HiresParameters, Image, InputImage, PARAMETERS_KEYWORD,
    Parameters, PngInfo, REQUEST_KEYWORD, Rect, ResizeMode,
};
pub use library::{Library, LibraryFile, LibraryModel, ModelKind, Place, PlaceOrigin};
pub use pipeline::{
    BatchNoise, Canceller, Checkpoint, Fill, Hires, HiresResize, Inpaint, LoadOptions,
    LoadProgress, MAX_BATCH_SIZE, MAX_SIDE_PX, MAX_SWEEP_AXES, MAX_SWEEP_CELLS, MIN_LATENT_TILE_PX,
    MIN_UPSCALE_TILE_PX, Memory, Model, ModelReport, Noise, Outpaint, PartMemory, Pipeline,
    PlanOptions, Precision, Preset, Program, Recipe, Request, Residence, Run, Seamless, Step,
    StepNoise, Summary, Sweep, SweepAxis, SweepCell, Task, TensorSummary, TileLatents,
    TileProgress, TinyDecoder, Trace, UpscaleOptions, UpscaleProgress, Upscaler,
};
pub use plan::{DispatchReport, Phase, PhaseReport, PlanReport};
pub use tensor::{Rule, Rules};
pub use text::PromptStyle;
pub use tuning::{FoundOn, KernelReport, TunedShape, Tuning, clear_tuning, kernel_report, tune};
pub use weights::{DamagedTensor, ModelFiles, PartInfo};
pub use wgpu;
