//! Which values share memory: slots reused as soon as the last reader of a value is done.

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

/// Slots by size, and the slot of each value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Assignment {
    /// Bytes of each slot.
    pub(super) slots: Vec<u64>,
    /// The slot of each value, in the values' order.
    pub(super) of: Vec<usize>,
}

/// Gives each value a slot, in the order of their births (which `values` must be in). A free slot
/// that fits with the least waste is taken, else the largest free one grows, else a new one comes.
pub(super) fn assign(values: &[Lifetime]) -> Assignment {
    let mut assignment = Assignment::default();
    let mut busy_until: Vec<usize> = Vec::new();
    for value in values {
        let Assignment { slots, of } = &mut assignment;
        let free = (0..slots.len()).filter(|&slot| busy_until[slot] < value.from);
        let fitting = free
            .clone()
            .filter(|&slot| slots[slot] >= value.bytes)
            .min_by_key(|&slot| slots[slot]);
        let slot = fitting
            .or_else(|| free.max_by_key(|&slot| slots[slot]))
            .unwrap_or_else(|| {
                slots.push(0);
                busy_until.push(0);
                slots.len() - 1
            });
        slots[slot] = slots[slot].max(value.bytes);
        busy_until[slot] = value.to.max(value.from);
        of.push(slot);
    }
    assignment
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
