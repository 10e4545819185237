//! A bounded search for the fastest tiles, by measuring.

use super::check::{only, small_trial, unless_refused};
use super::store::{Finding, FoundOn, Store};
use super::trial::{Trial, Work};
use super::{forget_lost, prepare};
use crate::error::{Error, Result};
use crate::gpu::Device;
use crate::tensor::{Caps, KernelChoice};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// What was fastest on one adapter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
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
#[non_exhaustive]
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
/// keeps what is fastest for the next opening of the device. Kernels that were passed over since they
/// lost the device, or ended the process, are checked again, if this is its first use. `tell` hears of each class as it is done.
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
    if !device.has_choice() {
        forget_lost(device.info(), &store)?;
    }
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
        let until = Instant::now() + rest / classes;
        let found = best(&caps, &trial, until, |choice, until| {
            // A tile computes right before its time counts: not every family was checked.
            let small = small_trial(trial.work, trial.head_dim());
            match small.agrees(device, choice.clone())? {
                true => trial.time(device, choice, until).map(Some),
                false => Ok(None),
            }
        })?;
        let found = found.ok_or_else(|| {
            let (name, class) = (&device.info().name, trial.table(&caps).1);
            Error::Unsupported(format!("{name} computes {class} wrong in every tile"))
        })?;
        tell(&found);
        tuning.shapes.push(found);
    }
    store.write(device.info(), &tuning)?;
    Ok(tuning)
}

/// The fastest tile for a trial: of two at least, then of as many as there is time for; `None` if
/// every tile is refused or wrong. `measure` tells how long a kernel takes, until an instant at most,
/// or `None` if it computes wrong.
fn best(
    caps: &Caps,
    trial: &Trial,
    deadline: Instant,
    mut measure: impl FnMut(KernelChoice, Instant) -> Result<Option<Duration>>,
) -> Result<Option<TunedShape>> {
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
        let tiles = u32::try_from(left.len() + 1).unwrap_or(u32::MAX);
        let time = unless_refused(measure(choice, Instant::now() + rest / tiles))?.flatten();
        measured.extend(time.map(|time| (tile, time.as_secs_f64() * 1e3)));
    }
    // The tables' tile is the first, unless it computes wrong here.
    let of_table = measured.iter().find(|(tile, _)| *tile == table);
    let table_ms = of_table.map(|(_, ms)| *ms);
    let fastest = measured
        .iter()
        .min_by(|one, other| one.1.total_cmp(&other.1));
    let gains = |(_, ms): &&(String, f64)| table_ms.is_none_or(|table_ms| *ms <= GAIN * table_ms);
    let chosen = fastest.filter(gains).or(of_table).cloned();
    Ok(chosen.map(|(tile, ms)| TunedShape {
        class,
        shape: trial.shape(),
        tile,
        ms,
        table,
        table_ms,
    }))
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    /// What the tables have for the product here, and two others.
    const TABLE: &str = "tiled/128x64";
    const OTHERS: [&str; 2] = ["tiled/32x32", "plain/32x32"];
    const IN_TIME: Duration = Duration::from_secs(3600);

    /// What is chosen for a product where tiles take so many milliseconds, and which were measured.
    fn chosen(
        time: Duration,
        ms: impl Fn(&str) -> Result<Option<u64>>,
    ) -> (Result<Option<TunedShape>>, Vec<String>) {
        let caps = Caps {
            choice: Arc::new(KernelChoice::all()),
            ..Caps::portable()
        };
        let product = Trial::new(Work::Linear, &[&[8192, 320], &[320, 320], &[320]]);
        assert_eq!(product.table(&caps).0, TABLE);
        let mut measured = Vec::new();
        let found = best(&caps, &product, Instant::now() + time, |choice, _| {
            let tile = choice.tiles["linear"].clone();
            let ms = ms(&tile)?;
            measured.push(tile);
            Ok(ms.map(Duration::from_millis))
        });
        (found, measured)
    }

    /// The same, where something is chosen in time.
    fn found(ms: impl Fn(&str) -> Result<Option<u64>>) -> TunedShape {
        let (found, _) = chosen(IN_TIME, ms);
        found.expect("no device is lost").expect("a tile is right")
    }

    #[test]
    fn another_tile_must_gain_more_than_the_noise() {
        let other_takes = |other| {
            found(move |tile| {
                Ok(Some(match tile {
                    TABLE => 100,
                    tile if tile == OTHERS[0] => other,
                    _ => 200,
                }))
            })
        };
        let (close, far) = (other_takes(98), other_takes(90));
        assert_eq!((close.tile.as_str(), close.ms), (TABLE, 100.0));
        assert_eq!((far.tile.as_str(), far.ms), (OTHERS[0], 90.0));
        assert_eq!((far.table.as_str(), far.table_ms), (TABLE, Some(100.0)));
    }

    #[test]
    fn a_wrong_tile_is_not_chosen_though_the_tables_have_it() {
        let found = found(|tile| {
            Ok(match tile {
                TABLE => None,
                tile if tile == OTHERS[1] => Some(150),
                _ => Some(200),
            })
        });
        assert_eq!((found.tile.as_str(), found.table_ms), (OTHERS[1], None));
    }

    #[test]
    fn a_tile_that_the_driver_refuses_costs_only_itself() {
        let found = found(|tile| match tile {
            tile if tile == OTHERS[0] => Err(Error::Gpu("internal compiler error".into())),
            tile if tile == OTHERS[1] => Ok(Some(50)),
            _ => Ok(Some(100)),
        });
        assert_eq!(found.tile, OTHERS[1]);
        let (nothing, _) = chosen(IN_TIME, |_| Err(Error::Unsupported("a tile".into())));
        assert_eq!(nothing.expect("no device is lost"), None);
    }

    #[test]
    fn a_lost_device_ends_the_search() {
        let lost = |_: &str| {
            let reason = "it was reset".into();
            Err(Error::DeviceLost { reason })
        };
        let (found, measured) = chosen(IN_TIME, lost);
        assert!(matches!(found, Err(Error::DeviceLost { .. })), "{found:?}");
        assert_eq!(measured.len(), 0);
    }

    #[test]
    fn two_tiles_are_measured_however_late_it_is() {
        let (found, measured) = chosen(Duration::ZERO, |_| Ok(Some(100)));
        assert_eq!(measured.len(), 2, "{measured:?}");
        assert_eq!(measured[0], TABLE);
        assert!(found.is_ok_and(|found| found.is_some()));
    }
}
