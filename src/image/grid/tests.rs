//! Where pictures of a grid are, and labels of every kind.

use super::*;

fn picture(width: usize, height: usize, shade: u8) -> Image {
    let pixels = [shade, 0, 0, 255].repeat(width * height);
    Image::from_rgba(width, height, pixels).unwrap()
}

/// How many pixels of a grid have that shade of red alone.
fn count(image: &Image, shade: u8) -> usize {
    let (pixels, _) = image.pixels().as_chunks::<4>();
    let wanted = |pixel: &&[u8; 4]| **pixel == [shade, 0, 0, 255];
    pixels.iter().filter(wanted).count()
}

fn labels(counts: [usize; 3], text: &str) -> GridLabels {
    let [columns, rows, blocks] = counts.map(|count| vec![text.to_owned(); count]);
    GridLabels {
        columns,
        rows,
        blocks,
    }
}

#[test]
fn every_picture_is_there_whole_and_nothing_covers_another() {
    for labels in [GridLabels::default(), labels([3, 2, 2], "steps: 20")] {
        let mut grid = Grid::new([3, 2, 2], &labels, [16, 24]).unwrap();
        let places = (0..12).map(|at| [at % 3, at / 3 % 2, at / 6]);
        for (place, shade) in places.zip(100_u8..) {
            grid.put(&picture(16, 24, shade), place).unwrap();
        }
        let image = grid.into_image().unwrap();
        for shade in 100..112 {
            assert_eq!(count(&image, shade), 16 * 24, "{shade}");
        }
    }
}

#[test]
fn rows_come_from_the_top_and_columns_from_the_left() {
    let mut grid = Grid::new([2, 2, 1], &GridLabels::default(), [8, 8]).unwrap();
    grid.put(&picture(8, 8, 200), [1, 0, 0]).unwrap();
    let image = grid.into_image().unwrap();
    assert_eq!((image.width(), image.height()), (4 + 2 * 12, 4 + 2 * 12));
    let at = |column: usize, row: usize| image.pixels()[4 * (row * image.width() + column)];
    assert_eq!(at(4 + 12, 4), 200);
    // What was not drawn is grey.
    assert_eq!(at(4, 4), GREY[0]);
    assert_eq!(at(4 + 12, 4 + 12), GREY[0]);
}

#[test]
fn a_picture_of_another_size_fits_into_its_place() {
    let mut grid = Grid::new([1, 1, 1], &GridLabels::default(), [16, 16]).unwrap();
    grid.put(&picture(64, 32, 90), [0; 3]).unwrap();
    assert_eq!(count(&grid.clone().into_image().unwrap(), 90), 16 * 8);
    assert!(grid.put(&picture(1, 1, 0), [1, 0, 0]).is_err());
}

#[test]
fn labels_of_any_text_are_drawn() {
    let long = "a lighthouse in a storm, ".repeat(4000);
    for text in ["", "狐 🐈 \u{202E}\0\n", &long, "e\u{301}"] {
        let grid = Grid::new([2, 2, 2], &labels([2, 2, 2], text), [32, 32]).unwrap();
        let image = grid.into_image().unwrap();
        assert!(
            image.width() < 300 && image.height() < 300,
            "{}×{}",
            image.width(),
            image.height()
        );
        let is_black = |pixel: &[u8; 4]| *pixel == [0, 0, 0, 255];
        let (pixels, _) = image.pixels().as_chunks::<4>();
        assert_eq!(pixels.iter().any(is_black), !text.is_empty());
    }
}

#[test]
fn a_grid_is_never_larger_than_a_picture_that_can_be_read() {
    let grid = Grid::new([20, 20, 1], &GridLabels::default(), [1024, 1024]).unwrap();
    assert!(grid.canvas.pixels.len() / 4 <= MOST_PIXELS);
    assert!(grid.cell[0] > 300, "{:?}", grid.cell);
}
