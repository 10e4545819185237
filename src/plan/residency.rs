//! Weights brought to where plans run: device buffers, each uploaded once, or arrays for the interpreter.

use super::lower::Plan;
use crate::error::{Error, Result};
use crate::gpu::{Device, Origin, StagingRing, Uploaded, come_back, decode_array};
use crate::lock::lock;
use crate::tensor::{Array, Layout, Param, Shape};
use crate::weights::Weights;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// How much of the files the system is asked for ahead of the upload: what a fast disk reads in some
/// 20 ms, so that it never rests.
const READ_AHEAD_BYTES: usize = 64 << 20;

/// The weights of one checkpoint on one device, shared by every plan of it. What another checkpoint on
/// the device has from the same file is shared with it.
#[derive(Debug)]
pub(crate) struct Residency {
    device: Device,
    weights: Weights,
    uploads: Mutex<HashMap<Arc<str>, Arc<Uploaded>>>,
    arrays: Mutex<HashMap<Arc<str>, Arc<Array>>>,
}

impl Residency {
    /// Nothing is uploaded yet.
    pub(crate) fn new(device: &Device, weights: &Weights) -> Self {
        Self {
            device: device.clone(),
            weights: weights.clone(),
            uploads: Mutex::default(),
            arrays: Mutex::default(),
        }
    }

    /// Uploads what of `params` is not on the device yet, in the files' order and through bounded
    /// memory. `progress` hears the bytes of each weight as it is done. Dropped between two weights, as it
    /// may be after each, it leaves nothing on the device.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`], [`Error::DeviceLost`], or the file's errors.
    pub(crate) async fn upload(
        &self,
        params: &[Param],
        progress: &mut (impl FnMut(u64) + ?Sized),
    ) -> Result<()> {
        let Some(gpu) = self.device.gpu() else {
            return Ok(());
        };
        let mut missing: Vec<&Param> = {
            let uploads = lock(&self.uploads);
            params
                .iter()
                .filter(|param| !uploads.contains_key(&param.name))
                .collect()
        };
        let mut uploaded = Vec::with_capacity(missing.len());
        missing.retain(|param| {
            let shared = self.origin(param).and_then(|origin| gpu.uploaded(&origin));
            let Some(weight) = shared else { return true };
            progress(weight.bytes);
            uploaded.push((param.name.clone(), weight));
            false
        });
        missing.sort_by_key(|param| self.weights.place(&param.name));
        let total = missing.iter().map(|param| param.size_bytes() as u64).sum();
        let mut ring = StagingRing::new(gpu, total);
        let (mut coming, mut ahead_bytes) = (missing.iter(), 0);
        let mut arriving = Vec::with_capacity(missing.len());
        for param in &missing {
            while ahead_bytes < READ_AHEAD_BYTES
                && let Some(next) = coming.next()
            {
                self.weights.read_ahead(&next.name);
                ahead_bytes += next.size_bytes();
            }
            let buffer = ring.upload(param, self.bytes(param)?).await?;
            self.weights.drop_behind(&param.name);
            let bytes = param.size_bytes() as u64;
            arriving.push((*param, Arc::new(Uploaded { buffer, bytes })));
            ahead_bytes -= param.size_bytes();
            progress(bytes);
            come_back().await;
        }
        // Until the ring has emptied itself a buffer may hold zeros: nobody is to find it.
        ring.finish().await?;
        gpu.forget_gone();
        uploaded.extend(arriving.into_iter().map(|(param, weight)| {
            let weight = match self.origin(param) {
                Some(origin) => gpu.publish(origin, weight),
                None => weight,
            };
            (param.name.clone(), weight)
        }));
        lock(&self.uploads).extend(uploaded);
        Ok(())
    }

    /// What a weight on the device is made of.
    fn origin(&self, param: &Param) -> Option<Origin> {
        let (file, start) = self.weights.origin(&param.name)?;
        Some(Origin {
            file: Arc::clone(file),
            start,
            shape: param.shape,
            dtype: param.dtype,
            layout: param.layout,
        })
    }

    /// What is on the device.
    pub(crate) fn uploads(&self) -> Vec<Arc<Uploaded>> {
        lock(&self.uploads).values().cloned().collect()
    }

    /// The buffers of a plan's weights, in its order, uploaded where they were not.
    ///
    /// # Errors
    /// As [`Residency::upload`].
    pub(crate) async fn buffers(&self, plan: &Plan) -> Result<Vec<Arc<Uploaded>>> {
        loop {
            self.upload(&plan.params, &mut |_| ()).await?;
            let uploads = lock(&self.uploads);
            let params = plan.params.iter();
            let found = params.map(|param| uploads.get(&param.name).cloned());
            if let Some(found) = found.collect() {
                return Ok(found);
            }
            // Another run of the same model, whose turn with this part ended, let them go meanwhile.
        }
    }

    /// Lets weights go, for whoever has none of their buffers at work: they come from the file again
    /// when a plan asks for them.
    pub(crate) fn release(&self, params: &[Param]) {
        let (mut uploads, mut arrays) = (lock(&self.uploads), lock(&self.arrays));
        for param in params {
            uploads.remove(&param.name);
            arrays.remove(&param.name);
        }
    }

