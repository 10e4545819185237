//! ComfyUI's weights (`comfy/sd1_clip.py`, `token_weights` and `parse_parentheses`).

use super::{MAX_NESTING, Piece, too_deep};

/// What a pair of brackets without a number multiplies by.
const STEP: f64 = 1.1;

/// Stand for escaped brackets while the others are read.
const ESCAPED: [(&str, &str, &str); 2] = [("\\)", "\0\u{1}", ")"), ("\\(", "\0\u{2}", "(")];

/// Text that is still to be split, or is of one weight.
enum Todo<'a> {
    Split(&'a str, f64, usize),
    Text(&'a str, f64),
}

/// Brackets that do not pair are text.
pub(super) fn parse(prompt: &str) -> Result<Vec<Piece>, String> {
    let mut escaped = prompt.to_owned();
    for (typed, stand_in, _) in ESCAPED {
        escaped = escaped.replace(typed, stand_in);
    }
    let mut pieces = Vec::new();
    let mut todo = vec![Todo::Split(&escaped, 1.0, 0)];
    while let Some(next) = todo.pop() {
        match next {
            Todo::Text(text, weight) => pieces.push(Piece::Text {
                text: unescaped(text),
                weight,
            }),
            Todo::Split(_, _, MAX_NESTING..) => return Err(too_deep()),
            Todo::Split(text, weight, depth) => {
                let parts = split_at_brackets(text).into_iter().rev();
                todo.extend(parts.map(|part| weighed(part, weight, depth)));
            }
        }
    }
    Ok(pieces)
}

/// What a part weighs: a number in brackets is the weight itself, whatever is around it.
fn weighed(part: &str, around: f64, depth: usize) -> Todo<'_> {
    let inner = part
        .strip_prefix('(')
        .and_then(|rest| rest.strip_suffix(')'));
    let Some(inner) = inner else {
        return Todo::Text(part, around);
    };
    let number = inner.rsplit_once(':').filter(|(text, _)| !text.is_empty());
    let number = number.and_then(|(text, number)| Some((text, number.trim().parse().ok()?)));
    let (text, weight) = number.unwrap_or((inner, around * STEP));
    Todo::Split(text, weight, depth + 1)
}

/// Parts in brackets, with these, and the parts between.
fn split_at_brackets(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut nesting) = (0, 0_i64);
    for (at, found) in text.char_indices() {
        let end = match found {
            '(' => {
                nesting += 1;
                (nesting == 1).then_some(at)
            }
            ')' => {
                nesting -= 1;
                (nesting == 0).then_some(at + 1)
            }
            _ => None,
        };
        if let Some(end) = end.filter(|&end| end > start) {
            parts.push(&text[start..end]);
            start = end;
        }
    }
    if start < text.len() {
        parts.push(&text[start..]);
    }
    parts
}

fn unescaped(text: &str) -> String {
    let mut plain = text.to_owned();
    for (_, stand_in, bracket) in ESCAPED {
        plain = plain.replace(stand_in, bracket);
    }
    plain
}
