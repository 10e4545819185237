//! Where tiles that overlap begin: of latents, and of pictures to enlarge; and how they blend.

use std::ops::Range;

/// Where tiles of `tile` begin along an axis of `whole`: as few as share `overlap` at least, evenly
/// spread from edge to edge; one where the tile is no smaller than the whole. Of more, `overlap` is less
/// than `tile`.
pub(super) fn starts(whole: usize, tile: usize, overlap: usize) -> Vec<usize> {
    if tile >= whole {
        return vec![0];
    }
    let last = whole - tile;
    let gaps = last.div_ceil(tile - overlap);
    (0..=gaps).map(|i| i * last / gaps).collect()
}

/// Where tiles begin likewise along an axis whose ends join: the last ones go on at its beginning. Of such,
/// `tile` is less than `whole`.
pub(super) fn starts_around(whole: usize, tile: usize, overlap: usize) -> Vec<usize> {
    let count = whole.div_ceil(tile - overlap);
    (0..count).map(|i| i * whole / count).collect()
}

/// The tops and lefts of tiles that begin so along height and width, row by row.
pub(super) fn corners([tops, lefts]: [Vec<usize>; 2]) -> Vec<[usize; 2]> {
    let row = |top| lefts.iter().map(move |&left| [top, left]);
    tops.iter().flat_map(|&top| row(top)).collect()
}

/// How much each place of a tile counts along an axis on which tiles begin so, each of their latents, or
/// whatever they are counted in, `factor` places long: neighbours' shares change evenly over their overlap,
/// and sum to 1.
pub(super) fn weights(starts: &[usize], tile: usize, start: usize, factor: usize) -> Vec<f32> {
    let ramp = |place: usize, start: usize| -> Option<f32> {
        let tile = factor * tile;
        let at = place.checked_sub(factor * start).filter(|at| *at < tile)?;
        let first = *starts.first()? == start;
        let last = *starts.last()? == start;
        let from_start = if first { tile } else { at };
        let to_end = if last { tile } else { tile - 1 - at };
        Some(from_start.min(to_end) as f32 + 0.5)
    };
    let range: Range<usize> = factor * start..factor * (start + tile);
    let share = |place| {
        let all: f32 = starts.iter().filter_map(|&other| ramp(place, other)).sum();
        ramp(place, start).map_or(0.0, |own| own / all)
    };
    range.map(share).collect()
}

/// How much each place of a tile counts along an axis whose ends join, likewise.
pub(super) fn weights_around(
    starts: &[usize],
    whole: usize,
    tile: usize,
    start: usize,
) -> Vec<f32> {
    let ramp = |place: usize, start: usize| -> Option<f32> {
        let at = Some((place + whole - start) % whole).filter(|at| *at < tile)?;
        Some(at.min(tile - 1 - at) as f32 + 0.5)
    };
    let share = |place| {
        let all: f32 = starts.iter().filter_map(|&other| ramp(place, other)).sum();
        ramp(place, start).map_or(0.0, |own| own / all)
    };
    (start..start + tile)
        .map(|place| share(place % whole))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_cover_the_whole_and_share_the_overlap() {
        for (whole, tile, overlap) in [
            (1, 32, 16),
            (3, 3, 16),
            (32, 32, 16),
            (33, 32, 16),
            (100, 32, 16),
            (1000, 256, 16),
            (300, 1, 0),
        ] {
            let starts = starts(whole, tile, overlap);
            assert_eq!(starts[0], 0);
            assert!(starts[starts.len() - 1] + tile >= whole);
            for pair in starts.windows(2) {
                assert!(pair[0] + tile >= pair[1] + overlap, "{whole} by {tile}");
            }
        }
    }
}
