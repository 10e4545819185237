//! A bounded search for the fastest tiles, by measuring.

use super::check::{only, small_trial};
use super::prepare;
use super::store::{Finding, FoundOn, Store};
use super::trial::{Trial, Work};
use crate::error::{Error, Result};
use crate::gpu::Device;
use crate::tensor::Caps;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// What was fastest on one adapter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tuning {
    /// What it holds for.
    #[serde(flatten)]
    pub found_on: FoundOn,
    /// What was measured.
    pub shapes: Vec<TunedShape>,
    /// Classes of shapes that time did not suffice for: they have the tables' tiles.
    pub unmeasured: Vec<String>,
}

/// The fastest tile for a class of shapes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TunedShape {
    /// The operation and the class, as in `linear/many`: by how many workgroups a result makes.
    pub class: String,
    /// The shape that was measured.
    pub shape: String,
    /// The fastest family and tile, as in `tiled/64x64`.
    pub tile: String,
    /// How long it took, in milliseconds.
    pub ms: f64,
    /// What the tables have.
    pub table: String,
    /// How long that took; `None` where it computes wrong.
    pub table_ms: Option<f64>,
}

impl Finding for Tuning {
    const NAME: &'static str = "tuning";

    fn found_on(&self) -> &FoundOn {
        &self.found_on
    }
}

impl Tuning {
    /// The tile of each class.
    pub(super) fn tiles(&self) -> BTreeMap<String, String> {
        let tiles = self.shapes.iter();
        tiles
            .map(|found| (found.class.clone(), found.tile.clone()))
            .collect()
    }
}

/// Another tile must be faster than the tables' by this much: less is the clock's noise.
const GAIN: f64 = 0.97;

/// Measures the tiles of every kernel that may be used on the device, for about `time` at most, and
/// keeps what is fastest for the next opening of the device. `tell` hears of each class as it is done.
///
/// # Errors
/// [`Error::Unsupported`] for the interpreter, and for a device opened with checks or without its
/// features; [`Error::Io`] if the result cannot be kept; as a pipeline's errors otherwise.
pub fn tune(device: &Device, time: Duration, tell: &mut dyn FnMut(&TunedShape)) -> Result<Tuning> {
    let usual = device.gpu().is_some_and(|gpu| gpu.is_usual);
    if !usual {
        let name = &device.info().name;
        return Err(Error::Unsupported(format!(
            "{name} has no kernels to choose among"
        )));
    }
    let store = Store::open();
    let store = store.ok_or_else(|| Error::Unsupported("there is no folder for caches".into()))?;
    prepare(device)?;
    let deadline = Instant::now() + time;
    let mut tuning = Tuning {
        found_on: FoundOn::now(device.info()),
        shapes: Vec::new(),
        unmeasured: Vec::new(),
    };
    let caps = device.caps();
    let mut left = trials().into_iter();
    while let Some(trial) = left.next() {
        let rest = deadline.saturating_duration_since(Instant::now());
        if rest.is_zero() {
            tuning.unmeasured.push(trial.table(&caps).1);
            continue;
        }
        let classes = u32::try_from(left.len() + 1).unwrap_or(u32::MAX);
        let found = best(device, &caps, &trial, Instant::now() + rest / classes)?;
        tell(&found);
        tuning.shapes.push(found);
    }
    store.write(device.info(), &tuning)?;
    Ok(tuning)
}

/// The fastest tile for a trial: of two at least, then of as many as there is time for.
///
/// A tile computes right before its time counts: the check at first use saw only some of them.
fn best(device: &Device, caps: &Caps, trial: &Trial, deadline: Instant) -> Result<TunedShape> {
    let operation = trial.work.operation();
    let (table, class) = trial.table(caps);
    let tiles = trial.tiles(caps).into_iter();
    let (mut tiles, rest): (Vec<_>, Vec<_>) = tiles.partition(|(_, tile)| *tile == table);
    tiles.extend(rest);
    let mut measured: Vec<(String, f64)> = Vec::new();
    let mut left = tiles.into_iter();
    while let Some((family, tile)) = left.next() {
        let rest = deadline.saturating_duration_since(Instant::now());
        if rest.is_zero() && measured.len() > 1 {
            break;
        }
        let choice = only(operation, &format!("{operation}/{}", family.name()), &tile);
        if !small_trial(trial.work, trial.head_dim()).agrees(device, choice.clone())? {
            continue;
        }
        let tiles = u32::try_from(left.len() + 1).unwrap_or(u32::MAX);
        let time = trial.time(device, choice, Instant::now() + rest / tiles)?;
        measured.push((tile, time.as_secs_f64() * 1e3));
    }
    // The tables' tile is the first, unless it computes wrong here.
    let of_table = measured.iter().find(|(tile, _)| *tile == table);
    let table_ms = of_table.map(|(_, ms)| *ms);
    let fastest = measured
        .iter()
        .min_by(|one, other| one.1.total_cmp(&other.1));
    let gains = |(_, ms): &&(String, f64)| table_ms.is_none_or(|table_ms| *ms <= GAIN * table_ms);
    let chosen = fastest.filter(gains).or(of_table);
    let (tile, ms) = chosen.cloned().ok_or_else(|| {
        Error::Unsupported(format!(
            "{} computes {class} wrong in every tile",
            device.info().name
        ))
    })?;
    Ok(TunedShape {
        class,
        shape: trial.shape(),
        tile,
        ms,
        table,
        table_ms,
    })
}

/// For each class a shape of it as Stable Diffusion has them, the most work of a picture first.
fn trials() -> Vec<Trial> {
    let heads = |num_heads| Work::Attention { num_heads };
    let conv2d = |size: usize, channels, out_channels| {
        Trial::new(
            Work::Conv2d,
            &[
                &[1, size, size, channels],
                &[out_channels, 3, 3, channels],
                &[out_channels],
            ],
        )
    };
    let linear = |rows, depth, columns| {
        Trial::new(
            Work::Linear,
            &[&[rows, depth], &[columns, depth], &[columns]],
        )
    };
    let attention = |length, num_heads, channels| {
        let rows: &[usize] = &[1, length, channels];
        Trial::new(heads(num_heads), &[rows; 3])
    };
    vec![
        conv2d(64, 320, 320),
        linear(4096, 640, 640),
        conv2d(32, 640, 640),
        linear(1024, 640, 640),
        attention(1024, 10, 640),
        conv2d(8, 1280, 1280),
        linear(128, 640, 640),
        attention(256, 8, 1280),
        attention(1024, 1, 512),
        conv2d(64, 320, 4),
        linear(2, 1280, 1280),
    ]
}
