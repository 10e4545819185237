//! Letters as dots, of eight by eight each.

use font8x8::legacy::{BASIC_LEGACY, GREEK_LEGACY, HIRAGANA_LEGACY, LATIN_LEGACY};

/// Dots of a letter on a side.
const LETTER: usize = 8;
/// Dots from one line to the next.
const LINE: usize = 10;
/// The largest letters, in pixels a dot.
const LARGEST_SCALE: usize = 4;
/// What stands for a letter that the font does not have: a box.
const UNKNOWN: [u8; LETTER] = [0x7E, 0x42, 0x42, 0x42, 0x42, 0x42, 0x7E, 0x00];
/// What a text that is cut ends in.
const DOTS: &str = "...";

/// Letters of one size.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lettering {
    /// Pixels of a dot's side.
    scale: usize,
}

impl Lettering {
    /// Letters that are so many times as large as the smallest, within reason.
    pub(super) fn scaled(times: usize) -> Self {
        Self {
            scale: times.clamp(1, LARGEST_SCALE),
        }
    }

    /// The width in pixels of so many letters.
    pub(super) fn width(self, letters: usize) -> usize {
        letters * LETTER * self.scale
    }

    /// The height in pixels of so many lines.
    pub(super) fn height(self, lines: usize) -> usize {
        lines * LINE * self.scale
    }

    /// A text in lines of at most so many pixels, broken at spaces where it can be; what does not fit
    /// into `most` lines is cut, and the last ends in dots.
    pub(super) fn lines(self, text: &str, width: usize, most: usize) -> Vec<String> {
        let letters = (width / (LETTER * self.scale)).max(1);
        let text: Vec<char> = text
            .chars()
            .map(|c| if c.is_whitespace() { ' ' } else { c })
            .take(letters.saturating_mul(most + 1)) // more than fits
            .collect();
        let mut lines: Vec<String> = Vec::new();
        let mut rest = text.as_slice();
        while !rest.is_empty() && lines.len() < most {
            let room = rest.len().min(letters);
            let space = rest[..room].iter().rposition(|c| *c == ' ');
            let end = match space {
                _ if room == rest.len() || rest[room] == ' ' => room,
                Some(space) if space > 0 => space,
                _ => room,
            };
            lines.push(rest[..end].iter().collect());
            rest = &rest[end..];
            while rest.first() == Some(&' ') {
                rest = &rest[1..];
            }
        }
        if let Some(last) = lines.last_mut().filter(|_| !rest.is_empty()) {
            let kept: Vec<char> = last
                .chars()
                .take(letters.saturating_sub(DOTS.len()))
                .collect();
            *last = kept.into_iter().chain(DOTS.chars()).collect();
        }
        lines
    }

    /// The pixels that lines of text are made of, as column and row.
    pub(super) fn dots(self, lines: &[String]) -> Vec<[usize; 2]> {
        let mut dots = Vec::new();
        for (line, text) in lines.iter().enumerate() {
            for (place, letter) in text.chars().enumerate() {
                for (y, bits) in glyph(letter).into_iter().enumerate() {
                    for x in (0..LETTER).filter(|x| bits >> x & 1 == 1) {
                        let column = self.width(place) + x * self.scale;
                        let row = self.height(line) + y * self.scale;
                        let square = (0..self.scale).flat_map(|down| {
                            (0..self.scale).map(move |right| [column + right, row + down])
                        });
                        dots.extend(square);
                    }
                }
            }
        }
        dots
    }
}

/// A letter's rows of dots from the top, the first dot in the lowest bit.
fn glyph(letter: char) -> [u8; LETTER] {
    let code = u32::from(letter);
    let tables: [(u32, &[[u8; LETTER]]); 4] = [
        (0x00, &BASIC_LEGACY),
        (0xA0, &LATIN_LEGACY),
        (0x390, &GREEK_LEGACY),
        (0x3040, &HIRAGANA_LEGACY),
    ];
    let found = tables.into_iter().find_map(|(first, table)| {
        let at = usize::try_from(code.checked_sub(first)?).ok()?;
        table.get(at).copied()
    });
    match found {
        Some(dots) if dots != [0; LETTER] || letter == ' ' => dots,
        _ => UNKNOWN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str, letters: usize) -> Vec<String> {
        Lettering::scaled(1).lines(text, letters * LETTER, 3)
    }

    #[test]
    fn lines_break_at_spaces_and_long_texts_end_in_dots() {
        assert_eq!(lines("a red fox", 20), ["a red fox"]);
        assert_eq!(lines("a red fox on a hill", 9), ["a red fox", "on a hill"]);
        assert_eq!(lines("abcdefghij", 4), ["abcd", "efgh", "ij"]);
        assert_eq!(lines("abcdefghijklmn", 4), ["abcd", "efgh", "i..."]);
        assert_eq!(lines(&"word ".repeat(2000), 9).len(), 3);
        assert_eq!(lines("", 9), [""; 0]);
        assert_eq!(lines("abc", 0), ["a", "b", "c"]);
    }

    #[test]
    fn letters_are_those_that_are_read() {
        // A capital L: its stem, and its foot in the last row but one.
        let l = glyph('L');
        assert!(
            l[0] & 0x0F != 0 && l[6].count_ones() > l[2].count_ones(),
            "{l:?}"
        );
        assert_eq!(glyph(' '), [0; LETTER]);
        for letter in ['狐', '🐈', '\u{202E}', '\u{301}', '\0', char::MAX] {
            assert_eq!(glyph(letter), UNKNOWN, "{letter:?}");
        }
        for letter in ['ü', 'Ω', 'の', '~'] {
            assert_ne!(glyph(letter), UNKNOWN, "{letter:?}");
        }
    }
}
