//! Device memory.

use super::device::Gpu;
use crate::error::{Error, Result};
use crate::tensor::{Array, DType, float8};

/// A piece of device memory.
#[derive(Clone, Debug)]
pub(crate) struct Buffer {
    pub(super) inner: wgpu::Buffer,
}

/// The next multiple of four: what copies and bindings are counted in.
pub(super) fn whole_words(bytes: u64) -> u64 {
    bytes.next_multiple_of(4)
}

impl Gpu {
    /// Memory for values: readable and writable by shaders and by copies.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] with what it was for.
    pub(crate) fn storage(&self, label: &str, bytes: u64) -> Result<Buffer> {
        let usage = wgpu::BufferUsages::STORAGE
            | wgpu::BufferUsages::COPY_SRC
            | wgpu::BufferUsages::COPY_DST;
        self.allocate(label, bytes, usage, false)
    }

    /// Memory for parameters, filled at once.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub(crate) fn uniform(&self, label: &str, bytes: &[u8]) -> Result<Buffer> {
        let usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
        let buffer = self.allocate(label, bytes.len() as u64, usage, false)?;
        self.guarded(|| self.queue.write_buffer(&buffer.inner, 0, bytes))?;
        Ok(buffer)
    }

    pub(super) fn allocate(
        &self,
        label: &str,
        bytes: u64,
        usage: wgpu::BufferUsages,
        mapped: bool,
    ) -> Result<Buffer> {
        let size = whole_words(bytes.max(4));
        let out_of_memory = |available_bytes| Error::OutOfMemory {
            what: format!("allocating {label}"),
            needed_bytes: Some(size),
            available_bytes,
        };
        if size > self.limits.max_buffer_size {
            return Err(out_of_memory(Some(self.limits.max_buffer_size)));
        }
        self.check_lost()?;
        let create = || {
            self.device.create_buffer(&wgpu::BufferDescriptor {
                label: Some(label),
                size,
                usage,
                mapped_at_creation: mapped,
            })
        };
        match self.guarded(create) {
            Ok(inner) => Ok(Buffer { inner }),
            Err(Error::OutOfMemory { .. }) => Err(out_of_memory(None)),
            Err(other) => Err(other),
        }
    }
}

/// f32 values as the bytes of `dtype`, padded to whole words.
pub(crate) fn encode(values: &[f32], dtype: DType) -> Vec<u8> {
    let mut bytes: Vec<u8> = match dtype {
        DType::F32 => bytemuck::cast_slice(values).to_vec(),
        DType::F16 => {
            let halves: Vec<half::f16> = values
                .iter()
                .map(|&value| half::f16::from_f32(value))
                .collect();
            bytemuck::cast_slice(&halves).to_vec()
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "ids are whole numbers ≥ 0"
        )]
        DType::U32 => values
            .iter()
            .flat_map(|&value| (value as u32).to_le_bytes())
            .collect(),
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "bytes are whole numbers 0..=255"
        )]
        DType::U8 => values.iter().map(|&value| value as u8).collect(),
        DType::F8E4m3 => float8_bytes(values, float8::from_e4m3),
        DType::F8E5m2 => float8_bytes(values, float8::from_e5m2),
        DType::Bf16 => {
            let halves: Vec<half::bf16> = values
                .iter()
                .map(|&value| half::bf16::from_f32(value))
                .collect();
            bytemuck::cast_slice(&halves).to_vec()
        }
    };
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn float8_bytes(values: &[f32], decode: fn(u8) -> f32) -> Vec<u8> {
    let nearest = |&value: &f32| float8::nearest(value, decode);
    values.iter().map(nearest).collect()
}

/// The first `count` values in bytes of `dtype`, as f32.
pub(crate) fn decode(bytes: &[u8], dtype: DType, count: usize) -> Vec<f32> {
    let words = bytes.chunks_exact(dtype.size_bytes()).take(count);
    match dtype {
        DType::F32 => words
            .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
            .collect(),
        DType::F16 => words
            .map(|b| half::f16::from_le_bytes([b[0], b[1]]).to_f32())
            .collect(),
        DType::Bf16 => words
            .map(|b| half::bf16::from_le_bytes([b[0], b[1]]).to_f32())
            .collect(),
        DType::U32 => words
            .map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]) as f32)
            .collect(),
        DType::U8 => words.map(|b| f32::from(b[0])).collect(),
        DType::F8E4m3 => words.map(|b| float8::from_e4m3(b[0])).collect(),
        DType::F8E5m2 => words.map(|b| float8::from_e5m2(b[0])).collect(),
    }
}

/// Bytes of `dtype` as an array of f32.
pub(crate) fn decode_array(bytes: &[u8], dtype: DType, shape: crate::tensor::Shape) -> Array {
    Array::new(shape, decode(bytes, dtype, shape.len()))
}
