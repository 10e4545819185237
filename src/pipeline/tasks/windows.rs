//! In which order a large canvas is drawn, window by window.

use crate::image::{Mask, Rect};
use std::collections::BTreeSet;
use std::ops::Range;

/// The windows of a size in which what a mask frees is drawn, one after the other: each next one has
/// about as much known as free in it, so that what is drawn goes on from what is there. They lie half a
/// window apart at most, and each draws all that is free in it.
pub(super) fn windows(free: &Mask, [width, height]: [usize; 2]) -> Vec<Rect> {
    let columns = Axis::new(free.width(), width);
    let rows = Axis::new(free.height(), height);
    let mut places = Places::new(free, &columns, &rows);
    let order = std::iter::from_fn(|| places.take());
    order
        .map(|[column, row]| Rect::new(columns.starts[column], rows.starts[row], width, height))
        .collect()
}

/// Where windows lie along an axis, and the cells into which their ends cut it: a cell is in a window as
/// a whole or not at all, so pixels are counted once and for all.
struct Axis {
    /// Where each window begins.
    starts: Vec<usize>,
    /// Where cells begin, and where the last one ends.
    edges: Vec<usize>,
    /// The cells of each window.
    spans: Vec<Range<usize>>,
}

impl Axis {
    fn new(length: usize, window: usize) -> Self {
        let rest = length.saturating_sub(window);
        let count = (2 * rest).div_ceil(window);
        let starts: Vec<usize> = (0..=count).map(|i| rest * i / count.max(1)).collect();
        let ends = starts.iter().map(|start| (start + window).min(length));
        let edges: BTreeSet<usize> = starts.iter().copied().chain(ends.clone()).collect();
        let edges: Vec<usize> = edges.into_iter().collect();
        let cell = |at: usize| edges.partition_point(|edge| *edge < at);
        let spans = starts.iter().zip(ends);
        let spans = spans.map(|(start, end)| cell(*start)..cell(end)).collect();
        Self {
            starts,
            edges,
            spans,
        }
    }

    /// The windows that have a cell in common with one.
    fn touched(&self, window: usize) -> impl Iterator<Item = usize> + Clone {
        let own = &self.spans[window];
        let spans = self.spans.iter().enumerate();
        let touched = spans.filter(|(_, span)| span.start < own.end && own.start < span.end);
        touched.map(|(window, _)| window)
    }
}

/// The windows that have something to draw, while they are taken one by one.
struct Places<'a> {
    columns: &'a Axis,
    rows: &'a Axis,
    /// How many pixels of each cell are free, row by row.
    free: Vec<usize>,
    /// How far each window is from being half known, and its row and column; the nearest comes next.
    waiting: BTreeSet<(usize, [usize; 2])>,
}

impl<'a> Places<'a> {
    fn new(free: &Mask, columns: &'a Axis, rows: &'a Axis) -> Self {
        let cells = rows.edges.windows(2).flat_map(|high| {
            columns.edges.windows(2).map(|wide| {
                let cell = Rect::new(wide[0], high[0], wide[1] - wide[0], high[1] - high[0]);
                free.count_free(cell)[0]
            })
        });
        let mut places = Self {
            free: cells.collect(),
            columns,
            rows,
            waiting: BTreeSet::new(),
        };
        let all = (0..rows.starts.len())
            .flat_map(|row| (0..columns.starts.len()).map(move |column| [row, column]));
        places.waiting = all.filter_map(|place| places.rank(place)).collect();
        places
    }

    /// The next window's column and row. What it draws is known to those after it.
    fn take(&mut self) -> Option<[usize; 2]> {
        let &(_, [row, column]) = self.waiting.first()?;
        let (columns, rows) = (self.columns, self.rows);
        let touched = rows
            .touched(row)
            .flat_map(|row| columns.touched(column).map(move |column| [row, column]));
        for place in touched.clone() {
            if let Some(rank) = self.rank(place) {
                self.waiting.remove(&rank);
            }
        }
        for cell in self.cells([row, column]) {
            self.free[cell] = 0;
        }
        for place in touched {
            self.waiting.extend(self.rank(place));
        }
        Some([column, row])
    }

    /// What a window waits by; `None` where nothing is left to draw in it.
    fn rank(&self, place @ [row, column]: [usize; 2]) -> Option<(usize, [usize; 2])> {
        let free: usize = self.cells(place).map(|cell| self.free[cell]).sum();
        let length = |axis: &Axis, window: usize| {
            let span = &axis.spans[window];
            axis.edges[span.end] - axis.edges[span.start]
        };
        let all = length(self.rows, row) * length(self.columns, column);
        // One with nothing known comes only at last.
        let away = match free == all {
            true => usize::MAX,
            false => (2 * free).abs_diff(all),
        };
        (free > 0).then_some((away, place))
    }

    /// The cells of a window.
    fn cells(&self, [row, column]: [usize; 2]) -> impl Iterator<Item = usize> + use<> {
        let wide = self.columns.edges.len() - 1;
        let columns = self.columns.spans[column].clone();
        let rows = self.rows.spans[row].clone();
        rows.flat_map(move |row| columns.clone().map(move |column| row * wide + column))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Known rectangles and the canvases around them.
    fn canvases() -> [(Rect, [usize; 2]); 4] {
        [
            (Rect::new(30, 20, 40, 30), [100, 80]),
            (Rect::new(0, 0, 64, 64), [200, 64]),
            (Rect::new(150, 10, 10, 10), [170, 40]),
            (Rect::new(0, 0, 5, 64), [9, 64]),
        ]
    }

    #[test]
    fn windows_cover_what_is_free_and_go_on_from_what_is_known() {
        for (known, [width, height]) in canvases() {
            let mut free = Mask::of_rect(width, height, known).inverted();
            for window in windows(&free, [32, 32]) {
                let [count, all] = free.count_free(window);
                assert!(count > 0 && count < all, "{window:?} of {known:?}");
                free.keep(window);
            }
            assert_eq!(free.bounds(), None);
        }
    }

    #[test]
    fn the_next_window_is_the_nearest_to_half_known() {
        for (known, [width, height]) in canvases() {
            let mut free = Mask::of_rect(width, height, known).inverted();
            let places = |length| Axis::new(length, 32).starts;
            for window in windows(&free, [32, 32]) {
                let away = |place: Rect| match free.count_free(place) {
                    [0, _] => None,
                    [free, all] if free == all => Some(usize::MAX),
                    [free, all] => Some((2 * free).abs_diff(all)),
                };
                let all = places(height).into_iter().flat_map(|top| {
                    let lefts = places(width).into_iter();
                    lefts.map(move |left| Rect::new(left, top, 32, 32))
                });
                let nearest = all.filter_map(away).min();
                assert_eq!(away(window), nearest, "{window:?} of {known:?}");
                free.keep(window);
            }
        }
    }

    #[test]
    fn a_large_canvas_of_small_windows_is_ordered_at_once() {
        // Counted anew for each window, this took minutes.
        let known = Rect::new(1000, 1000, 64, 64);
        let free = Mask::of_rect(4096, 4096, known).inverted();
        assert!(windows(&free, [64, 64]).len() >= 4096);
    }
}
