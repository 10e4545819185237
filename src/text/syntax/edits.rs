//! AUTOMATIC1111's prompts that change from step to step: `[from:to:when]` and `[one|another]`
//! (`modules/prompt_parser.py`, `get_learned_conditioning_prompt_schedules`, 1.10).

use super::MAX_NESTING;

/// A prompt whose words may change from step to step.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Edits {
    nodes: Vec<Node>,
}

#[derive(Clone, Debug, PartialEq)]
enum Node {
    Text(String),
    Change {
        before: Vec<Node>,
        after: Vec<Node>,
        when: When,
    },
    Alternate(Vec<Vec<Node>>),
}

/// The last step of what stands before a change.
#[derive(Clone, Copy, Debug, PartialEq)]
enum When {
    Step(f64),
    /// A share of all steps: what was typed with a point.
    Share(f64),
}

impl When {
    /// A number between white space, as the grammar has it; exponents belong to it, infinity does
    /// not.
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
        if !digits.starts_with(|c: char| c == '.' || c.is_ascii_digit()) {
            return None;
        }
        let number = text.parse().ok()?;
        Some(if text.contains('.') {
            Self::Share(number)
        } else {
            Self::Step(number)
        })
    }

    /// The step, counted from 1.
    fn step(self, steps: usize) -> f64 {
        match self {
            Self::Step(step) => step.trunc(),
            Self::Share(share) => (share * steps as f64).trunc(),
        }
    }
}

impl Edits {
    /// Reads a prompt. Brackets and colons that belong to no change stay as they are; so does all of
    /// a prompt with a bar outside of alternatives, as there. Time grows with the prompt's length,
    /// times [`MAX_NESTING`] at most.
    pub(crate) fn parse(prompt: &str) -> Self {
        let nodes = top_level(prompt).unwrap_or_else(|| vec![Node::Text(prompt.to_owned())]);
        Self { nodes }
    }

    /// A prompt that is the same at every step.
    pub(crate) fn none(prompt: &str) -> Self {
        Self {
            nodes: vec![Node::Text(prompt.to_owned())],
        }
    }

    /// Whether the prompt changes at all.
    pub(crate) fn is_constant(&self) -> bool {
        self.nodes.iter().all(|node| matches!(node, Node::Text(_)))
    }

    /// The text for an evaluation of the network, counted from 0, of `evaluations`. The first two see
    /// the same, since what changes after step n does so before evaluation n + 1 there.
    pub(crate) fn text_at(&self, evaluation: usize, evaluations: usize) -> String {
        let steps = evaluations.max(1);
        let mut text = String::new();
        write(&mut text, &self.nodes, evaluation.clamp(1, steps), steps);
        text
    }
}

/// Appends what the nodes say at a step, counted from 1.
fn write(text: &mut String, nodes: &[Node], step: usize, steps: usize) {
    for node in nodes {
        match node {
            Node::Text(plain) => text.push_str(plain),
            Node::Change {
                before,
                after,
                when,
            } => {
                let is_before = step as f64 <= when.step(steps);
                write(text, if is_before { before } else { after }, step, steps);
            }
            Node::Alternate(options) => {
                write(text, &options[(step - 1) % options.len()], step, steps);
            }
        }
    }
}

/// All of a prompt; `None` if it is to be left as it is.
fn top_level(prompt: &str) -> Option<Vec<Node>> {
    let mut nodes = Vec::new();
    let mut rest = prompt;
    while let Some(first) = rest.chars().next() {
        let (node, after) = match first {
            '|' => return None,
            '(' | '[' => group(rest, 0).unwrap_or_else(|| stray(rest)),
            ')' | ']' | ':' => stray(rest),
            _ => plain(rest)?,
        };
        push(&mut nodes, node);
        rest = after;
    }
    Some(nodes)
}

/// A mark that belongs to nothing, and what follows it.
fn stray(rest: &str) -> (Vec<Node>, &str) {
    let (mark, after) = rest.split_at(1);
    (vec![Node::Text(mark.to_owned())], after)
}

