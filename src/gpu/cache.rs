//! The driver's compiled pipelines, kept on disk between runs where the backend can (Vulkan).

use std::path::PathBuf;

/// Where what was found out about devices is kept between runs; `None` where there is no home.
pub(crate) fn cache_folder() -> Option<PathBuf> {
    let folders = directories::ProjectDirs::from("", "", "aquatint")?;
    Some(folders.cache_dir().to_owned())
}

/// A pipeline cache and the file that it is kept in.
#[derive(Debug)]
pub(super) struct DriverCache {
    pub(super) cache: wgpu::PipelineCache,
    file: PathBuf,
    read: Vec<u8>,
}

impl DriverCache {
    /// The cache of this adapter and driver; `None` where the backend has none.
    pub(super) fn open(device: &wgpu::Device, info: &wgpu::AdapterInfo) -> Option<Self> {
        if !device.features().contains(wgpu::Features::PIPELINE_CACHE) {
            return None;
        }
        let key = wgpu::util::pipeline_cache_key(info)?;
        let file = cache_folder()?.join(key);
        // No file yet, or one that cannot be read, is an empty cache.
        let read = std::fs::read(&file).unwrap_or_default();
        let descriptor = wgpu::PipelineCacheDescriptor {
            label: Some("aquatint"),
            data: (!read.is_empty()).then_some(read.as_slice()),
            fallback: true,
        };
        // SAFETY: the data came from `get_data` for the same adapter key, and with `fallback` the
        // driver starts empty where it does not accept them.
        let cache = unsafe { device.create_pipeline_cache(&descriptor) };
        Some(Self { cache, file, read })
    }

    /// Writes what was compiled, if that is more than was read. A cache that cannot be written is
    /// no error: the next start compiles again.
    fn save(&self) -> std::io::Result<()> {
        let Some(data) = self.cache.get_data() else {
            return Ok(());
        };
        let Some(folder) = self.file.parent() else {
            return Ok(());
        };
        if data == self.read {
            return Ok(());
        }
        std::fs::create_dir_all(folder)?;
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        std::io::Write::write_all(&mut file, &data)?;
        file.persist(&self.file)?;
        Ok(())
    }
}

impl Drop for DriverCache {
    fn drop(&mut self) {
        // A cache that cannot be written only costs the next start its compile time.
        drop(self.save());
    }
}
