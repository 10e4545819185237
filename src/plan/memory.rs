//! Which values share memory: slots reused as soon as the last reader of a value is done.

use std::cmp::Reverse;

/// A value that needs memory: born at one step, last needed at another.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lifetime {
    /// How many bytes it takes.
    pub(super) bytes: u64,
    /// The step that writes it.
    pub(super) from: usize,
    /// The last step that reads it. Memory is free again only after that step: a dispatch may not
    /// write what it reads.
    pub(super) to: usize,
}

impl Lifetime {
    /// Whether both are needed at some step.
    fn overlaps(&self, other: &Self) -> bool {
        self.from <= other.to.max(other.from) && other.from <= self.to.max(self.from)
    }
}

/// Slots by size, and the slot of each value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Assignment {
    /// Bytes of each slot.
    pub(super) slots: Vec<u64>,
    /// The slot of each value, in the values' order.
    pub(super) of: Vec<usize>,
}

impl Assignment {
    fn bytes(&self) -> u64 {
        self.slots.iter().sum()
    }
}

/// Gives each value a slot, in the better of two orders: the largest first, so that no slot ever grows
/// (Pisarchyk & Lee 2020, arXiv 2001.03288, §4.3, "greedy by size" for shared objects), or by birth.
/// One of the two takes as little as slots can in every network here: the k-th largest slot is then no
/// larger than the k-th largest value at some step.
pub(super) fn assign(values: &[Lifetime]) -> Assignment {
    let by_birth: Vec<usize> = (0..values.len()).collect();
    let mut by_size = by_birth.clone();
    by_size.sort_by_key(|&value| Reverse(values[value].bytes));
    let [by_birth, by_size] = [by_birth, by_size].map(|order| assign_in(&order, values));
    if by_size.bytes() < by_birth.bytes() {
        by_size
    } else {
        by_birth
    }
}

/// One value after another. The smallest slot is taken that is large enough and free all the value's
/// life, else the largest free one grows, else a new one comes.
fn assign_in(order: &[usize], values: &[Lifetime]) -> Assignment {
    let mut slots: Vec<u64> = Vec::new();
    let mut held: Vec<Vec<Lifetime>> = Vec::new();
    let mut of = vec![0; values.len()];
    for &value in order {
        let lifetime = values[value];
        let is_free = |slot: &usize| !held[*slot].iter().any(|other| lifetime.overlaps(other));
        let free: Vec<usize> = (0..slots.len()).filter(is_free).collect();
        let large_enough = free.iter().filter(|&&slot| slots[slot] >= lifetime.bytes);
        let smallest = large_enough.min_by_key(|&&slot| slots[slot]);
        let largest = || free.iter().max_by_key(|&&slot| slots[slot]);
        let slot = smallest.or_else(largest).copied().unwrap_or_else(|| {
            slots.push(0);
            held.push(Vec::new());
            slots.len() - 1
        });
        slots[slot] = slots[slot].max(lifetime.bytes);
        held[slot].push(lifetime);
        of[value] = slot;
    }
    Assignment { slots, of }
}

/// The most bytes of values that are needed at one step: no memory could do with less.
pub(super) fn living_bytes(values: &[Lifetime]) -> u64 {
    let at = |step: usize| {
        let living = values.iter().filter(|value| {
            let last = value.to.max(value.from);
            (value.from..=last).contains(&step)
        });
        living.map(|value| value.bytes).sum()
    };
    let births = values.iter().map(|value| value.from);
    births.map(at).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(bytes: u64, from: usize, to: usize) -> Lifetime {
        Lifetime { bytes, from, to }
    }

    #[test]
    fn a_chain_needs_two_slots() {
        let chain: Vec<Lifetime> = (0..10).map(|step| value(100, step, step + 1)).collect();
        assert_eq!(assign(&chain).slots, [100, 100]);
    }

    #[test]
    fn a_value_kept_for_later_is_not_overwritten() {
        let values = [
            value(10, 0, 5),
            value(10, 1, 2),
            value(10, 2, 3),
            value(10, 3, 4),
        ];
        let assignment = assign(&values);
        assert!(
            assignment.of[1..]
                .iter()
                .all(|slot| *slot != assignment.of[0])
        );
    }

    #[test]
    fn the_better_of_two_orders_is_taken() {
        // By birth 60 takes the slot of 100, and the second 100 needs another: 50 + 100 + 100.
        let by_size = [
            value(50, 0, 5),
            value(100, 1, 2),
            value(60, 3, 9),
            value(100, 4, 6),
        ];
        assert_eq!(assign(&by_size).bytes(), 100 + 60 + 50);
        // The largest first put both of 100 into one slot, beside which the chain needs two of 60.
        let by_birth = [
            value(100, 0, 1),
            value(60, 1, 2),
            value(60, 2, 3),
            value(100, 3, 4),
        ];
        assert_eq!(assign(&by_birth).bytes(), 100 + 100);
    }

    #[test]
    fn no_two_living_values_share_a_slot() {
        // A pseudo-random walk over lifetimes, checked pair by pair.
        let mut state = 1_u64;
        let mut next = |bound: u64| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 33) % bound
        };
        let values: Vec<Lifetime> = (0..200)
            .map(|from| {
                value(
                    1 + next(1000),
                    from,
                    from + usize::try_from(next(20)).unwrap(),
                )
            })
            .collect();
        let assignment = assign(&values);
        assert!(living_bytes(&values) <= assignment.bytes());
        for (i, a) in values.iter().enumerate() {
            assert!(assignment.slots[assignment.of[i]] >= a.bytes);
            for (j, b) in values.iter().enumerate().skip(i + 1) {
                let overlap = b.from <= a.to && a.from <= b.to.max(b.from);
                assert!(
                    !(overlap && assignment.of[i] == assignment.of[j]),
                    "{i} and {j} share a slot"
                );
            }
        }
    }
}
