//! numpy's `SeedSequence`: independent seeds for the nodes of a tree, from one.
//!
//! O'Neill's `seed_seq_fe` (pcg-random.org, "Developing a seed_seq Alternative", 2015) as numpy has
//! it; checked against numpy 2.4.6 (`numpy/random/bit_generator.pyx`).

/// How many words the pool has: the `pool_size` of torchsde's `BrownianTree`.
const POOL: usize = 24;
/// Half of a word: what a mixed word is folded by.
const FOLD: u32 = 16;

/// The pool after the entropy has been mixed in.
#[derive(Clone, Debug)]
pub(super) struct SeedSequence {
    pool: [u32; POOL],
}

impl SeedSequence {
    /// `SeedSequence(entropy, spawn_key=spawn_key, pool_size=24)`; an empty key is the root.
    pub(super) fn new(entropy: u64, spawn_key: &[u64]) -> Self {
        let mut words = words_of(entropy);
        if !spawn_key.is_empty() {
            // So that no key can be taken for more entropy.
            words.resize(POOL, 0);
            words.extend(spawn_key.iter().flat_map(|&number| words_of(number)));
        }
        let mut hash = Hash::entropy();
        let mut pool = [0; POOL];
        for (i, word) in pool.iter_mut().enumerate() {
            *word = hash.next(words.get(i).copied().unwrap_or_default());
        }
        for from in 0..POOL {
            for to in (0..POOL).filter(|&to| to != from) {
                pool[to] = mix(pool[to], hash.next(pool[from]));
            }
        }
        for &word in words.iter().skip(POOL) {
            for to in &mut pool {
                *to = mix(*to, hash.next(word));
            }
        }
        Self { pool }
    }

    /// `generate_state(N)`: the first words of the sequence.
    pub(super) fn state<const N: usize>(&self) -> [u32; N] {
        let mut hash = Hash::state();
        std::array::from_fn(|i| hash.next(self.pool[i % POOL]))
    }
}

/// A number in 32-bit words, the lowest first; 0 has one.
#[expect(clippy::cast_possible_truncation, reason = "that is what halving does")]
fn words_of(number: u64) -> Vec<u32> {
    match (number as u32, (number >> u32::BITS) as u32) {
        (low, 0) => vec![low],
        (low, high) => vec![low, high],
    }
}

/// A hash whose constant changes from word to word.
struct Hash {
    constant: u32,
    factor: u32,
}

impl Hash {
    /// The one that entropy goes through on its way into the pool.
    fn entropy() -> Self {
        Self {
            constant: 0x43b0_d7e5,
            factor: 0x931e_8875,
        }
    }

    /// The one that the pool goes through on its way out.
    fn state() -> Self {
        Self {
            constant: 0x8b51_f9dd,
            factor: 0x58f3_8ded,
        }
    }

    fn next(&mut self, word: u32) -> u32 {
        let word = word ^ self.constant;
        self.constant = self.constant.wrapping_mul(self.factor);
        let word = word.wrapping_mul(self.constant);
        word ^ (word >> FOLD)
    }
}

/// Two words into one.
fn mix(x: u32, y: u32) -> u32 {
    let mixed = x
        .wrapping_mul(0xca01_f9dd)
        .wrapping_sub(y.wrapping_mul(0x4973_f715));
    mixed ^ (mixed >> FOLD)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_those_of_numpy() {
        let record: serde_json::Value =
            serde_json::from_str(include_str!("../../../tests/golden/data/brownian.json"))
                .expect("the record is JSON");
        let states = record["states"].as_array().expect("there are states");
        assert!(states.len() >= 20);
        for state in states {
            let entropy = state["entropy"].as_str().map(str::parse);
            let entropy: u64 = entropy.expect("a text").expect("a number");
            let key: Vec<u64> =
                serde_json::from_value(state["spawn_key"].clone()).expect("numbers");
            let words: [u32; 4] = serde_json::from_value(state["words"].clone()).expect("words");
            let found = SeedSequence::new(entropy, &key).state::<4>();
            assert_eq!(found, words, "{entropy} {key:?}");
        }
    }
}
