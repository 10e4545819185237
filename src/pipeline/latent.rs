//! Latents in torch's order and in the device's.

/// The shape of a batch of latents, or of pictures.
#[derive(Clone, Copy, Debug)]
pub(super) struct LatentShape {
    /// Pictures.
    pub(super) batch: usize,
    /// Channels, height and width in latents.
    pub(super) chw: [usize; 3],
}

impl LatentShape {
    /// The shape of one of the pictures.
    pub(super) fn one(&self) -> Self {
        Self { batch: 1, ..*self }
    }

    /// Elements of one picture.
    pub(super) fn picture_len(&self) -> usize {
        self.chw.iter().product()
    }

    /// Elements of all pictures.
    pub(super) fn len(&self) -> usize {
        self.batch * self.picture_len()
    }

    /// The axes in torch's order.
    pub(super) fn nchw(&self) -> [usize; 4] {
        let [channels, height, width] = self.chw;
        [self.batch, channels, height, width]
    }

    /// `[N, C, H, W]` → `[N, H, W, C]`
    pub(super) fn channels_last(&self, values: &[f32]) -> Vec<f32> {
        let [channels, height, width] = self.chw;
        transposed(values, channels, height * width)
    }

    /// `[N, H, W, C]` → `[N, C, H, W]`
    pub(super) fn channels_first(&self, values: &[f32]) -> Vec<f32> {
        let [channels, height, width] = self.chw;
        transposed(values, height * width, channels)
    }
}

/// `[N, rows, columns]` → `[N, columns, rows]`
fn transposed(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    let matrices = values.chunks_exact(rows * columns);
    let transpose = |matrix: &[f32]| -> Vec<f32> {
        let places =
            (0..columns).flat_map(|column| (0..rows).map(move |row| row * columns + column));
        places.map(|place| matrix[place]).collect()
    };
    matrices.flat_map(transpose).collect()
}
