//! Syntax that means something elsewhere and would be drawn as words here.

use super::PromptStyle;
use crate::error::{Error, Result};

/// Extra networks of AUTOMATIC1111, with what they are.
const NETWORKS: [(&str, &str); 3] = [
    ("<lora:", "LoRA"),
    ("<lyco:", "LyCORIS"),
    ("<hypernet:", "hypernetworks"),
];

/// An open bracket.
struct Open {
    is_square: bool,
    has_bar: bool,
    /// Where its last colon is.
    colon: Option<usize>,
}

/// Refuses what would be mistaken for words.
///
/// # Errors
/// [`Error::Unsupported`] with the syntax that was found and what to do.
pub(super) fn check(style: PromptStyle, prompt: &str) -> Result<()> {
    let refuse = |what: &str| {
        Err(Error::Unsupported(format!(
            "{what} in prompts; remove it, or use --prompt-style plain to have it read as words"
        )))
    };
    for (tag, what) in NETWORKS {
        if prompt.contains(tag) {
            return refuse(&format!("{what} ({tag}…>)"));
        }
    }
    if style != PromptStyle::A1111 {
        return Ok(());
    }
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    if prompt.split(|c| !is_word(c)).any(|word| word == "AND") {
        return refuse("joining prompts by AND");
    }
    match edit(prompt) {
        Some(found) => refuse(found),
        None => Ok(()),
    }
}

/// What the first pair of square brackets changes between steps, if one does.
fn edit(prompt: &str) -> Option<&'static str> {
    let mut open: Vec<Open> = Vec::new();
    let mut is_escaped = false;
    for (at, found) in prompt.char_indices() {
        if std::mem::take(&mut is_escaped) {
            continue;
        }
        match found {
            '\\' => is_escaped = true,
            '(' | '[' => open.push(Open {
                is_square: found == '[',
                has_bar: false,
                colon: None,
            }),
            ')' => {
                open.pop_if(|open| !open.is_square);
            }
            ']' => {
                // Round brackets that are open in between are text.
                while open.pop_if(|open| !open.is_square).is_some() {}
                let closed = open.pop();
                if closed.as_ref().is_some_and(|closed| closed.has_bar) {
                    return Some("alternating words ([a|b])");
                }
                let when = closed.and_then(|closed| closed.colon);
                if when.is_some_and(|colon| is_number(&prompt[colon + 1..at])) {
                    return Some("changing words between steps ([from:to:when])");
                }
            }
            ':' => mark(&mut open, |open| open.colon = Some(at)),
            '|' => mark(&mut open, |open| open.has_bar = true),
            _ => (),
        }
    }
    None
}

fn mark(open: &mut [Open], mark: impl FnOnce(&mut Open)) {
    if let Some(last) = open.last_mut() {
        mark(last);
    }
}

fn is_number(text: &str) -> bool {
    let text = text.trim();
    text.starts_with(|c: char| c == '.' || c.is_ascii_digit()) && text.parse::<f64>().is_ok()
}
