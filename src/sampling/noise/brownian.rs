//! The noise of a Brownian motion over noise levels: what the stochastic DPM-Solvers ask for.
//!
//! One motion is fixed by the seed. A step from one level to another takes the motion's increment
//! between them, so runs with more steps or fewer move along the same path and end in much the same
//! picture. The motion is a tree: a node knows the increment over its interval and draws how much of
//! it falls in the first half (Lévy's construction), so each increment depends on its ends only.
//!
//! Checked against torchsde 0.2.6 (`BrownianTree`, `_brownian/brownian_interval.py`) as k-diffusion
//! 0.1.1's `BrownianTreeNoiseSampler` (`sampling.py`) uses it; ComfyUI has the same on the CPU, and
//! A1111 with its own generator in the nodes (`torchsde_randn`, sd_samplers_common.py).

use std::collections::HashMap;

use super::{NoiseSource, seed_sequence::SeedSequence};

/// A Brownian motion over an interval of noise levels, one value for each place of a latent.
#[derive(Clone, Debug)]
pub struct BrownianTree {
    source: NoiseSource,
    seed: u64,
    len: usize,
    root: Node,
    /// The increment over all of the interval.
    whole: Vec<f32>,
    /// The increments over the first halves of the nodes on the way to the last one asked for.
    first_halves: HashMap<Path, Vec<f32>>,
}

/// Where a node is: its place among those of its depth, and its depth. The spawn key of its seeds.
type Path = [u64; 2];

/// An interval of the tree.
#[derive(Clone, Copy, Debug)]
struct Node {
    path: Path,
    start: f64,
    end: f64,
}

impl Node {
    fn middle(self) -> f64 {
        round(0.5 * (self.end + self.start))
    }

    /// Its halves, the one of the lower levels first.
    fn halves(self) -> [Self; 2] {
        let ([place, depth], middle) = (self.path, self.middle());
        [
            Self {
                path: [2 * place, depth + 1],
                end: middle,
                ..self
            },
            Self {
                path: [2 * place + 1, depth + 1],
                start: middle,
                ..self
            },
        ]
    }
}

impl BrownianTree {
    /// The motion of `seed` between two noise levels, for `len` values.
    ///
    /// The levels are rounded to f32, as torch has them, and to six decimals, the tree's tolerance.
    #[must_use]
    pub fn new(source: NoiseSource, seed: u64, len: usize, sigma_min: f64, sigma_max: f64) -> Self {
        let (low, high) = (f32_of(sigma_min), f32_of(sigma_max));
        let [seed_of_whole] = SeedSequence::new(seed, &[]).state();
        let mut whole = normal(source, seed_of_whole, len);
        let deviation = f32_of((f64::from(high) - f64::from(low)).sqrt());
        whole.iter_mut().for_each(|value| *value *= deviation);
        Self {
            source,
            seed,
            len,
            root: Node {
                path: [0, 0],
                start: round(f64::from(low)),
                end: round(f64::from(high)),
            },
            whole,
            first_halves: HashMap::new(),
        }
    }

    /// The noise of a step from one level down to another: unit normals, independent of those of
    /// other steps that share no level with it. Levels outside of the tree's are those of its ends.
    #[must_use]
    pub fn normal(&mut self, sigma_from: f64, sigma_to: f64) -> Vec<f32> {
        let (from, to) = (f32_of(sigma_from), f32_of(sigma_to));
        let within = |sigma: f32| round(f64::from(sigma)).clamp(self.root.start, self.root.end);
        let (low, high) = (within(from.min(to)), within(from.max(to)));
        let mut sum = Increment {
            low,
            high,
            total: None,
            seen: HashMap::new(),
        };
        if low < high {
            sum.add(self, self.root, &self.whole);
        }
        self.first_halves = sum.seen;
        let mut values = sum.total.unwrap_or_else(|| vec![0.0; self.len]);
        // The motion runs up the levels, and the steps down.
        let norm = (to - from).abs().sqrt().copysign(to - from);
        if norm != 0.0 {
            values.iter_mut().for_each(|value| *value /= norm);
        }
        values
    }

    /// The increment over the first half of a node whose increment over both is `whole`.
    fn first_half(&self, node: Node, whole: &[f32]) -> Vec<f32> {
        if let Some(known) = self.first_halves.get(&node.path) {
            return known.clone();
        }
        let [seed] = SeedSequence::new(self.seed, &node.path).state();
        let mut noise = normal(self.source, seed, self.len);
        // Given the whole, the first half is normal about its share of it: a Brownian bridge.
        let share = 1.0 / (node.end - node.start);
        let (left, right) = (node.middle() - node.start, node.end - node.middle());
        let deviation = f32_of((left * right * share).sqrt());
        let (left, share) = (f32_of(left), f32_of(share));
        for (noise, whole) in noise.iter_mut().zip(whole) {
            *noise = (left * whole) * share + deviation * *noise;
        }
        noise
    }
}

/// The increment between two levels while it is gathered from the tree.
struct Increment {
    low: f64,
    high: f64,
    total: Option<Vec<f32>>,
    seen: HashMap<Path, Vec<f32>>,
}

impl Increment {
    /// Adds what falls in `node`, whose increment is `whole`, from the lower levels up.
    fn add(&mut self, tree: &BrownianTree, node: Node, whole: &[f32]) {
        if node.end <= self.low || self.high <= node.start {
            return;
        }
        if self.low <= node.start && node.end <= self.high {
            match &mut self.total {
                None => self.total = Some(whole.to_vec()),
                Some(total) => total
                    .iter_mut()
                    .zip(whole)
                    .for_each(|(sum, part)| *sum += part),
            }
            return;
        }
        let first = tree.first_half(node, whole);
        let [lower, upper] = node.halves();
        self.add(tree, lower, &first);
        if self.high > upper.start {
            let second: Vec<f32> = whole
                .iter()
                .zip(&first)
                .map(|(all, first)| all - first)
                .collect();
            self.add(tree, upper, &second);
        }
        self.seen.insert(node.path, first);
    }
}

/// As torchsde's `_randn`: a generator of its own for every node.
fn normal(source: NoiseSource, seed: u32, len: usize) -> Vec<f32> {
    source.generator(u64::from(seed)).normal(len)
}

/// To six decimals, as Python's `round(x, 6)`: the exact value decides, and a tie goes to the even.
fn round(sigma: f64) -> f64 {
    format!("{sigma:.6}").parse().unwrap_or(sigma)
}

#[expect(clippy::cast_possible_truncation, reason = "torch computes in f32")]
fn f32_of(value: f64) -> f32 {
    value as f32
}
