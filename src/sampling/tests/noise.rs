//! Noise against torch and against an independent implementation.

use super::*;

#[derive(Deserialize)]
pub(super) struct TorchCpuRun {
    seed: String,
    calls: Vec<TorchCpuCall>,
}

#[derive(Deserialize)]
struct TorchCpuCall {
    size: usize,
    first: Vec<u32>,
    hash: String,
}

#[derive(Deserialize)]
pub(super) struct PhiloxRun {
    seed: String,
    calls: Vec<Vec<f64>>,
}

#[test]
fn torch_cpu_noise_has_the_bits_of_torch() {
    for run in golden().torch_cpu {
        let mut generator = NoiseSource::TorchCpu.generator(run.seed.parse().unwrap());
        for call in run.calls {
            let values = generator.normal(call.size);
            let first: Vec<u32> = values.iter().take(4).map(|value| value.to_bits()).collect();
            assert_eq!(first, call.first, "seed {} size {}", run.seed, call.size);
            let bytes = values.iter().flat_map(|value| value.to_le_bytes());
            assert_eq!(
                fnv1a(bytes),
                call.hash,
                "seed {} size {}",
                run.seed,
                call.size
            );
        }
    }
}

fn fnv1a(bytes: impl Iterator<Item = u8>) -> String {
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    });
    format!("{hash:016x}")
}

/// curand, and we after it, round uniforms and angles to f32: 2e-7 of a turn's 2π, times a radius
/// of 6.7 at most.
const PHILOX_TOLERANCE: f64 = 2e-6;

#[test]
fn philox_noise_is_that_of_an_independent_implementation() {
    for run in golden().philox {
        let mut generator = NoiseSource::Philox.generator(run.seed.parse().unwrap());
        for expected in run.calls {
            let values: Vec<f64> = generator
                .normal(expected.len())
                .into_iter()
                .map(f64::from)
                .collect();
            assert_close(&values, &expected, PHILOX_TOLERANCE, &run.seed);
        }
    }
}

#[test]
fn philox_noise_is_that_which_a1111_quotes() {
    // The docstring of A1111's modules/rng_philox.py: Generator(seed=0).randn(shape=(3, 4)).
    let quoted = [
        -0.92466259,
        -0.42534415,
        -2.6438457,
        0.14518388, //
        -0.12086647,
        -0.57972564,
        -0.62285122,
        -0.32838709, //
        -1.07454231,
        -0.36314407,
        -1.67105067,
        2.26550497,
    ];
    let values: Vec<f64> = NoiseSource::Philox
        .generator(0)
        .normal(12)
        .into_iter()
        .map(f64::from)
        .collect();
    assert_close(&values, &quoted, PHILOX_TOLERANCE, &"seed 0");
}

#[derive(Deserialize)]
struct BrownianRecord {
    runs: Vec<BrownianRun>,
}

#[derive(Deserialize)]
struct BrownianRun {
    seed: String,
    size: usize,
    range: [f64; 2],
    draws: Vec<BrownianDraw>,
}

#[derive(Debug, Deserialize)]
struct BrownianDraw {
    interval: [f64; 2],
    first: Vec<f64>,
    weighted_sum: f64,
}

/// torchsde computes each node in f32 from the one above, and so does the tree here, in the same
/// order. torch takes the square root of a draw's length from MKL, which may be a unit in the last
/// place off (6e-8 of all values of the draw); nothing else differs.
const BROWNIAN_TOLERANCE: f64 = 2e-7;
/// The sum of 468 values, each off by as much, which mostly cancels out. One wrong value is off by 1.
const BROWNIAN_SUM_TOLERANCE: f64 = 1e-5;

fn brownian() -> BrownianRecord {
    serde_json::from_str(include_str!("../../../tests/golden/data/brownian.json")).unwrap()
}

impl BrownianRun {
    fn tree(&self) -> BrownianTree {
        let [low, high] = self.range;
        let seed = self.seed.parse().unwrap();
        BrownianTree::new(NoiseSource::TorchCpu, seed, self.size, low, high)
    }
}

#[test]
fn brownian_noise_is_that_of_torchsde_under_k_diffusion() {
    for run in brownian().runs {
        let mut tree = run.tree();
        for draw in &run.draws {
            let [from, to] = draw.interval;
            let found: Vec<f64> = tree.normal(from, to).into_iter().map(f64::from).collect();
            let what = (&run.seed, run.size, draw);
            assert_eq!(found.len(), run.size);
            assert_close(&found[..6], &draw.first, BROWNIAN_TOLERANCE, &what);
            let weighted = found.iter().zip(0_u32..);
            let sum: f64 = weighted.map(|(x, i)| x * f64::from(i).cos()).sum();
            assert_close(&[sum], &[draw.weighted_sum], BROWNIAN_SUM_TOLERANCE, &what);
        }
    }
}

#[test]
fn brownian_noise_depends_on_its_levels_alone_and_not_on_what_was_drawn_before() {
    for run in brownian().runs.iter().filter(|run| run.size == 6) {
        let mut used = run.tree();
        let forwards: Vec<_> = run
            .draws
            .iter()
            .map(|draw| used.normal(draw.interval[0], draw.interval[1]))
            .collect();
        for (draw, noise) in run.draws.iter().zip(forwards).rev() {
            let [from, to] = draw.interval;
            assert_eq!(used.normal(from, to), noise);
            assert_eq!(run.tree().normal(from, to), noise);
        }
    }
}

#[test]
fn two_short_steps_of_brownian_noise_add_up_to_the_long_one() {
    /// Three sums of f32 of about 1.
    const TOLERANCE: f32 = 1e-6;
    let mut tree = BrownianTree::new(NoiseSource::Philox, 3, 16, 0.03, 14.6);
    let mut increment = |from: f32, to: f32| -> Vec<f32> {
        let noise = tree.normal(f64::from(from), f64::from(to));
        noise.into_iter().map(|n| n * (from - to).sqrt()).collect()
    };
    let (first, second, both) = (
        increment(9.0, 4.0),
        increment(4.0, 2.5),
        increment(9.0, 2.5),
    );
    for ((first, second), both) in first.iter().zip(&second).zip(&both) {
        assert!(
            (first + second - both).abs() <= TOLERANCE * 10.0,
            "{first} + {second}, {both}"
        );
    }
}

#[test]
fn brownian_noise_of_a_step_that_goes_nowhere_is_none() {
    let mut tree = BrownianTree::new(NoiseSource::TorchCpu, 3, 5, 0.03, 14.6);
    assert_eq!(tree.normal(2.0, 2.0), [0.0; 5]);
    assert_eq!(
        tree.normal(80.0, 20.0),
        [0.0; 5],
        "beyond the ends there is no motion"
    );
}
