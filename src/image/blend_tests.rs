use super::*;

/// Numbers that look random, by Knuth's linear congruential generator.
struct Numbers(u64);

impl Numbers {
    /// From 0 up to a bound, without it.
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % bound
    }

    fn image(&mut self, width: usize, height: usize) -> Image {
        let bytes = (0..4 * width * height).map(|_| byte(self.below(256)));
        Image::from_rgba(width, height, bytes.collect()).unwrap()
    }
}

fn byte(value: usize) -> u8 {
    u8::try_from(value).unwrap()
}

/// A picture that is smooth everywhere.
fn smooth(width: usize, height: usize) -> Image {
    let pixels = Rect::new(0, 0, width, height)
        .pixels()
        .flat_map(|[x, y]| [40 + 2 * x, 200 - 2 * y, 60 + x + y, 255].map(byte));
    Image::from_rgba(width, height, pixels.collect()).unwrap()
}

#[test]
fn pixels_outside_of_any_mask_stay_to_the_last_bit() {
    let mut numbers = Numbers(7);
    for _ in 0..200 {
        let (width, height) = (1 + numbers.below(40), 1 + numbers.below(40));
        let before = numbers.image(width, height);
        // Some are empty, some full, most have both; the rectangle may go beyond the picture.
        let density = numbers.below(12);
        let values = (0..width * height).map(|_| match numbers.below(10) < density {
            true => byte(numbers.below(256)),
            false => 0,
        });
        let mask = Mask::new(width, height, values.collect());
        let rect = Rect::new(
            numbers.below(width),
            numbers.below(height),
            1 + numbers.below(50),
            1 + numbers.below(50),
        );
        let part = numbers.image(rect.width, rect.height);
        let mut after = before.clone();
        after.put_back(&part, &mask.within(rect), rect, numbers.below(6));
        let mut changed = 0;
        for [x, y] in Rect::new(0, 0, width, height).pixels() {
            let is_same = after.pixel(x, y) == before.pixel(x, y);
            changed += usize::from(!is_same);
            assert!(
                is_same || (rect.contains(x, y) && mask.is_free(x, y)),
                "{x},{y} changed"
            );
        }
        let free = rect
            .pixels()
            .any(|[x, y]| x < width && y < height && mask.is_free(x, y));
        assert!(changed > 0 || !free || density < 3, "nothing was put back");
    }
}

/// The largest step between neighbours of which one is free and the other not.
fn largest_step_across(image: &Image, mask: &Mask) -> i32 {
    let whole = Rect::new(0, 0, image.width, image.height);
    let steps = whole.pixels().flat_map(|[x, y]| {
        let neighbours = [[x + 1, y], [x, y + 1]];
        neighbours.map(
            |[other_x, other_y]| match whole.contains(other_x, other_y) {
                true if mask.is_free(x, y) != mask.is_free(other_x, other_y) => {
                    let (one, other) = (image.pixel(x, y), image.pixel(other_x, other_y));
                    let steps = one
                        .into_iter()
                        .zip(other)
                        .map(|(a, b)| (i32::from(a) - i32::from(b)).abs());
                    steps.max().unwrap()
                }
                _ => 0,
            },
        )
    });
    steps.max().unwrap()
}

#[test]
fn no_seam_is_left_in_a_smooth_picture() {
    let mut numbers = Numbers(11);
    let (width, height) = (60, 50);
    let before = smooth(width, height);
    for feather_px in [0, 0, 0, 4] {
        let hole = Rect::new(
            numbers.below(30),
            numbers.below(20),
            5 + numbers.below(25),
            5 + numbers.below(25),
        );
        let mask = Mask::of_rect(width, height, hole);
        // As a VAE's: another brightness and contrast, drifting over the picture, and a little noise.
        let (gain, offset) = (80 + numbers.below(40), numbers.below(30));
        let pixels = before.pixels.iter().enumerate().map(|(i, value)| {
            let drift = i / (4 * width) / 5 + numbers.below(3);
            byte((usize::from(*value) * gain / 100 + offset + drift).min(255))
        });
        let part = Image::from_rgba(width, height, pixels.collect()).unwrap();
        let whole = Rect::new(0, 0, width, height);
        let mut after = before.clone();
        after.put_back(&part, &mask, whole, feather_px);
        // Neighbours of this picture differ by 2; noise and rounding of the part add 4 at most.
        let step = largest_step_across(&after, &mask);
        assert!(step <= 6, "a step of {step}");
        let mut pasted = before.clone();
        for [x, y] in hole.pixels() {
            let at = 4 * (y * width + x);
            pasted.pixels[at..at + 4].copy_from_slice(&part.pixel(x, y));
        }
        assert!(
            largest_step_across(&pasted, &mask) > 6,
            "the test could not fail"
        );
    }
}

#[test]
fn what_is_free_is_filled_in_from_around() {
    let before = smooth(40, 30);
    let mask = Mask::of_rect(40, 30, Rect::new(10, 8, 12, 9));
    let filled = before.coloured_in(&mask, [0, 0, 0]).filled_in(&mask);
    assert!(largest_step_across(&filled, &mask) <= 6);
    let far = filled.difference(&before).unwrap();
    assert!(far.max < 20 && far.differing_pixels <= 108, "{far}");
    let nothing_known = Mask::of_rect(40, 30, Rect::new(0, 0, 40, 30));
    assert_eq!(before.filled_in(&nothing_known).pixel(3, 3), [0, 0, 0, 255]);
}
