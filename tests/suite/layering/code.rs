//! Rust's text taken apart as far as the rules need it: into words and signs, without comments, and
//! with what is compiled for tests told from the rest.

/// A word, a literal, `::`, or one other character; comments and spaces are none.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token<'t> {
    pub(super) text: &'t str,
    /// Its first byte.
    pub(super) at: usize,
}

pub(super) fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        let (length, counts) = match comment_length(rest) {
            Some(length) => (length, false),
            None => (token_length(rest), !c.is_whitespace()),
        };
        if counts {
            let text = &rest[..length];
            tokens.push(Token { text, at });
        }
        at += length;
    }
    tokens
}

fn comment_length(rest: &str) -> Option<usize> {
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    rest.starts_with("/*")
        .then(|| rest.find("*/").map_or(rest.len(), |end| end + 2))
}

fn token_length(rest: &str) -> usize {
    if let Some(length) = literal_length(rest) {
        return length;
    }
    let word = rest.find(|c: char| !is_word(c)).unwrap_or(rest.len());
    let first = rest.chars().next().map_or(1, char::len_utf8);
    if rest.starts_with("::") {
        2
    } else {
        word.max(first)
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// A text or character literal.
fn literal_length(rest: &str) -> Option<usize> {
    let raw = rest.trim_start_matches('b').strip_prefix('r');
    let quoted = raw
        .map(|raw| raw.trim_start_matches('#'))
        .filter(|quoted| quoted.starts_with('"'));
    if let (Some(raw), Some(quoted)) = (raw, quoted) {
        let end = format!("\"{}", &raw[..raw.len() - quoted.len()]);
        let start = rest.len() - quoted.len() + 1;
        return rest[start..]
            .find(&end)
            .map(|length| start + length + end.len());
    }
    let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let mut inside = rest.char_indices().skip(1);
    if quote == '\'' {
        // A lifetime has no second quote.
        let second = rest.chars().nth(2)?;
        if second != '\'' && !rest.starts_with("'\\") {
            return None;
        }
    }
    while let Some((at, c)) = inside.next() {
        if c == '\\' {
            inside.next();
        } else if c == quote {
            return Some(at + 1);
        }
    }
    None
}

/// Where `pattern`, a piece of code, stands in `code`.
pub(super) fn find(code: &[Token], pattern: &str) -> Vec<usize> {
    let pattern = tokens(pattern);
    let alike = |window: &[Token]| window.iter().zip(&pattern).all(|(a, b)| a.text == b.text);
    let windows = code.windows(pattern.len()).enumerate();
    windows
        .filter(|(_, window)| alike(window))
        .map(|(at, _)| at)
        .collect()
}

/// The code without what stands under `#[cfg(test)]`, and that: item by item.
pub(super) fn without_tests<'t>(code: &[Token<'t>]) -> (Vec<Token<'t>>, Vec<Vec<Token<'t>>>) {
    let (mut shipped, mut tests) = (Vec::new(), Vec::new());
    let mut done = 0;
    for mark in find(code, "#[cfg(test)]") {
        if mark >= done {
            shipped.extend_from_slice(&code[done..mark]);
            done = mark + item_length(&code[mark..]);
            tests.push(code[mark..done].to_vec());
        }
    }
    shipped.extend_from_slice(&code[done..]);
    (shipped, tests)
}

/// An item with its attributes: to its semicolon or the end of its block.
fn item_length(code: &[Token]) -> usize {
    let mut depth = 0;
    for (at, token) in code.iter().enumerate() {
        match token.text {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth -= 1,
            _ => {}
        }
        if depth == 0 && matches!(token.text, ";" | "}") {
            return at + 1;
        }
    }
    code.len()
}

/// The names that follow `path::` at a place: one, or those of a list.
pub(super) fn names_after<'t>(code: &[Token<'t>]) -> Vec<Token<'t>> {
    match code {
        [colons, brace, list @ ..] if colons.text == "::" && brace.text == "{" => {
            let (mut depth, mut names, mut starts) = (0, Vec::new(), true);
            for token in list {
                match token.text {
                    "}" if depth == 0 => break,
                    "}" => depth -= 1,
                    "{" => depth += 1,
                    _ if depth == 0 && starts => names.push(*token),
                    _ => {}
                }
                starts = token.text == ",";
            }
            names
        }
        [colons, name, ..] if colons.text == "::" => vec![*name],
        _ => Vec::new(),
    }
}
