//! The device: adapters, buffers, kernels, transfers. The only place that knows wgpu.

mod adapter;
mod ahead;
mod arrange;
mod buffer;
mod cache;
mod cut;
mod device;
mod encode;
mod faults;
mod hold;
mod host;
mod kernel;
mod pace;
mod prelude;
mod reflect;
mod shaders;
mod staging;
mod texture;
mod transfer;
mod uploads;
#[cfg(test)]
mod validation_tests;
mod wait;

pub use adapter::AdapterInfo;
pub(crate) use ahead::Ahead;
#[cfg(test)]
pub(crate) use buffer::encode;
pub(crate) use buffer::{Buffer, decode_array};
pub(crate) use cache::cache_folder;
pub(crate) use device::Gpu;
pub use device::{Device, DeviceOptions};
pub(crate) use encode::{Bound, CommandList};
pub(crate) use kernel::variant_key;
pub(crate) use shaders::fingerprint;
pub(crate) use staging::StagingRing;
pub(crate) use texture::Texture;
pub(crate) use uploads::{Origin, Uploaded};
pub(crate) use wait::{block_on, come_back};
