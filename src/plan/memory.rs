//! Which values share memory: ranges of slots, reused as soon as the last reader of a value is done.

use std::cmp::Reverse;

/// A value that needs memory: born at one step, last needed at another.
#[derive(Clone, Debug)]
pub(super) struct Lifetime {
    /// How many bytes it takes.
    pub(super) bytes: u64,
    /// The step that writes it.
    pub(super) from: usize,
    /// The last step that reads it. Memory is free again only after that step: a dispatch may not
    /// write what it reads.
    pub(super) to: usize,
    /// The values that the step reads which writes it, by their places among all.
    pub(super) reads: Vec<usize>,
}

impl Lifetime {
    /// The last step at which it is needed.
    fn end(&self) -> usize {
        self.to.max(self.from)
    }

    /// Whether both are needed at some step.
    fn overlaps(&self, other: &Self) -> bool {
        self.from <= other.end() && other.from <= self.end()
    }
}

/// Slots by size, and the place of each value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Assignment {
    /// Bytes of each slot.
    pub(super) slots: Vec<u64>,
    /// The slot of each value and where in it the value begins, in the values' order.
    pub(super) of: Vec<(usize, u64)>,
}

/// Gives each value a range of a slot, beginning at a multiple of `alignment`. The largest values come
/// first (Pisarchyk & Lee 2020, arXiv 2001.03288, "greedy by size"): each goes to the smallest slot
/// that has room all its life, or else gets a new one.
///
/// A slot is a buffer, and of a buffer that a dispatch writes it may not read another part: a value is
/// never in a slot with what its step reads.
pub(super) fn assign(values: &[Lifetime], alignment: u64) -> Assignment {
    let mut apart: Vec<Vec<usize>> = values.iter().map(|value| value.reads.clone()).collect();
    for (value, lifetime) in values.iter().enumerate() {
        for &read in &lifetime.reads {
            apart[read].push(value);
        }
    }
    let mut largest_first: Vec<usize> = (0..values.len()).collect();
    largest_first.sort_by_key(|&value| Reverse(values[value].bytes));

    let mut slots: Vec<Slot> = Vec::new();
    let mut of = vec![(0, 0); values.len()];
    for value in largest_first {
        let bytes = values[value].bytes.next_multiple_of(alignment);
        // Slots are as large as what came first into them, and the largest came first.
        let mut smallest_first = slots.iter().enumerate().rev();
        let found = smallest_first.find_map(|(slot, held)| {
            let offset = held.room(value, bytes, values, &apart[value])?;
            Some((slot, offset))
        });
        let (slot, offset) = found.unwrap_or_else(|| {
            slots.push(Slot::new(bytes));
            (slots.len() - 1, 0)
        });
        slots[slot].held.push((value, offset..offset + bytes));
        of[value] = (slot, offset);
    }
    Assignment {
        slots: slots.iter().map(|slot| slot.bytes).collect(),
        of,
    }
}

/// A slot and the ranges of it that values have.
struct Slot {
    bytes: u64,
    held: Vec<(usize, std::ops::Range<u64>)>,
}

impl Slot {
    fn new(bytes: u64) -> Self {
        let held = Vec::new();
        Self { bytes, held }
    }

    /// Where a value of so many bytes has room all its life, if nothing is there that must be apart.
    fn room(&self, value: usize, bytes: u64, values: &[Lifetime], apart: &[usize]) -> Option<u64> {
        if self.held.iter().any(|(other, _)| apart.contains(other)) {
            return None;
        }
        let living = self.held.iter();
        let living = living.filter(|(other, _)| values[value].overlaps(&values[*other]));
        let mut taken: Vec<_> = living.map(|(_, range)| range.clone()).collect();
        taken.sort_by_key(|range| range.start);
        let mut offset = 0;
        for range in taken {
            if offset + bytes <= range.start {
                break;
            }
            offset = offset.max(range.end);
        }
        (offset + bytes <= self.bytes).then_some(offset)
    }
}

/// The most bytes of values that are needed at one step: no memory could do with less.
pub(super) fn living_bytes(values: &[Lifetime]) -> u64 {
    let at = |step: usize| {
        let living = values
            .iter()
            .filter(|value| (value.from..=value.end()).contains(&step));
        living.map(|value| value.bytes).sum()
    };
    let births = values.iter().map(|value| value.from);
    births.map(at).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALIGNMENT: u64 = 8;

    fn value(bytes: u64, from: usize, to: usize, reads: &[usize]) -> Lifetime {
        Lifetime {
            bytes,
            from,
            to,
            reads: reads.to_vec(),
        }
    }

    #[test]
    fn a_chain_needs_two_slots() {
        let link = |step: usize| {
            value(
                100,
                step,
                step + 1,
                &step.checked_sub(1).map_or(vec![], |at| vec![at]),
            )
        };
        let chain: Vec<Lifetime> = (0..10).map(link).collect();
        assert_eq!(assign(&chain, ALIGNMENT).slots, [104, 104]);
    }

    #[test]
    fn small_values_lie_side_by_side_where_a_large_one_was() {
        let values = [
            value(100, 0, 1, &[]),
            value(48, 1, 2, &[0]),
            value(16, 2, 5, &[1]),
            value(16, 3, 5, &[]),
            value(16, 4, 5, &[]),
        ];
        assert_eq!(assign(&values, ALIGNMENT).slots, [104, 48]);
    }

    #[test]
    fn no_step_writes_a_slot_that_it_reads() {
        // The second could lie beside the first, were it not made of it.
        let values = [
            value(96, 0, 0, &[]),
            value(16, 1, 2, &[]),
            value(16, 2, 3, &[1]),
        ];
        let assignment = assign(&values, ALIGNMENT);
        assert_ne!(assignment.of[1].0, assignment.of[2].0);
        assert_eq!(assignment.slots, [96, 16]);
    }

    #[test]
    fn no_two_living_values_share_memory() {
        // A pseudo-random walk over lifetimes, checked pair by pair.
        let mut state = 1_u64;
        let mut next = |bound: u64| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            usize::try_from((state >> 33) % bound).unwrap()
        };
        let values: Vec<Lifetime> = (0..200)
            .map(|from| {
                let reads = if from > 0 {
                    vec![next(from as u64)]
                } else {
                    vec![]
                };
                value(1 + next(1000) as u64, from, from + next(20), &reads)
            })
            .collect();
        let assignment = assign(&values, ALIGNMENT);
        let place = |value: usize| {
            let (slot, start) = assignment.of[value];
            (slot, start..start + values[value].bytes)
        };
        assert!(living_bytes(&values) <= assignment.slots.iter().sum());
        for (i, a) in values.iter().enumerate() {
            let (slot, range) = place(i);
            assert!(range.end <= assignment.slots[slot] && range.start.is_multiple_of(ALIGNMENT));
            assert!(a.reads.iter().all(|read| assignment.of[*read].0 != slot));
            for (j, b) in values.iter().enumerate().skip(i + 1) {
                let (other_slot, other) = place(j);
                let shared =
                    slot == other_slot && range.start < other.end && other.start < range.end;
                let together = b.from <= a.to.max(a.from) && a.from <= b.to.max(b.from);
                assert!(!(shared && together), "{i} and {j} share memory");
            }
        }
    }
}
