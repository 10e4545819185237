//! What a caller hears while it waits.

/// How far the loading of weights is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoadProgress {
    /// Bytes of weights on the device.
    pub done_bytes: u64,
    /// Bytes of all weights that will be there.
    pub total_bytes: u64,
}

/// A step that is done.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Step {
    /// Its number, from 0.
    pub index: usize,
    /// How many steps the run has.
    pub count: usize,
    /// The noise level at which the step began.
    pub sigma: f64,
}

/// How far the decoding of pictures in tiles is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TileProgress {
    /// Tiles that are done.
    pub done: usize,
    /// All tiles, of all pictures.
    pub count: usize,
}
