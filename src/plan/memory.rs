//! Which values share memory: ranges of slots, reused as soon as the last reader of a value is done.

use std::cmp::Reverse;
use std::ops::Range;

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

    /// For how many steps.
    fn steps(&self) -> usize {
        self.end() - self.from
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

/// How many orders of the values are tried: SD 1.5 and SDXL come to their least within 128.
const MAX_TRIES: usize = 128;

/// Gives each value a range of a slot, beginning at a multiple of `alignment`. The largest values come
/// first (Pisarchyk & Lee 2020, arXiv 2001.03288, "greedy by size"), of equal ones the longest needed;
/// then they are packed again and again, in search of less: the value at which a packing comes to take
/// as much as the best so far is the first of the next, as those that were hard to place should choose
/// before others.
///
/// A slot is a buffer, and of a buffer that a dispatch writes it may not read another part: a value is
/// never in a slot with what its step reads. Slots grow up to `max_slot_bytes`; only one that holds a
/// larger value is larger.
pub(super) fn assign(values: &[Lifetime], alignment: u64, max_slot_bytes: u64) -> Assignment {
    let aligned = |value: &Lifetime| Lifetime {
        bytes: value.bytes.next_multiple_of(alignment),
        ..value.clone()
    };
    let values: Vec<Lifetime> = values.iter().map(aligned).collect();
    let packer = Packer {
        apart: apart(&values),
        values: &values,
        max_slot_bytes,
    };
    let least = living_bytes(&values);
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by_key(|&value| Reverse((values[value].bytes, values[value].steps())));
    let (mut best, mut bytes) = (Vec::new(), u64::MAX);
    for _ in 0..MAX_TRIES {
        match packer.pack(&order, bytes) {
            Ok(slots) => {
                bytes = slots.iter().map(|slot| slot.bytes).sum();
                best = slots;
            }
            Err(place) => order[..=place].rotate_right(1),
        }
        if bytes <= least {
            break;
        }
    }
    let mut of = vec![(0, 0); values.len()];
    for (slot, Slot { held, .. }) in best.iter().enumerate() {
        for (value, range) in held {
            of[*value] = (slot, range.start);
        }
    }
    Assignment {
        slots: best.iter().map(|slot| slot.bytes).collect(),
        of,
    }
}

/// For each value, those that may never be in its slot: what its step reads, and what is made of it.
fn apart(values: &[Lifetime]) -> Vec<Vec<usize>> {
    let mut apart: Vec<Vec<usize>> = values.iter().map(|value| value.reads.clone()).collect();
    for (value, lifetime) in values.iter().enumerate() {
        for &read in &lifetime.reads {
            apart[read].push(value);
        }
    }
    apart
}

/// A slot and the ranges of it that values have.
#[derive(Default)]
struct Slot {
    bytes: u64,
    held: Vec<(usize, Range<u64>)>,
}

/// What packing values in some order depends on.
struct Packer<'v> {
    values: &'v [Lifetime],
    apart: Vec<Vec<usize>>,
    max_slot_bytes: u64,
}

