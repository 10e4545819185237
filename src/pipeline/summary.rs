//! What a file is, for `inspect`.

use super::model::Model;
use crate::error::Result;
use crate::families::{Defaults, Purpose, SchedulerConfig};
use crate::weights::{ModelFiles, PartInfo, Weights};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// What a checkpoint is and holds, and what it lacks for a picture.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Summary {
    /// The file or folder.
    pub path: PathBuf,
    /// `ldm` for a single file of the original naming, `diffusers` for diffusers'.
    pub naming: String,
    /// The family's short name; `None` where the file makes no pictures as it is.
    pub family: Option<&'static str>,
    /// The family's name in words.
    pub title: Option<&'static str>,
    /// What its UNet was trained for.
    pub purpose: Option<Purpose>,
    /// What a request is filled in with.
    pub defaults: Option<Defaults>,
    /// The noise that the model was trained on.
    pub scheduler: Option<SchedulerConfig>,
    /// Why it makes no pictures: what is missing or not supported.
    pub missing: Option<String>,
    /// Its parts.
    pub parts: Vec<PartInfo>,
    /// The header's metadata.
    pub metadata: BTreeMap<String, String>,
    /// Tensors that no part here uses, by their names in the file.
    pub leftovers: Vec<String>,
    /// Every tensor.
    pub tensors: Vec<TensorSummary>,
}

/// A tensor of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct TensorSummary {
    /// The name under the one naming, part first.
    pub name: String,
    /// The name in the file.
    pub file_name: String,
    /// The type as stored.
    pub dtype: String,
    /// The shape as stored.
    pub shape: Vec<usize>,
}

impl Summary {
    /// Describes a file, or the files of a model, also where it is no whole one.
    ///
    /// # Errors
    /// [`crate::Error::Io`], [`crate::Error::BadFile`], or [`crate::Error::UnknownModel`] where not
    /// one tensor is known.
    pub fn open(files: impl Into<ModelFiles>) -> Result<Self> {
        let weights = Weights::open(files)?;
        Ok(match Model::from_weights(weights.clone()) {
            Ok(model) => model.summary(),
            Err(error) => Self {
                missing: Some(error.to_string()),
                ..Self::of(&weights)
            },
        })
    }

    fn of(weights: &Weights) -> Self {
        let tensors = weights.tensors().map(|tensor| TensorSummary {
            name: tensor.name.to_owned(),
            file_name: tensor.file_name.to_owned(),
            dtype: tensor.dtype,
            shape: tensor.shape.dims().to_vec(),
        });
        Self {
            path: weights.path().to_owned(),
            naming: weights.naming().to_string(),
            family: None,
            title: None,
            purpose: None,
            defaults: None,
            scheduler: None,
            missing: None,
            parts: weights.parts(),
            metadata: weights.metadata().clone(),
            leftovers: weights.leftovers().to_vec(),
            tensors: tensors.collect(),
        }
    }
}

impl Model {
    /// What the checkpoint is and holds.
    pub fn summary(&self) -> Summary {
        Summary {
            family: Some(self.config.family.name),
            title: Some(self.config.family.title),
            purpose: Some(self.config.purpose),
            defaults: Some(self.config.defaults.clone()),
            scheduler: Some(self.config.scheduler.clone()),
            ..Summary::of(&self.weights)
        }
    }
}

/// How many characters of a text from a file are shown.
const SHOWN_CHARS: usize = 100;

/// A file's text, cut and without what a terminal would obey.
fn shown(text: &str) -> String {
    let mut shown: String = text
        .chars()
        .take(SHOWN_CHARS)
        .flat_map(char::escape_debug)
        .collect();
    if text.chars().nth(SHOWN_CHARS).is_some() {
        shown.push('…');
    }
    shown
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} ({} naming)", self.path.display(), self.naming)?;
        match (self.title, self.purpose, &self.missing) {
            (Some(title), Some(purpose), _) => writeln!(f, "family      {title}: {purpose}")?,
            (_, _, Some(missing)) => writeln!(f, "no picture  {missing}")?,
            _ => {}
        }
        if let Some(Defaults {
            width,
            height,
            steps,
            guidance_scale,
            sampler,
            schedule,
        }) = &self.defaults
        {
            writeln!(
                f,
                "defaults    {width}×{height}, {steps} steps, guidance {guidance_scale}, {sampler}, {schedule}"
            )?;
        }
        for part in &self.parts {
            let dtypes: Vec<String> = part
                .dtypes
                .iter()
                .map(|(dtype, count)| format!("{count} {dtype}"))
                .collect();
            writeln!(
                f,
                "{:<11} {:>5} tensors, {:>8.2} M parameters, {:>8.1} MiB ({})",
                part.name,
                part.tensor_count,
                part.parameter_count as f64 / 1e6,
                part.size_bytes as f64 / f64::from(1 << 20),
                dtypes.join(", ")
            )?;
        }
        for (key, value) in &self.metadata {
            writeln!(f, "metadata    {}: {}", shown(key), shown(value))?;
        }
        if let Some(first) = self.leftovers.first() {
            let (count, first) = (self.leftovers.len(), shown(first));
            writeln!(f, "not used    {count} tensors, such as {first}")?;
        }
        Ok(())
    }
}
