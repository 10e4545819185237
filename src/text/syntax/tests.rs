use super::*;

fn pieces(style: PromptStyle, prompt: &str) -> Vec<(String, f64)> {
    let parsed = parse(style, "prompt", prompt).unwrap().into_iter();
    let pieces = parsed.map(|piece| match piece {
        Piece::Text { text, weight } => (text, weight),
        Piece::Break => ("<BREAK>".into(), -1.0),
    });
    pieces.collect()
}

fn assert_pieces(style: PromptStyle, prompt: &str, want: &[(&str, f64)]) {
    let got = pieces(style, prompt);
    assert_eq!(got.len(), want.len(), "{prompt}: {got:?}");
    for ((text, weight), (want_text, want_weight)) in got.iter().zip(want) {
        assert_eq!(text, want_text, "{prompt}");
        // The order of the factors may differ in the last bits.
        assert!((weight - want_weight).abs() < 1e-12, "{prompt}: {text}");
    }
}

fn refusal(style: PromptStyle, prompt: &str) -> String {
    parse(style, "prompt", prompt).unwrap_err().to_string()
}

/// The doctests of `parse_prompt_attention` in A1111's `modules/prompt_parser.py` (1.10.1), but for
/// the order of factors.
#[test]
fn a1111s_weights_are_those_of_its_doctests() {
    let cases: [(&str, &[(&str, f64)]); 6] = [
        ("normal text", &[("normal text", 1.0)]),
        (
            "an (important) word",
            &[("an ", 1.0), ("important", 1.1), (" word", 1.0)],
        ),
        ("(unbalanced", &[("unbalanced", 1.1)]),
        (r"\(literal\]", &[("(literal]", 1.0)]),
        ("(unnecessary)(parens)", &[("unnecessaryparens", 1.1)]),
        (
            "a (((house:1.3)) [on] a (hill:0.5), sun, (((sky))).",
            &[
                ("a ", 1.0),
                ("house", 1.573),
                (" ", 1.1),
                ("on", 1.0),
                (" a ", 1.1),
                ("hill", 0.55),
                (", sun, ", 1.1),
                ("sky", 1.4641),
                (".", 1.1),
            ],
        ),
    ];
    for (prompt, want) in cases {
        assert_pieces(PromptStyle::A1111, prompt, want);
    }
}

#[test]
fn a1111s_breaks_stand_alone_and_take_the_space_around_them() {
    assert_pieces(
        PromptStyle::A1111,
        "a cat BREAK a dog",
        &[("a cat", 1.0), ("<BREAK>", -1.0), ("a dog", 1.0)],
    );
    assert_pieces(PromptStyle::A1111, "BREAKFAST", &[("BREAKFAST", 1.0)]);
}

#[test]
fn a1111s_brackets_that_were_never_opened_are_text() {
    assert_pieces(PromptStyle::A1111, "a:1.2) b]", &[("a:1.2) b]", 1.0)]);
    assert_pieces(PromptStyle::A1111, r"a\\b \", &[(r"a\b ", 1.0)]);
    // Its regular expression for weights knows no exponents.
    assert_pieces(PromptStyle::A1111, "(a:1e9)", &[("a:1e9", 1.1)]);
    assert_pieces(PromptStyle::A1111, "(a : -0.5 )", &[("a ", -0.5)]);
}

/// What ComfyUI's `token_weights` does: a number replaces the weight around it.
#[test]
fn comfys_numbers_are_weights_and_its_brackets_factors() {
    let cases: [(&str, &[(&str, f64)]); 7] = [
        ("a (b) c", &[("a ", 1.0), ("b", 1.1), (" c", 1.0)]),
        ("((b:1.3))", &[("b", 1.3)]),
        ("(a (b:1.2):0.5)", &[("a ", 0.5), ("b", 1.2)]),
        ("(a ((b)):2)", &[("a ", 2.0), ("b", 2.42)]),
        ("[a] BREAK", &[("[a] BREAK", 1.0)]),
        (r"\(a\) (b\):1.5)", &[("(a) ", 1.0), ("b)", 1.5)]),
        ("(unbalanced", &[("(unbalanced", 1.0)]),
    ];
    for (prompt, want) in cases {
        assert_pieces(PromptStyle::Comfy, prompt, want);
    }
}

#[test]
fn plain_prompts_have_no_syntax() {
    let typed = r"(a:1.3) [b|c] \( BREAK AND <lora:x:1>";
    assert_pieces(PromptStyle::Plain, typed, &[(typed, 1.0)]);
}

#[test]
fn weights_beyond_all_sense_are_refused() {
    for (style, prompt) in [
        (PromptStyle::A1111, "(a:1000000000)"),
        (PromptStyle::A1111, "((a:99):99)"),
        (PromptStyle::A1111, "(a:1.2.3)"),
        (PromptStyle::A1111, "(a:.)"),
        (PromptStyle::Comfy, "(a:1e9)"),
        (PromptStyle::Comfy, "(a:nan)"),
        (PromptStyle::Comfy, "(a:-inf)"),
    ] {
        let reason = refusal(style, prompt);
        assert!(reason.contains("weight"), "{prompt}: {reason}");
    }
}

#[test]
fn brackets_by_the_thousand_end_in_bounded_time() {
    let started = std::time::Instant::now();
    for style in [PromptStyle::A1111, PromptStyle::Comfy] {
        for prompt in [
            "(".repeat(65536),
            "[".repeat(65536),
            ")]".repeat(32768),
            "(a".repeat(32768),
            format!("{}a{}", "(".repeat(32768), ")".repeat(32768)),
            "(a)(b:1.2)".repeat(6553),
            "a:".repeat(32768),
            "[(".repeat(32768) + &"])".repeat(32768),
        ] {
            if let Err(error) = parse(style, "prompt", &prompt) {
                assert!(error.to_string().contains("brackets"), "{error}");
            }
        }
    }
    assert!(started.elapsed() < std::time::Duration::from_secs(20));
}

#[test]
fn extra_networks_are_not_drawn_as_words() {
    for style in [PromptStyle::A1111, PromptStyle::Comfy] {
        assert!(refusal(style, "a cat <lora:style:0.8>").contains("LoRA"));
        assert!(refusal(style, "<hypernet:x>").contains("hypernetworks"));
    }
}
