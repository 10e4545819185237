//! Tiles that are normalised alike: by the moments of a mosaic of their picture, which stand for the
//! whole's.

use crate::error::Result;
use crate::ops::{given_moments, own_moments};
use crate::pipeline::plans::{Lease, Stage};
use crate::pipeline::request::Precision;

/// What asks a norm for the moments of what it is given itself: mean, and a variance that none has.
const OWN: [f32; 2] = [0.0, -1.0];

/// A plan that runs tile by tile.
#[derive(Debug)]
pub(super) struct TileRunner<'l> {
    pub(super) lease: &'l mut Lease,
    /// The input that a tile is written to.
    pub(super) input: &'static str,
    pub(super) precision: Precision,
    pub(super) stage: Stage,
}

/// The moments of every norm of such a plan, of one picture.
#[derive(Debug)]
pub(super) struct Moments {
    of_norms: Vec<Vec<f32>>,
}

impl Moments {
    /// Those of a mosaic, each measured behind norms that used their own.
    ///
    /// # Errors
    /// As [`TileRunner::run`].
    pub(super) async fn of(tiles: &mut TileRunner<'_>, mosaic: &[f32]) -> Result<Self> {
        let inputs = &tiles.lease.runner().plan().inputs;
        let norms = (0..).map(given_moments).map_while(|name| inputs.get(&name));
        let own = norms.map(|end| OWN.repeat(end.view.shape.len() / OWN.len()));
        let mut moments = Self {
            of_norms: own.collect(),
        };
        tiles.run(&moments, mosaic).await?;
        for (norm, values) in moments.of_norms.iter_mut().enumerate() {
            *values = tiles.lease.runner().read(&own_moments(norm)).await?;
        }
        Ok(moments)
    }
}

impl TileRunner<'_> {
    /// Runs one tile; in f32 if f16 overflows and may.
    ///
    /// # Errors
    /// [`crate::Error::NotFinite`], [`crate::Error::OutOfMemory`], [`crate::Error::DeviceLost`] or
    /// [`crate::Error::Gpu`].
    pub(super) async fn run(&mut self, moments: &Moments, tile: &[f32]) -> Result<()> {
        loop {
            for (norm, values) in moments.of_norms.iter().enumerate() {
                self.lease.runner().write(&given_moments(norm), values)?;
            }
            self.lease.runner().write(self.input, tile)?;
            if self.lease.run().await? {
                return Ok(());
            }
            self.lease.widen(self.precision, self.stage).await?;
        }
    }
}