impl Packer<'_> {
    /// Places one value after the other, each where slots grow least by it; of such slots, in the
    /// smallest. Gives up at the place in the order where they take `too_many` bytes.
    fn pack(&self, order: &[usize], too_many: u64) -> Result<Vec<Slot>, usize> {
        let mut slots: Vec<Slot> = Vec::new();
        let mut total = 0;
        for (place, &value) in order.iter().enumerate() {
            let bytes = self.values[value].bytes;
            let known = slots.iter().enumerate().filter_map(|(slot, held)| {
                let end = self.room(value, held)? + bytes;
                let growth = end.saturating_sub(held.bytes);
                let fits = growth == 0 || growth < bytes && end <= self.max_slot_bytes;
                fits.then_some((growth, held.bytes, slot, end))
            });
            let (growth, _, slot, end) = known.min().unwrap_or_else(|| {
                slots.push(Slot::default());
                (bytes, 0, slots.len() - 1, bytes)
            });
            total += growth;
            if total >= too_many {
                return Err(place);
            }
            slots[slot].bytes += growth;
            slots[slot].held.push((value, end - bytes..end));
        }
        Ok(slots)
    }

    /// Where the first room is for a value all its life, be it behind the slot's end; `None` if
    /// something is there that must be apart.
    fn room(&self, value: usize, slot: &Slot) -> Option<u64> {
        let Lifetime { bytes, .. } = self.values[value];
        let mut taken = Vec::new();
        for (other, range) in &slot.held {
            if self.apart[value].contains(other) {
                return None;
            }
            if self.values[value].overlaps(&self.values[*other]) {
                taken.push(range);
            }
        }
        taken.sort_by_key(|range| range.start);
        let mut offset = 0;
        for range in taken {
            if offset + bytes <= range.start {
                break;
            }
            offset = offset.max(range.end);
        }
        Some(offset)
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
        assert_eq!(assign(&chain, ALIGNMENT, u64::MAX).slots, [104, 104]);
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
        assert_eq!(assign(&values, ALIGNMENT, u64::MAX).slots, [104, 48]);
    }

    #[test]
    fn no_step_writes_a_slot_that_it_reads() {
        // The second could lie beside the first, were it not made of it.
        let values = [
            value(96, 0, 0, &[]),
            value(16, 1, 2, &[]),
            value(16, 2, 3, &[1]),
        ];
        let assignment = assign(&values, ALIGNMENT, u64::MAX);
        assert_ne!(assignment.of[1].0, assignment.of[2].0);
        assert_eq!(assignment.slots, [96, 16]);
    }

    #[test]
    fn a_slot_grows_no_larger_than_the_device_allows() {
        // After one of 64 come two of 48 together: 96 bytes in one, or 64 and 48.
        let values = [
            value(64, 0, 0, &[]),
            value(48, 1, 2, &[]),
            value(48, 2, 2, &[]),
        ];
        assert_eq!(assign(&values, ALIGNMENT, 96).slots, [96]);
        assert_eq!(assign(&values, ALIGNMENT, 95).slots, [64, 48]);
        assert_eq!(assign(&values, ALIGNMENT, 8).slots, [64, 48]);
    }

    /// Values of pseudo-random sizes and lives, each made of an earlier one.
    fn random_values(seed: u64) -> Vec<Lifetime> {
        let mut state = seed;
        let mut next = |bound: u64| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            usize::try_from((state >> 33) % bound).unwrap()
        };
        let mut made = |from: usize| {
            let reads = if from > 0 {
                vec![next(from as u64)]
            } else {
                vec![]
            };
            value(1 + next(1000) as u64, from, from + next(20), &reads)
        };
        (0..200).map(&mut made).collect()
    }

    #[test]
    fn no_two_living_values_share_memory() {
        for seed in 1..20 {
            let values = random_values(seed);
            check(&values, &assign(&values, ALIGNMENT, u64::MAX));
            check(&values, &assign(&values, ALIGNMENT, 1500));
        }
    }

    /// Values pair by pair.
    fn check(values: &[Lifetime], assignment: &Assignment) {
        let place = |value: usize| {
            let (slot, start) = assignment.of[value];
            (slot, start..start + values[value].bytes)
        };
        assert!(living_bytes(values) <= assignment.slots.iter().sum());
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

    /// What values take that go, the largest first, each to the smallest slot with room, and no slot
    /// grows.
    fn bytes_of_slots_that_do_not_grow(values: &[Lifetime]) -> u64 {
        let packer = Packer {
            apart: apart(values),
            values,
            max_slot_bytes: 0,
        };
        let mut order: Vec<usize> = (0..values.len()).collect();
        order.sort_by_key(|&value| Reverse(values[value].bytes));
        let slots = packer.pack(&order, u64::MAX).unwrap_or_default();
        slots.iter().map(|slot| slot.bytes).sum()
    }

    #[test]
    fn a_search_takes_less_than_the_first_packing() {
        let mut saved = 0;
        for seed in 1..50 {
            let values = random_values(seed);
            let first = bytes_of_slots_that_do_not_grow(&values);
            let found: u64 = assign(&values, 1, u64::MAX).slots.iter().sum();
            assert!(found <= first, "{found} bytes, more than {first}");
            saved += first - found;
        }
        assert!(saved > 0);
    }
}
