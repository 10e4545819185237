//! Dispatches in pieces, where one would keep a device busy for longer than a submission should.

use crate::error::{Error, Result};

/// Workgroups that one axis of a grid may have, by WebGPU's default limits.
const MAX_GROUPS_PER_AXIS: usize = 65_535;
/// The most pieces of a dispatch: its parameters are stored for each. The largest convolution of a
/// picture of 2048² is 4.8 TFLOP; a piece of it takes 0.2 s at 0.1 TFLOP/s.
const MAX_PIECES: usize = 256;

/// A dispatch cut into pieces of equally many workgroups, of which the last may have fewer. Together
/// they compute what the dispatch does at once, since what a workgroup does depends on its number alone.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cut {
    work: u64,
    groups: usize,
    /// Workgroups of a piece.
    pub(super) groups_each: usize,
}

impl Cut {
    /// Pieces of about `least` work, or one if the kernel `has_pieces` not.
    pub(super) fn new(work: u64, groups: usize, least: u64, has_pieces: bool) -> Self {
        let wanted = usize::try_from(work.div_ceil(least.max(1))).unwrap_or(usize::MAX);
        let pieces = match has_pieces {
            true => wanted.clamp(1, MAX_PIECES),
            false => 1,
        };
        Self {
            work,
            groups,
            groups_each: groups.div_ceil(pieces).max(1),
        }
    }

    /// How many pieces there are.
    pub(super) fn pieces(self) -> usize {
        self.groups.div_ceil(self.groups_each).max(1)
    }

    /// The work of so many pieces.
    pub(super) fn work_of(self, pieces: usize) -> u64 {
        if pieces == self.pieces() {
            return self.work;
        }
        pieces as u64 * (self.work / self.pieces() as u64)
    }

    /// The workgroups of so many pieces from `first` on.
    pub(super) fn groups_of(self, first: usize, pieces: usize) -> usize {
        let before = first * self.groups_each;
        (pieces * self.groups_each).min(self.groups - before)
    }

    /// How many pieces from `first` on go into a submission that holds so much work and may hold
    /// `most`. What fits a submission of its own is not cut; and one piece goes in any case where there
    /// is nothing before it.
    pub(super) fn fitting(self, first: usize, held: u64, most: u64) -> usize {
        let left = self.pieces() - first;
        let room = most.saturating_sub(held);
        let fits = (0..=left)
            .rev()
            .find(|&pieces| self.work_of(pieces) <= room);
        let fits = fits.unwrap_or(0);
        let is_cut = first > 0 || self.work > most;
        match (held, fits) {
            (0, 0) => 1,
            _ if fits == left || is_cut => fits,
            _ => 0,
        }
    }
}

/// Folds a number of workgroups into a grid of two axes with as few idle groups as can be.
pub(super) fn grid(groups: usize) -> Result<[u32; 2]> {
    let rows = groups.div_ceil(MAX_GROUPS_PER_AXIS).max(1);
    let columns = groups.div_ceil(rows);
    let fits = |axis: usize| {
        u32::try_from(axis).map_err(|_| Error::Unsupported(format!("{groups} workgroups")))
    };
    if rows > MAX_GROUPS_PER_AXIS {
        return Err(Error::Unsupported(format!("{groups} workgroups")));
    }
    Ok([fits(columns)?, fits(rows)?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grids_fold_with_few_idle_groups() {
        for groups in [1, 65_535, 65_536, 65_537, 1_000_003, 131_072] {
            let [columns, rows] = grid(groups).expect("fits").map(|axis| axis as usize);
            assert!(columns <= MAX_GROUPS_PER_AXIS && rows <= MAX_GROUPS_PER_AXIS);
            assert!(columns * rows >= groups && columns * rows - groups < rows);
        }
    }

    /// The workgroups of each submission, where nothing else is in any.
    fn submissions(cut: Cut, most: u64) -> Vec<usize> {
        let mut found = Vec::new();
        let mut piece = 0;
        while piece < cut.pieces() {
            let pieces = cut.fitting(piece, 0, most);
            assert!(pieces == 1 || cut.work_of(pieces) <= most);
            found.push(cut.groups_of(piece, pieces));
            piece += pieces;
        }
        found
    }

    #[test]
    fn pieces_have_all_workgroups_once() {
        for groups in [1, 7, 255, 256, 257, 65_536] {
            for most in [1, 10, 99, 100, 1_000] {
                let cut = Cut::new(1_000, groups, 10, true);
                assert_eq!(submissions(cut, most).iter().sum::<usize>(), groups);
            }
        }
    }

    #[test]
    fn a_dispatch_is_cut_where_it_is_more_than_a_submission_holds() {
        let cut = Cut::new(1_000, 500, 10, true);
        assert_eq!(submissions(cut, 1_000), [500]);
        assert_eq!(submissions(cut, 500), [250, 250]);
        // As it fits a submission of its own, it waits for that.
        assert_eq!(cut.fitting(0, 1, 1_000), 0);
        // As it does not, it begins in one that has room.
        assert_eq!(cut.fitting(0, 250, 500), 25);
    }

    #[test]
    fn a_dispatch_without_pieces_goes_alone() {
        let cut = Cut::new(1_000, 512, 10, false);
        assert_eq!(submissions(cut, 1), [512]);
        assert_eq!(cut.fitting(0, 1, 999), 0);
    }

    #[test]
    fn a_device_that_nothing_watches_gets_a_dispatch_whole() {
        let cut = Cut::new(u64::MAX, 512, u64::MAX, true);
        assert_eq!(submissions(cut, u64::MAX), [512]);
        // Nor does what went before matter.
        assert_eq!(
            Cut::new(5, 512, u64::MAX, true).fitting(0, u64::MAX - 5, u64::MAX),
            1
        );
    }
}
