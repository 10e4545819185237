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
