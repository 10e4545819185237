//! `torch.randn` on CUDA, made on the CPU: Philox 4x32-10 (Salmon et al. 2011), then Box-Muller.
//!
//! Checked against A1111's `modules/rng_philox.py`, which gives torch's CUDA numbers for tensors
//! up to the number of threads that a graphics card runs at once (some 100,000 values, so latents
//! of all usual sizes). CUDA takes sine and logarithm from approximations of its own that no CPU
//! has; here they are rounded from f64, so a value may differ from a card's in its last digits.

use std::f32::consts::TAU;

/// The state of a CUDA generator as torch advances it: one more block of the counter a call.
#[derive(Clone, Debug)]
pub(super) struct Philox {
    key: [u32; 2],
    calls: u32,
}

impl Philox {
    const ROUNDS: usize = 10;
    const MULTIPLIERS: [u64; 2] = [0xd251_1f53, 0xcd9e_8d57];
    /// The key grows by the golden ratio and √3 − 1 each round (Weyl sequences).
    const WEYL: [u32; 2] = [0x9e37_79b9, 0xbb67_ae85];

    pub(super) fn new(seed: u64) -> Self {
        Self {
            key: split(seed),
            calls: 0,
        }
    }

    /// One call of `torch.randn`: value i is the first normal of the counter (calls, 0, i, 0).
    pub(super) fn normal(&mut self, len: usize) -> Vec<f32> {
        let values = (0..len as u64)
            .map(|i| {
                let [low, high] = split(i);
                let [x, y, ..] = self.block([self.calls, 0, low, high]);
                box_muller(x, y)
            })
            .collect();
        self.calls = self.calls.wrapping_add(1);
        values
    }

    /// Ten rounds of the bijection on one counter block.
    fn block(&self, mut counter: [u32; 4]) -> [u32; 4] {
        let mut key = self.key;
        for _ in 0..Self::ROUNDS {
            let [low_0, high_0] = split(u64::from(counter[0]) * Self::MULTIPLIERS[0]);
            let [low_1, high_1] = split(u64::from(counter[2]) * Self::MULTIPLIERS[1]);
            counter = [
                high_1 ^ counter[1] ^ key[0],
                low_1,
                high_0 ^ counter[3] ^ key[1],
                low_0,
            ];
            key[0] = key[0].wrapping_add(Self::WEYL[0]);
            key[1] = key[1].wrapping_add(Self::WEYL[1]);
        }
        counter
    }
}

/// The low and the high half.
#[expect(clippy::cast_possible_truncation, reason = "that is what halving does")]
fn split(word: u64) -> [u32; 2] {
    [word as u32, (word >> 32) as u32]
}

/// The first of the two normals, as curand's `_curand_box_muller` orders them: the sine.
#[expect(clippy::cast_possible_truncation, reason = "curand's normals are f32")]
#[expect(clippy::cast_precision_loss, reason = "curand rounds the words to f32")]
fn box_muller(x: u32, y: u32) -> f32 {
    /// 2⁻³² in f32.
    const UNIT: f32 = 1.0 / 4_294_967_296.0;
    /// 2⁻³² turns in radians, in f32.
    const TURN: f32 = UNIT * TAU;
    let u = (x as f32).mul_add(UNIT, UNIT / 2.0);
    let v = (y as f32).mul_add(TURN, TURN / 2.0);
    let radius = (-2.0 * f64::from(u).ln()).sqrt();
    (radius * f64::from(v).sin()) as f32
}
