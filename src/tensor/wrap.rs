//! Which edges of pictures join.

/// Which edges of pictures join, so that what looks beyond one sees what lies at the opposite one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Wrap {
    /// The first and the last row are neighbours.
    pub(crate) rows: bool,
    /// The first and the last column are.
    pub(crate) columns: bool,
}

impl Wrap {
    /// There are zeros around pictures.
    pub(crate) const NONE: Self = Self {
        rows: false,
        columns: false,
    };
}
