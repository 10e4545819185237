//! Which of several kernels for the same work a device gets.

use std::collections::{BTreeMap, BTreeSet};

/// What is known of the kernels on one device: which may be used, and which tiles were found best.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct KernelChoice {
    /// Whether every kernel may be used: where none will run, or all are under test.
    pub(crate) all: bool,
    /// Those that may, as in `linear/tiled`: they agreed with the reference on this device.
    pub(crate) passed: BTreeSet<String>,
    /// The family and tile, as in `tiled/64x64`, for an operation's class of shapes, as in
    /// `linear/many`, or for all of its shapes, as in `linear`.
    pub(crate) tiles: BTreeMap<String, String>,
}

impl KernelChoice {
    /// Every kernel, with the tiles that the tables have.
    pub(crate) fn all() -> Self {
        Self {
            all: true,
            ..Self::default()
        }
    }

    /// Whether an operation's kernels of a family may be used.
    pub(crate) fn allows(&self, operation: &str, family: &str) -> bool {
        self.all || self.passed.contains(&format!("{operation}/{family}"))
    }

    /// The family and tile for shapes of that class, where they are chosen.
    pub(crate) fn tile(&self, operation: &str, class: &str) -> Option<&str> {
        let of_class = self.tiles.get(&format!("{operation}/{class}"));
        of_class
            .or_else(|| self.tiles.get(operation))
            .map(String::as_str)
    }
}