/// Text without marks, and what follows it; `None` at a backslash that escapes nothing.
fn plain(rest: &str) -> Option<(Vec<Node>, &str)> {
    let mut end = 0;
    let mut chars = rest.char_indices();
    while let Some((at, next)) = chars.next() {
        end = at;
        match next {
            '(' | ')' | '[' | ']' | ':' | '|' => break,
            '\\' => {
                chars.next()?;
            }
            _ => (),
        }
        end = chars.offset();
    }
    let (text, after) = rest.split_at(end);
    Some((vec![Node::Text(text.to_owned())], after))
}

/// What stands between two marks of a group.
struct Field<'a> {
    nodes: Vec<Node>,
    typed: &'a str,
}

/// A pair of brackets with what is in it, and what follows; `None` if they do not pair or hold
/// something else.
fn group(rest: &str, depth: usize) -> Option<(Vec<Node>, &str)> {
    let is_square = rest.starts_with('[');
    let mut fields = Vec::new();
    let mut marks = Vec::new();
    let mut inside = &rest[1..];
    loop {
        let (nodes, after) = field(inside, depth + 1)?;
        let typed = &inside[..inside.len() - after.len()];
        fields.push(Field { nodes, typed });
        let mark = after.chars().next()?;
        let closing = if is_square { ']' } else { ')' };
        inside = &after[1..];
        match mark {
            ':' => marks.push(mark),
            '|' if is_square => marks.push(mark),
            _ if mark == closing => break,
            _ => return None,
        }
    }
    Some((meaning(is_square, fields, &marks)?, inside))
}

/// The nodes up to the next mark of a group, and what follows them.
fn field(mut rest: &str, depth: usize) -> Option<(Vec<Node>, &str)> {
    if depth > MAX_NESTING {
        return None;
    }
    let mut nodes = Vec::new();
    while let Some(first) = rest.chars().next() {
        let (node, after) = match first {
            ')' | ']' | ':' | '|' => break,
            '(' | '[' => group(rest, depth)?,
            _ => plain(rest)?,
        };
        push(&mut nodes, node);
        rest = after;
    }
    Some((nodes, rest))
}

/// What a pair of brackets means, by the marks between its fields.
fn meaning(is_square: bool, mut fields: Vec<Field<'_>>, marks: &[char]) -> Option<Vec<Node>> {
    match marks {
        ['|', ..] if marks.iter().all(|mark| *mark == '|') => {
            let options = fields.into_iter().map(|field| field.nodes);
            Some(vec![Node::Alternate(options.collect())])
        }
        [':'] | [':', ':'] if is_square => {
            let when = When::parse(fields.pop()?.typed)?;
            let after = fields.pop()?.nodes;
            let before = fields.pop().map(|field| field.nodes).unwrap_or_default();
            Some(vec![Node::Change {
                before,
                after,
                when,
            }])
        }
        [] | [':'] => Some(emphasis(is_square, fields)),
        _ => None,
    }
}

/// Brackets that change nothing, around what may: `(a:[b:c:3])`.
fn emphasis(is_square: bool, fields: Vec<Field<'_>>) -> Vec<Node> {
    let (open, close) = if is_square { ("[", "]") } else { ("(", ")") };
    let mut nodes = vec![Node::Text(open.to_owned())];
    for (n, field) in fields.into_iter().enumerate() {
        if n > 0 {
            push(&mut nodes, vec![Node::Text(":".to_owned())]);
        }
        push(&mut nodes, field.nodes);
    }
    push(&mut nodes, vec![Node::Text(close.to_owned())]);
    nodes
}

/// Appends nodes, joining texts.
fn push(nodes: &mut Vec<Node>, more: Vec<Node>) {
    for node in more {
        match (nodes.last_mut(), node) {
            (Some(Node::Text(text)), Node::Text(next)) => text.push_str(&next),
            (_, node) => nodes.push(node),
        }
    }
}

#[cfg(test)]
#[path = "edits_tests.rs"]
mod tests;