    /// Lets all weights go.
    pub(crate) fn release_all(&self) {
        lock(&self.uploads).clear();
        lock(&self.arrays).clear();
    }

    /// A weight as an f32 array, in its device layout.
    ///
    /// # Errors
    /// The file's errors.
    pub(crate) fn array(&self, param: &Param) -> Result<Arc<Array>> {
        let mut arrays = lock(&self.arrays);
        if let Some(array) = arrays.get(&param.name) {
            return Ok(Arc::clone(array));
        }
        let array = Arc::new(array_of(param, self.bytes(param)?));
        arrays.insert(param.name.clone(), Arc::clone(&array));
        Ok(array)
    }

    fn bytes(&self, param: &Param) -> Result<&[u8]> {
        self.weights
            .bytes(&param.name)
            .ok_or_else(|| Error::MissingTensor {
                path: self.weights.path_of(&param.name).to_owned(),
                names: vec![param.name.to_string()],
                advice: "the file changed while it was in use; load it again".into(),
            })
    }
}

/// A weight's bytes as an array, a convolution's with its channels last.
fn array_of(param: &Param, bytes: &[u8]) -> Array {
    if param.layout == Layout::AsStored {
        return decode_array(bytes, param.dtype, param.shape);
    }
    let dim = |axis| param.shape.dim(axis);
    let (outputs, taps, channels) = match param.layout {
        Layout::Transposed => (1, dim(0), dim(1)),
        _ => (dim(0), dim(1) * dim(2), dim(3)),
    };
    let stored = decode_array(bytes, param.dtype, Shape::from([outputs, channels, taps]));
    let at = |o: usize, tap: usize, c: usize| stored.data()[(o * channels + c) * taps + tap];
    let indices = (0..outputs)
        .flat_map(|o| (0..taps).flat_map(move |tap| (0..channels).map(move |c| (o, tap, c))));
    Array::new(
        param.shape,
        indices.map(|(o, tap, c)| at(o, tap, c)).collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::{block_on, encode};
    use crate::ops::testing;
    use crate::tensor::{DType, View};
    use safetensors::tensor::{Dtype, TensorView};

    /// What the staging ring does to bytes, against the interpreter's values.
    #[test]
    fn convolution_weights_are_laid_out_channels_last() {
        let Some(device) = testing::device() else {
            return;
        };
        let gpu = device.gpu().expect("it is a graphics device");
        for stored in [
            [1, 1, 3, 3],
            [5, 3, 3, 3],
            [7, 2, 1, 1],
            [32, 64, 3, 3],
            [3, 5, 5, 5],
        ] {
            for dtype in [DType::F32, DType::F16, DType::Bf16, DType::F8E4m3] {
                let shape = Shape::from(stored);
                let values = testing::seeded(shape, 1);
                let bytes = encode(values.data(), dtype);
                let bytes = &bytes[..shape.len() * dtype.size_bytes()];
                let param = Param {
                    name: "a convolution".into(),
                    shape,
                    dtype,
                    layout: Layout::AsStored,
                };
                let param = param.channels_last();
                let mut ring = StagingRing::new(gpu, bytes.len() as u64);
                let buffer = block_on(ring.upload(&param, bytes)).expect("it uploads");
                block_on(ring.finish()).expect("it arrives");
                let view = View {
                    shape: param.shape,
                    dtype,
                };
                let found = block_on(gpu.read(&buffer, view)).expect("it reads");
                assert_eq!(found, array_of(&param, bytes).data(), "{stored:?} {dtype}");
            }
        }
    }

    /// A mapped range begins at a multiple of 8 bytes: three f32 or six f16 once left the next
    /// weight at another place, and the upload failed.
    #[test]
    fn weights_of_any_length_follow_one_another() {
        let Some(device) = testing::device() else {
            return;
        };
        let gpu = device.gpu().expect("it is a graphics device");
        let lengths = [1, 2, 3, 5, 6, 7, 8, 10, 77, 4099];
        let named = lengths.map(|length| (format!("unet.conv_in.{length}"), length));
        let values = |length: usize| (0..length).map(move |i| ((i + length) % 1000) as f32);
        let bytes =
            |length| values(length).flat_map(|value| half::f16::from_f32(value).to_le_bytes());
        let views = named.iter().map(|(name, length)| {
            let bytes: Vec<u8> = bytes(*length).collect();
            let view = TensorView::new(Dtype::F16, vec![*length], bytes.leak());
            (name, view.expect("the bytes are those of the shape"))
        });
        let file = safetensors::serialize(views, None).expect("a sound file");
        let weights = Weights::from_static("made here", file.leak()).expect("a sound file");
        let residency = Residency::new(device, &weights);
        let params: Vec<Param> = named
            .iter()
            .map(|(name, _)| weights.param(name).expect("it is there"))
            .collect();
        block_on(residency.upload(&params, &mut |_| ())).expect("it fits");
        for (param, length) in params.iter().zip(lengths) {
            let weight = lock(&residency.uploads)[&param.name].clone();
            let view = View {
                shape: param.shape,
                dtype: DType::F16,
            };
            let found = block_on(gpu.read(&weight.buffer, view)).expect("it reads");
            assert_eq!(found, values(length).collect::<Vec<_>>(), "{length}");
        }
    }
}
