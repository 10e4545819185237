//! What generators draw for a run, against torch and A1111's formula.

use super::*;

/// Pictures of 16 values: one block of torch's generator.
fn shape(batch: usize) -> LatentShape {
    LatentShape {
        batch,
        chw: [4, 2, 2],
    }
}

fn start(request: &Request) -> RunNoise {
    RunNoise::start(request, shape(request.batch_size), 0).expect("nothing is read")
}

/// `torch.randn(3, 4, 2, 2, generator=torch.Generator("cpu").manual_seed(5))`, twice in a row:
/// `[1, 0]` of both, by torch 2.15.0.
const SECOND_OF_THREE: [[f32; 4]; 2] = [
    [2.779_863, 1.222_025_3, -0.336_449_35, -0.965_060_2],
    [-0.518_114_2, 1.563_274_4, 1.235_758_1, 1.496_213_6],
];
/// `torch.randn(1, 4, 2, 2, …manual_seed(6))[0, 0]`, likewise.
const SEED_6: [f32; 4] = [-1.211_304_5, 0.630_358_6, -1.471_303_9, -1.335_199];

#[test]
fn a_batch_drawn_together_is_one_draw_of_torchs() {
    let request = Request::new("").seed(5).batch_size(3);
    let mut noise = start(&request.clone().batch_noise(BatchNoise::Together));
    assert_eq!(noise.initial(shape(3))[16..20], SECOND_OF_THREE[0]);
    assert_eq!(noise.next(shape(3))[16..20], SECOND_OF_THREE[1]);

    let place = BatchNoise::PictureOf { index: 1, count: 3 };
    let mut alone = start(&request.batch_size(1).batch_noise(place));
    let first = alone.initial(shape(1));
    assert_eq!((first.len(), &first[..4]), (16, &SECOND_OF_THREE[0][..]));
    assert_eq!(alone.next(shape(1))[..4], SECOND_OF_THREE[1]);
}

#[test]
fn each_picture_has_the_next_seed_unless_said_otherwise() {
    let mut noise = start(&Request::new("").seed(5).batch_size(2));
    assert_eq!(noise.initial(shape(2))[16..20], SEED_6);
}

#[test]
fn the_steps_noise_may_begin_anew() {
    let anew = StepNoise::Anew {
        source: NoiseSource::TorchCpu,
        seed_offset: 1,
    };
    let mut noise = start(&Request::new("").seed(5).step_noise(anew));
    assert_ne!(noise.initial(shape(1))[..4], SEED_6);
    assert_eq!(noise.next(shape(1))[..4], SEED_6);
}

/// What `tests/golden/variations.py` recorded.
#[derive(Deserialize)]
struct Golden {
    shape: [usize; 3],
    seed: u64,
    variation_seed: u64,
    pictures: usize,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    strength: f64,
    noise: Vec<f32>,
}

/// torch mixes in f32: a few roundings of values up to 4, divided by sines from 0.3 on.
const MIXING_TOLERANCE: f32 = 1e-5;

#[test]
fn variations_begin_with_the_noise_that_a1111_mixes() {
    let golden = include_str!("../../tests/golden/data/variations.json");
    let golden: Golden = serde_json::from_str(golden).unwrap();
    let shape = LatentShape {
        batch: golden.pictures,
        chw: golden.shape,
    };
    for Case { strength, noise } in golden.cases {
        for batch_noise in [BatchNoise::Each, BatchNoise::Together] {
            let request = Request::new("")
                .seed(golden.seed)
                .variation_strength(strength)
                .variation_seed(golden.variation_seed)
                .batch_size(golden.pictures)
                .batch_noise(batch_noise);
            let drawn = RunNoise::start(&request, shape, 0).unwrap().initial(shape);
            assert_eq!(drawn.len(), noise.len());
            let off = |(a, b): (&f32, &f32)| (a - b).abs();
            let worst = drawn.iter().zip(&noise).map(off).fold(0.0, f32::max);
            assert!(worst < MIXING_TOLERANCE, "{strength}: {worst}");
        }
    }
}

#[test]
fn a_variation_alone_has_the_noise_that_it_has_among_others() {
    let request = Request::new("").seed(5).variation_seed(9);
    let request = request.variation_strength(0.3).batch_size(3);
    let together = start(&request).initial(shape(3));
    let mut alone = start(&request.alone(2));
    assert_eq!(alone.initial(shape(1)), together[32..]);
    // The steps' noise is that of the seed, for all.
    let mut plain = start(&Request::new("").seed(5));
    let _first = plain.initial(shape(1));
    assert_eq!(alone.next(shape(1)), plain.next(shape(1)));
}

#[test]
fn a_variation_of_a_picture_of_a_batch_begins_at_that_picture() {
    let place = BatchNoise::PictureOf { index: 1, count: 3 };
    let request = Request::new("").seed(5).batch_noise(place);
    let request = request.variation_strength(1e-9).variation_seed(1);
    let first = start(&request.batch_size(2)).initial(shape(2));
    let off = |at: usize| (first[at] - SECOND_OF_THREE[0][0]).abs();
    assert!(off(0) < 1e-6 && off(16) < 1e-6, "{first:?}");
}
