//! Where tiles that overlap begin: of latents, and of pictures to enlarge.

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

/// The tops and lefts of tiles that begin so along height and width, row by row.
pub(super) fn corners([tops, lefts]: [Vec<usize>; 2]) -> Vec<[usize; 2]> {
    let row = |top| lefts.iter().map(move |&left| [top, left]);
    tops.iter().flat_map(|&top| row(top)).collect()
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
