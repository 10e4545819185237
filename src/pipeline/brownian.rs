//! The noise of the steps of a run whose pictures each follow one Brownian motion.

use super::latent::LatentShape;
use super::request::{Noise, Request};
use crate::sampling::{BrownianTree, NoisePath, NoiseSource, Table};

/// A motion for each picture of a batch.
#[derive(Debug)]
pub(super) struct BrownianNoise {
    trees: Vec<BrownianTree>,
}

impl BrownianNoise {
    /// The motions of a resolved request, seeded with `seed + i` for picture `i`; `None` where its
    /// table asks for independent noise, or the noise is recorded.
    pub(super) fn start(request: &Request, table: &Table, shape: LatentShape) -> Option<Self> {
        let source = match request.noise {
            Noise::TorchCpu => NoiseSource::TorchCpu,
            Noise::Philox => NoiseSource::Philox,
            Noise::Recorded(_) => return None,
        };
        if table.noise_path != NoisePath::Brownian {
            return None;
        }
        let [low, high] = table.sigma_range();
        let seed = request.seed.unwrap_or_default();
        let seeds = (0..request.batch_size as u64).map(|i| seed.wrapping_add(i));
        let tree = |seed| BrownianTree::new(source, seed, shape.picture_len(), low, high);
        Some(Self {
            trees: seeds.map(tree).collect(),
        })
    }

    /// The unit normal of a step between two noise levels, `[N, C, h, w]`.
    pub(super) fn between(&mut self, [from, to]: [f64; 2]) -> Vec<f32> {
        let trees = self.trees.iter_mut();
        trees.flat_map(|tree| tree.normal(from, to)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampling::{NoiseModel, Options, Prediction, build};

    const SHAPE: LatentShape = LatentShape {
        batch: 2,
        chw: [4, 2, 2],
    };

    fn table(noise_path: NoisePath) -> Table {
        let model = NoiseModel::scaled_linear(0.00085, 0.012, 1000).expect("it is SD's");
        let options = Options {
            noise_path: Some(noise_path),
            ..Options::default()
        };
        let sampler = "euler_ancestral";
        let table = build(
            &model,
            Prediction::Epsilon,
            sampler,
            "karras",
            5,
            1.0,
            &options,
        );
        table.expect("it is in order")
    }

    #[test]
    fn each_picture_moves_as_it_would_alone() {
        let table = table(NoisePath::Brownian);
        let start = |seed, batch| {
            let request = Request::new("").seed(seed).batch_size(batch);
            BrownianNoise::start(&request, &table, SHAPE).expect("it is asked for")
        };
        let interval = table.rows[1].noise_interval;
        let both = start(7, 2).between(interval);
        assert_eq!(both[..16], start(7, 1).between(interval));
        assert_eq!(both[16..], start(8, 1).between(interval));
        assert_ne!(both[..16], both[16..]);
    }

    #[test]
    fn independent_and_recorded_noise_have_no_motion() {
        let request = Request::new("").seed(7);
        let independent = table(NoisePath::Independent);
        assert!(BrownianNoise::start(&request, &independent, SHAPE).is_none());
        let recorded = request.noise(Noise::Recorded("noise.safetensors".into()));
        let brownian = table(NoisePath::Brownian);
        assert!(BrownianNoise::start(&recorded, &brownian, SHAPE).is_none());
    }
}
