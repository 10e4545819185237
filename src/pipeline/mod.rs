//! Pipelines: a model on a device, asked for pictures.

mod brownian;
mod colour_runner;
mod conditioning;
mod denoised;
mod denoiser;
mod device_row;
mod fit;
mod handle;
mod hires;
mod latent;
mod load;
mod memory;
mod model;
mod noise;
mod plans;
mod preset;
mod progress;
mod prompts;
mod recipe;
mod recordings;
mod refiner;
mod request;
mod residence;
mod run;
mod shelf;
#[cfg(test)]
mod shelf_tests;
mod summary;
mod sweep;
mod tasks;
mod text_encoder;
mod tiled;
mod tiling;
mod tiny_decoder;
mod trace;
mod upscaler;
mod vae;

pub use handle::Pipeline;
#[cfg(test)]
mod network_goldens;

pub use hires::{Hires, HiresResize};
pub use memory::{Memory, ModelReport, PartMemory, PlanOptions};
pub use model::Model;
pub use noise::{BatchNoise, StepNoise};
pub use preset::Preset;
pub use progress::{LoadProgress, Step, TileProgress};
pub use recipe::{Program, Recipe};
pub(crate) use recordings::{Guidance, StepShape, ends};
pub use request::{MAX_BATCH_SIZE, MAX_SIDE_PX, Noise, Precision, Request, Seamless};
pub use residence::{LoadOptions, Residence};
pub use run::{Canceller, Checkpoint, Run};
pub use summary::{Summary, TensorSummary};
pub use sweep::{MAX_SWEEP_AXES, MAX_SWEEP_CELLS, Sweep, SweepAxis, SweepCell};
pub use tasks::{Fill, Inpaint, Outpaint, Task};
pub use tiled::{MIN_LATENT_TILE_PX, TileLatents};
pub use tiny_decoder::TinyDecoder;
pub use trace::Trace;
pub use upscaler::{MIN_UPSCALE_TILE_PX, UpscaleOptions, UpscaleProgress, Upscaler};
