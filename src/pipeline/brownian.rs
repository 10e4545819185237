//! The noise of the steps of a run whose pictures each follow one Brownian motion.

use super::latent::LatentShape;
use super::noise::Sharing;
use super::request::{Noise, Request};
use crate::sampling::{BrownianTree, NoisePath, NoiseSource, Table};

/// The bits of seeds that are in use; a tree takes more, and those above tell rounds apart.
const SEED_BITS: u32 = 32;

/// A motion for each picture of a batch, or one for all of them.
#[derive(Debug)]
pub(super) struct BrownianNoise {
    sharing: Sharing,
    shape: LatentShape,
    trees: Vec<BrownianTree>,
}

impl BrownianNoise {
    /// The motions of a resolved request, seeded as its generators are; `None` where its table asks
    /// for independent noise, or the noise is recorded. Each round of a task that has several moves
    /// otherwise, and a picture of a batch as it would alone.
    pub(super) fn of_round(
        request: &Request,
        table: &Table,
        shape: LatentShape,
        round: usize,
    ) -> Option<Self> {
        let source = match request.noise.clone().unwrap_or_default() {
            Noise::TorchCpu => NoiseSource::TorchCpu,
            Noise::Philox => NoiseSource::Philox,
            Noise::Recorded(_) => return None,
        };
        if table.noise_path != NoisePath::Brownian {
            return None;
        }
        let [low, high] = table.sigma_range();
        let sharing = Sharing::of(request);
        let offset = (round as u64) << SEED_BITS;
        let tree = |seed: u64| {
            let seed = seed.wrapping_add(offset);
            BrownianTree::new(source, seed, sharing.drawn_len(shape), low, high)
        };
        Some(Self {
            trees: sharing.seeds().map(tree).collect(),
            sharing,
            shape,
        })
    }

    /// The unit normal of a step between two noise levels, `[N, C, h, w]`.
    pub(super) fn between(&mut self, [from, to]: [f64; 2]) -> Vec<f32> {
        let trees = self.trees.iter_mut();
        let drawn = trees.map(|tree| self.sharing.wanted(tree.normal(from, to), self.shape));
        drawn.flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::noise::BatchNoise;
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
            BrownianNoise::of_round(&request, &table, SHAPE, 0).expect("it is asked for")
        };
        let interval = table.rows[1].noise_interval;
        let both = start(7, 2).between(interval);
        assert_eq!(both[..16], start(7, 1).between(interval));
        assert_eq!(both[16..], start(8, 1).between(interval));
        assert_ne!(both[..16], both[16..]);
    }

    #[test]
    fn a_later_round_moves_otherwise_and_each_picture_as_it_would_alone() {
        let table = table(NoisePath::Brownian);
        let interval = table.rows[1].noise_interval;
        let moved = |seed, batch, noise, round| {
            let request = Request::new("").seed(seed).batch_size(batch);
            let request = request.batch_noise(noise);
            let motion = BrownianNoise::of_round(&request, &table, SHAPE, round);
            motion.expect("it is asked for").between(interval)
        };
        for round in 1..4 {
            let both = moved(7, 2, BatchNoise::Each, round);
            assert_eq!(both[..16], moved(7, 1, BatchNoise::Each, round));
            assert_eq!(both[16..], moved(8, 1, BatchNoise::Each, round));
            let together = moved(7, 2, BatchNoise::Together, round);
            let second = BatchNoise::PictureOf { index: 1, count: 2 };
            assert_eq!(together[16..], moved(7, 1, second, round));
            // Neither the first round's nor that of another seed.
            for seed in 7..12 {
                assert_ne!(both[..16], moved(seed, 1, BatchNoise::Each, 0));
            }
        }
    }

    #[test]
    fn a_picture_of_a_batch_that_moves_together_moves_alone_as_there() {
        let table = table(NoisePath::Brownian);
        let interval = table.rows[1].noise_interval;
        let moved = |batch, noise| {
            let request = Request::new("").seed(7).batch_size(batch);
            let request = request.batch_noise(noise);
            let motion = BrownianNoise::of_round(&request, &table, SHAPE, 0);
            motion.expect("it is asked for").between(interval)
        };
        let together = moved(2, BatchNoise::Together);
        let second = BatchNoise::PictureOf { index: 1, count: 2 };
        assert_eq!(together.len(), 32);
        assert_eq!(moved(1, second), together[16..]);
    }

    #[test]
    fn independent_and_recorded_noise_have_no_motion() {
        let request = Request::new("").seed(7);
        let independent = table(NoisePath::Independent);
        assert!(BrownianNoise::of_round(&request, &independent, SHAPE, 0).is_none());
        let recorded = request.noise(Noise::Recorded("noise.safetensors".into()));
        let brownian = table(NoisePath::Brownian);
        assert!(BrownianNoise::of_round(&recorded, &brownian, SHAPE, 0).is_none());
    }
}
