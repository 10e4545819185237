//! The rules by which a recording becomes a better plan than it says; each can be switched off.

/// A rule. The picture is the same with it and without, but for the rounding of sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Rule {
    /// What does not change from step to step is computed once per run.
    Hoist,
    /// A choice of one row among those of all steps is made after what works on each row alone, so
    /// that this can be computed once per run.
    SinkSelections,
    /// A chosen row is no copy: where it is read, that part of the rows is bound.
    BindSelections,
    /// What follows a matrix product is done in its kernel.
    Epilogue,
    /// GEGLU is done in the kernel of its projection.
    Geglu,
    /// Queries, keys and values of a self attention come of one kernel.
    JoinedProjections,
    /// The activation after a group norm is done in its kernel.
    SiluInNorm,
    /// Values side by side are read where they lie.
    ConcatInPlace,
    /// A group norm is done where its result is loaded.
    NormInLoad,
    /// A group norm of many rows is measured in parts, by a kernel of its own.
    NormInParts,
    /// A picture that is enlarged for a convolution is enlarged by the convolution's addresses.
    UpsampleInConv,
}

impl Rule {
    /// Every rule.
    pub const ALL: [Self; 11] = [
        Self::Hoist,
        Self::SinkSelections,
        Self::BindSelections,
        Self::Epilogue,
        Self::Geglu,
        Self::JoinedProjections,
        Self::SiluInNorm,
        Self::ConcatInPlace,
        Self::NormInLoad,
        Self::NormInParts,
        Self::UpsampleInConv,
    ];
}

/// Which rules plans are made by: all, unless one is switched off to find what is to blame for a
/// difference, or what it is good for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Rules {
    /// A bit for each rule that is off.
    off: u32,
}

impl Rules {
    /// All rules.
    pub fn all() -> Self {
        Self::default()
    }

    /// The same but for one rule.
    #[must_use]
    pub fn without(self, rule: Rule) -> Self {
        Self {
            off: self.off | 1 << rule as u32,
        }
    }

    /// Whether a rule is on.
    pub fn has(self, rule: Rule) -> bool {
        self.off & (1 << rule as u32) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_is_switched_off_alone() {
        for off in Rule::ALL {
            let rules = Rules::all().without(off);
            for rule in Rule::ALL {
                assert_eq!(rules.has(rule), rule != off);
            }
        }
    }
}
