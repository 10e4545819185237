//! AUTOMATIC1111's weights and breaks (`modules/prompt_parser.py`, `parse_prompt_attention`, 1.10).

use super::{MAX_NESTING, Piece, too_deep, whole_words};

/// What one pair of round brackets multiplies by; square ones divide.
const STEP: f64 = 1.1;

const BREAK: &str = "BREAK";

/// Characters that end a run of plain text.
const SYNTAX: [char; 6] = ['\\', '(', ')', '[', ']', ':'];

/// Brackets that are never closed weigh what follows them; those never opened are text.
pub(super) fn parse(prompt: &str) -> Result<Vec<Piece>, String> {
    let mut parser = Parser::default();
    let mut rest = prompt;
    while let Some(first) = rest.chars().next() {
        rest = parser.take(first, rest)?;
        if parser.round.len() + parser.square.len() > MAX_NESTING {
            return Err(too_deep());
        }
    }
    for start in std::mem::take(&mut parser.round) {
        parser.multiply(start, STEP);
    }
    for start in std::mem::take(&mut parser.square) {
        parser.multiply(start, 1.0 / STEP);
    }
    Ok(merged(parser.pieces))
}

/// Pieces so far, and the first piece in each bracket that is open.
#[derive(Default)]
struct Parser {
    pieces: Vec<Piece>,
    round: Vec<usize>,
    square: Vec<usize>,
}

impl Parser {
    /// Reads one word of the syntax, or text up to the next, and returns what follows.
    fn take<'a>(&mut self, first: char, rest: &'a str) -> Result<&'a str, String> {
        let tail = &rest[first.len_utf8()..];
        match first {
            '\\' => {
                let escaped = tail.chars().next().filter(|c| r"\()[]".contains(*c));
                let end = escaped.map_or(0, char::len_utf8);
                self.push(&tail[..end]);
                return Ok(&tail[end..]);
            }
            '(' => self.round.push(self.pieces.len()),
            '[' => self.square.push(self.pieces.len()),
            ')' => match self.round.pop() {
                Some(start) => self.multiply(start, STEP),
                None => self.push(")"),
            },
            ']' => match self.square.pop() {
                Some(start) => self.multiply(start, 1.0 / STEP),
                None => self.push("]"),
            },
            ':' => return self.take_colon(rest, tail),
            _ => {
                let end = rest.find(SYNTAX).unwrap_or(rest.len());
                self.take_text(&rest[..end]);
                return Ok(&rest[end..]);
            }
        }
        Ok(tail)
    }

    /// `:1.3)` closes a bracket; any other colon is text.
    fn take_colon<'a>(&mut self, rest: &'a str, tail: &'a str) -> Result<&'a str, String> {
        let Some((number, after)) = closing_weight(tail) else {
            self.push(":");
            return Ok(tail);
        };
        match self.round.pop() {
            Some(start) => {
                let weight = number.parse().map_err(|_| {
                    format!("has {number:?} for a weight; write a number, as in (word:1.3)")
                })?;
                self.multiply(start, weight);
            }
            None => self.push(&rest[..rest.len() - after.len()]),
        }
        Ok(after)
    }

    fn take_text(&mut self, text: &str) {
        for (n, part) in split_at_breaks(text).into_iter().enumerate() {
            if n > 0 {
                self.pieces.push(Piece::Break);
            }
            self.push(part);
        }
    }

    fn push(&mut self, text: &str) {
        if !text.is_empty() {
            self.pieces.push(Piece::Text {
                text: text.to_owned(),
                weight: 1.0,
            });
        }
    }

    fn multiply(&mut self, start: usize, by: f64) {
        for piece in &mut self.pieces[start..] {
            if let Piece::Text { weight, .. } = piece {
                *weight *= by;
            }
        }
    }
}

/// The number in `1.3)`, and what follows the bracket.
fn closing_weight(tail: &str) -> Option<(&str, &str)> {
    let trimmed = tail.trim_start();
    let digits = trimmed.strip_prefix(['+', '-']).unwrap_or(trimmed);
    let after = digits.trim_start_matches(|c: char| c == '.' || c.is_ascii_digit());
    let number = &trimmed[..trimmed.len() - after.len()];
    let after_bracket = after.trim_start().strip_prefix(')')?;
    (after.len() < digits.len()).then_some((number, after_bracket))
}

/// The text between words `BREAK`, without the white space around those.
fn split_at_breaks(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut start = 0;
    for at in whole_words(text, BREAK) {
        parts.push(text[start..at].trim_end());
        start = text.len() - text[at + BREAK.len()..].trim_start().len();
    }
    parts.push(&text[start..]);
    parts
}

/// Joins neighbours of the same weight, which are tokenised as one.
fn merged(pieces: Vec<Piece>) -> Vec<Piece> {
    let mut joined: Vec<Piece> = Vec::new();
    for piece in pieces {
        if let (
            Some(Piece::Text { text, weight }),
            Piece::Text {
                text: next,
                weight: same,
            },
        ) = (joined.last_mut(), &piece)
            && weight == same
        {
            text.push_str(next);
        } else {
            joined.push(piece);
        }
    }
    joined
}
