use super::*;

/// Steps of the runs below, unless it says otherwise.
const STEPS: usize = 10;

/// The texts of a run as A1111's own tests write them: each with the last step at which it is read,
/// neighbours that are the same taken together.
fn schedule(prompt: &str) -> Vec<(usize, String)> {
    let edits = Edits::parse(prompt);
    let mut texts: Vec<(usize, String)> = Vec::new();
    for step in 1..=STEPS {
        let text = edits.text_at(step, STEPS);
        match texts.last_mut() {
            Some((end, same)) if *same == text => *end = step,
            _ => texts.push((step, text)),
        }
    }
    texts
}

fn assert_schedule(prompt: &str, want: &[(usize, &str)]) {
    let got = schedule(prompt);
    let got: Vec<(usize, &str)> = got.iter().map(|(end, text)| (*end, &**text)).collect();
    assert_eq!(got, want, "{prompt}");
}

/// The doctests of `get_learned_conditioning_prompt_schedules` in `modules/prompt_parser.py`.
#[test]
fn words_change_at_the_steps_of_a1111s_doctests() {
    assert_schedule("test", &[(10, "test")]);
    assert_schedule("a [b:3]", &[(3, "a "), (10, "a b")]);
    assert_schedule("a [b: 3]", &[(3, "a "), (10, "a b")]);
    assert_schedule("a [[[b]]:2]", &[(2, "a "), (10, "a [[b]]")]);
    assert_schedule("[(a:2):3]", &[(3, ""), (10, "(a:2)")]);
    assert_schedule("a [b : c : 1] d", &[(1, "a b  d"), (10, "a  c  d")]);
    assert_schedule("a[b:[c:d:2]:1]e", &[(1, "abe"), (2, "ace"), (10, "ade")]);
    assert_schedule("a [unbalanced", &[(10, "a [unbalanced")]);
    assert_schedule("a [b:.5] c", &[(5, "a  c"), (10, "a b c")]);
    assert_schedule("((a][:b:c [d:3]", &[(3, "((a][:b:c "), (10, "((a][:b:c d")]);
}

#[test]
fn alternatives_take_turns() {
    let turns = |prompt| {
        let edits = Edits::parse(prompt);
        (1..=5)
            .map(move |step| edits.text_at(step, STEPS))
            .collect::<Vec<_>>()
    };
    assert_eq!(turns("[a|(b:1.1)]"), ["a", "(b:1.1)", "a", "(b:1.1)", "a"]);
    assert_eq!(
        turns("[fe|]male"),
        ["female", "male", "female", "male", "female"]
    );
    assert_eq!(
        turns("[fe|||]male"),
        ["female", "male", "male", "male", "female"]
    );
    assert_eq!(turns("[|a]"), ["", "a", "", "a", ""]);
    assert_eq!(turns("[[a|b]:c:2]"), ["a", "b", "c", "c", "c"]);
    assert_eq!(turns(r"[a|b\]c]"), ["a", r"b\]c", "a", r"b\]c", "a"]);
}

/// Recorded from a parser made by lark 1.3.1 of that program's grammar (1.10.1).
#[test]
fn what_is_no_change_stays_as_it_was_typed() {
    for prompt in [
        "",
        "[x] [3] (a:1.2)",
        "[a:b:c:3]",
        "[a|b:3]",
        "[(a|b):3]",
        "[a:(b:c:d):2]",
        "[a:b:3",
        "[a: b:3:4]",
        "[a:b:.]",
        "[a|(b|c)]",
        "(a|b)",
        "a | b [c:3]",
        "[a:b:inf]",
        "[a:b:2] \\",
    ] {
        assert_schedule(prompt, &[(10, prompt)]);
        assert!(Edits::parse(prompt).is_constant(), "{prompt}");
    }
    assert_schedule(r"\[a:b:3] [c:2]", &[(2, r"\[a:b:3] "), (10, r"\[a:b:3] c")]);
    assert_schedule("(x:[a:b:3])", &[(3, "(x:a)"), (10, "(x:b)")]);
    assert_schedule("x] [b:3]", &[(3, "x] "), (10, "x] b")]);
    assert_schedule("[a [b] c:3]", &[(3, ""), (10, "a [b] c")]);
    assert_schedule("((a) [b:2]", &[(2, "((a) "), (10, "((a) b")]);
    assert_schedule("[a:(b:c):2]", &[(2, "a"), (10, "(b:c)")]);
    assert_schedule("a\n[b\nc:2]", &[(2, "a\n"), (10, "a\nb\nc")]);
}

#[test]
fn numbers_with_a_point_are_shares_and_others_steps() {
    assert_schedule("[a:b:+3]", &[(3, "a"), (10, "b")]);
    assert_schedule("[a::3]", &[(3, "a"), (10, "")]);
    for (prompt, want) in [
        ("[a:b:-1]", "b"),
        ("[a:b:0]", "b"),
        ("[a:b:0.05]", "b"),
        ("[a:b:20]", "a"),
        ("[a:b:1e1]", "a"),
        ("[a:b:2.]", "a"),
        ("[a:b:1.0]", "a"),
    ] {
        assert_schedule(prompt, &[(10, want)]);
    }
}

#[test]
fn the_first_two_evaluations_see_the_same() {
    let edits = Edits::parse("[a|b]");
    let seen: Vec<String> = (0..4)
        .map(|evaluation| edits.text_at(evaluation, 4))
        .collect();
    assert_eq!(seen, ["a", "a", "b", "a"]);
}

#[test]
fn brackets_by_the_thousand_end_in_bounded_time() {
    let started = std::time::Instant::now();
    for prompt in [
        "[".repeat(65536),
        "[(".repeat(32768),
        "[a".repeat(32768),
        "[a|".repeat(21845),
        "[a:b:".repeat(13107),
        "[x][y:3]".repeat(8192),
        format!("{}a{}", "[".repeat(32768), ":3]".repeat(10922)),
        "[a:b:c:d]".repeat(7281),
        format!("{}{}", "[".repeat(60), "(a)".repeat(21800)),
    ] {
        Edits::parse(&prompt).text_at(3, STEPS);
    }
    // A tenth of a second on two quiet cores.
    assert!(started.elapsed() < std::time::Duration::from_secs(20));
}
