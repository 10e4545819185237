//! Pictures in tiles, against diffusers and against what is done whole.

use super::{Decoder, Encoder};
use crate::error::Result;
use crate::gpu::{Device, block_on};
use crate::ops::testing;
use crate::pipeline::handle::Pipeline;
use crate::pipeline::plans::Placement;
use crate::pipeline::{Model, Precision, Residence};
use crate::tensor::{DType, Wrap};
use safetensors::SafeTensors;

/// The photograph's size in pixels, [height, width].
const PHOTO: [usize; 2] = [192, 256];
/// The same in latents.
const LATENT: [usize; 2] = [24, 32];
/// The least signal to noise in dB at which differences are not seen side by side.
const LEAST_PSNR: f64 = 38.0;
/// A latent of tiles, ‖a−b‖/‖b‖: far below the deviation that it is sampled with.
const LATENT_TOLERANCE: f64 = 0.05;

/// What `tests/golden/tiles.py` recorded.
struct Golden {
    photo: Vec<u8>,
    mean: Vec<f32>,
    image: Vec<u8>,
}

fn golden() -> Golden {
    let file: &[u8] = include_bytes!("../../../tests/golden/data/tiles.safetensors");
    let file = SafeTensors::deserialize(file).unwrap();
    let data = |name: &str| file.tensor(name).unwrap().data().to_vec();
    Golden {
        photo: data("photo"),
        mean: bytemuck::pod_collect_to_vec(&data("mean")),
        image: data("image"),
    }
}

fn pipeline(device: &Device) -> Pipeline {
    Pipeline::new(device, Model::demo().unwrap()).unwrap()
}

fn placement(vae_tile: Option<usize>, residence: Residence) -> Placement {
    Placement {
        compute: DType::F32,
        residence,
        vae_tile,
        wrap: Wrap::NONE,
    }
}

/// Red, green and blue of a latent's picture, and how many tiles it took.
fn decode(pipeline: &Pipeline, placement: Placement, latent: &[f32]) -> (Vec<u8>, usize) {
    let scaling_factor = pipeline.model().config.vae.scaling_factor;
    let latent: Vec<f32> = latent.iter().map(|value| value * scaling_factor).collect();
    let mut count = 0;
    let decoded = block_on(async {
        let mut decoder = Decoder::take(pipeline, LATENT, Precision::F32, placement).await?;
        decoder
            .decode(&[&latent], &mut |tiles| count = tiles.count)
            .await
    });
    let pixels = decoded.unwrap().remove(0).pixels;
    let colours = pixels.chunks_exact(4).flat_map(|pixel| &pixel[..3]);
    (colours.copied().collect(), count)
}

/// The mean of a picture's latent.
fn encode(pipeline: &Pipeline, placement: Placement, photo: &[u8]) -> Result<Vec<f32>> {
    let scaling_factor = pipeline.model().config.vae.scaling_factor;
    let pixels = photo.iter().map(|byte| f32::from(*byte) / 127.5 - 1.0);
    let pixels: Vec<f32> = pixels.collect();
    block_on(async {
        let mut encoder = Encoder::take(pipeline, LATENT, Precision::F32, placement).await?;
        encoder.begin().await?;
        let mode = encoder.encode(&pixels).await?.mode();
        Ok(mode.iter().map(|value| value / scaling_factor).collect())
    })
}

/// 10·log10(255² / mean squared difference)
fn psnr(a: &[u8], b: &[u8]) -> f64 {
    assert_eq!(a.len(), b.len());
    let squares = a
        .iter()
        .zip(b)
        .map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2));
    let mean = squares.sum::<f64>() / a.len() as f64;
    10.0 * (255.0_f64.powi(2) / mean).log10()
}

/// ‖a−b‖/‖b‖
fn difference(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    let square = |value: f32| f64::from(value).powi(2);
    let difference: f64 = a.iter().zip(b).map(|(a, b)| square(a - b)).sum();
    (difference / b.iter().map(|b| square(*b)).sum::<f64>()).sqrt()
}

#[test]
fn a_photograph_decoded_in_tiles_looks_as_diffusers_decodes_it_whole() {
    let Some(device) = testing::device() else {
        return;
    };
    let (pipeline, golden) = (pipeline(device), golden());
    let whole = placement(None, Residence::Together);
    assert!(psnr(&decode(&pipeline, whole, &golden.mean).0, &golden.image) > 60.0);
    for (side, tiles) in [(16, 6), (24, 2)] {
        let placement = placement(Some(side), Residence::Together);
        let (image, count) = decode(&pipeline, placement, &golden.mean);
        let psnr = psnr(&image, &golden.image);
        assert!(psnr > LEAST_PSNR, "tiles of {side}: {psnr:.1} dB");
        assert_eq!(count, tiles);
        let in_turn = self::placement(Some(side), Residence::InTurn);
        assert!(decode(&pipeline, in_turn, &golden.mean).0 == image);
    }
}

#[test]
fn a_photograph_encoded_in_tiles_has_the_latent_that_diffusers_gives_it() {
    let Some(device) = testing::device() else {
        return;
    };
    let (pipeline, golden) = (pipeline(device), golden());
    assert_eq!(golden.photo.len(), PHOTO[0] * PHOTO[1] * 3);
    let whole = encode(
        &pipeline,
        placement(None, Residence::Together),
        &golden.photo,
    )
    .unwrap();
    assert!(difference(&whole, &golden.mean) < 1e-4);
    for side in [16, 24] {
        for residence in [Residence::Together, Residence::InTurn] {
            let mean = encode(&pipeline, placement(Some(side), residence), &golden.photo).unwrap();
            let difference = difference(&mean, &golden.mean);
            assert!(
                difference < LATENT_TOLERANCE,
                "tiles of {side}: {difference:.3}"
            );
        }
    }
}
