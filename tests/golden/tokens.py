"""Writes data/tokens.json: token ids by transformers' CLIPTokenizer, for src/text.

    python tests/golden/tokens.py

Recorded with transformers 5.23.0 and tokenizers as it brings them. The vocabularies are built from
the merges in src/text/clip_merges.txt.gz, as vocab.json and merges.txt: all of CLIP's (49408) as in
Stable Diffusion 1.x, the demo model's (3072), and CLIP's with `!` as padding as in Stable
Diffusion 2. With an argument, the demo model's tokenizer folder is compared with the second.
"""

import gzip
import json
import pathlib
import sys
import tempfile

import transformers
from transformers import CLIPTokenizer

HERE = pathlib.Path(__file__).parent
MERGES = HERE.parent.parent / "src/text/clip_merges.txt.gz"

PROMPTS = [
    "",
    " ",
    "a red apple",
    "A photograph of an astronaut riding a horse, highly detailed, 8k",
    "a fox on a dark green background",
    "  leading,   inner\tand\ntrailing\r\n whitespace  ",
    "no-break\u00a0space, ideographic\u3000space, zero\u200bwidth, thin\u2009space",
    "it's what they're; I'd've, we'll, don't, I'm 'she's' IT'S WE'LL",
    "don\u2019t use curly \u2018quotes\u2019 \u201cor\u201d dashes \u2014 \u2013",
    "1234567890 3.14159 1,000,000 2nd 3D 50% \u00bd \u00b2 \u2167 \u0664\u0662",
    "((masterpiece)), [worst quality:1.4], {curly}, <lora:thing:0.8>, a|b, c_d, e\\f",
    "UPPER lower MiXeD \u00dcBER STRASSE stra\u00dfe \u1e9e \u0130stanbul \u01c5",
    "caf\u00e9 cafe\u0301 na\u00efve nai\u0308ve \u212bngstr\u00f6m A\u030angstro\u0308m",
    "zalgo z\u0335\u0321a\u0337\u0322l\u0336\u0300g\u0334\u0328o\u0338\u0301",
    "\u5bcc\u58eb\u5c71\u3068\u685c\u3001\u6d6e\u4e16\u7d75",
    "\u0627\u0644\u0642\u0637 \u0639\u0644\u0649 \u0627\u0644\u0633\u0637\u062d",
    "\u05d7\u05ea\u05d5\u05dc \u05e2\u05dc \u05d2\u05d2 (\u202eright to left\u202c)",
    "\u043a\u043e\u0448\u043a\u0430 \u043d\u0430 \u043a\u0440\u044b\u0448\u0435",
    "\u0939\u093f\u0928\u094d\u0926\u0940 \u0e20\u0e32\u0e29\u0e32\u0e44\u0e17\u0e22 \ud55c\uad6d\uc5b4 \u1112\u1161\u11ab",
    "\U0001f98a",
    "a \U0001f98a and a \U0001f680 \U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466 \U0001f1e9\U0001f1ea \U0001f44d\U0001f3fd \u2764\ufe0f",
    "nul\u0000in the middle, bell\u0007, escape\u001b[31m, delete\u007f, c1\u0085next",
    "bom\ufeffmark, replacement\ufffd, noncharacter\uffff, private\ue000, last\U0010ffff",
    "<|endoftext|>",
    "before <|endoftext|> after <|startoftext|> end",
    "<|ENDOFTEXT|> < |endoftext| > <|endoftext|",
    "&amp; &lt;b&gt; &quot;html&quot; &#39;entities&#39; &nbsp; <br/>",
    "https://example.com/a?b=c&d=e#f user@example.com #hashtag @mention",
    "hello!!! what?!?! ... \u2026 -- == ++ ~~~ ^^ `` $$",
    "!",
    "wow! such ! spaces !! here",
    "\ufb01ne \ufb02ow \uff21\uff22\uff23 \uff11\uff12\uff13 \u2460 \u2122 \u00a9 \u00ae",
    "\U0001d504\U0001d52f\U0001d51e\U0001d528\U0001d531\U0001d532\U0001d52f math letters \u2211\u222b\u221a\u2260",
    "pneumonoultramicroscopicsilicovolcanoconiosis supercalifragilisticexpialidocious",
    "a" * 300,
    "ab" * 200 + " end",
    "snake_case CamelCase kebab-case dot.case path/to/file C++ C# .NET",
    "a/b/c 16:9 4k@60fps f/1.8 iso-100 1/250s 35mm",
    " ".join(["word"] * 75),
    " ".join(["word"] * 76),
    "a lighthouse in a storm, aquatint print, " * 20,
    "\U0001f98a" * 40,
    "\u1f0d\u03a3\u03a3\u03a3 \u039f\u0394\u039f\u03a3 \u03c3\u03c2 final sigma",
    "\u0149 \u01f0 \u1e96 \ufb13 one to many",
    "\u0344\u0958\u2adc composition exclusions \u1100\u1161\u11a8",
]


def byte_chars():
    """The characters of the 256 bytes in vocabulary order (CLIP's simple_tokenizer.bytes_to_unicode)."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    return [chr(b) for b in printable] + [chr(256 + n) for n in range(256 - len(printable))]


def tokenizer(vocab_size, pad_token):
    merges = gzip.open(MERGES, "rt", encoding="utf-8").read().splitlines()[: vocab_size - 514]
    tokens = byte_chars()
    tokens += [c + "</w>" for c in tokens] + ["".join(m.split()) for m in merges] + ["<|startoftext|>", "<|endoftext|>"]
    assert len(set(tokens)) == vocab_size
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "vocab.json").write_text(json.dumps({t: i for i, t in enumerate(tokens)}))
        (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n", encoding="utf-8")
        return CLIPTokenizer.from_pretrained(folder, pad_token=pad_token, model_max_length=77)


def ids(tokenizer):
    encoded = tokenizer(PROMPTS, padding="max_length", truncation=True, max_length=77)
    return encoded.input_ids


def main():
    cases = [
        {"vocab_size": size, "pad_token": pad, "ids": ids(tokenizer(size, pad))}
        for size, pad in ((49408, "<|endoftext|>"), (3072, "<|endoftext|>"), (49408, "!"))
    ]
    if len(sys.argv) > 1:
        assert ids(CLIPTokenizer.from_pretrained(sys.argv[1])) == cases[1]["ids"]
        print("the folder's ids are the same")
    with open(HERE / "data/tokens.json", "w") as out:
        out.write('{"transformers": %s,\n"prompts": %s,\n"cases": [\n' % (json.dumps(transformers.__version__), json.dumps(PROMPTS)))
        out.write(",\n".join(json.dumps(case, separators=(",", ":")) for case in cases) + "\n]}\n")


main()
