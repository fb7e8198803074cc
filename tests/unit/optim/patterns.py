#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Patterns of variable names mean what Python's re.search says: a table and random patterns.

Each pattern is searched in each name by pattern_program (src/optim/pattern*.c) and by this Python's
re. What one refuses the other must refuse, with the same words at the same position; what both
take must be found in the same names. usage: patterns.py PROGRAM [N_RANDOM [SEED]]
"""
import os
import random
import re
import signal
import subprocess
import sys
import warnings

NAMES = [
    "", "bias:0", "transformer/layer_0/output/bias:0", "transformer/layer_11/self_attention/query/kernel:0",
    "word_embeddings/embeddings:0", "layer_norm/gamma:0", "LayerNorm/beta:0", "bert/encoder/LayerNorm",
    "a", "ab", "aab", "abab", "abcabc", "aaaa", "A", "B:0", "x\n", "x\ny", "\n", "a b", "1a", "a1", "_", "-", "a-b",
    "a.b", "a+b", "{", "a{2}", "a{,3}", "]", "^", "$", "\u00e9", "\u00c9t\u00e9", "\u0663", "\u4e2d\u6587", "\x1c", "\x85", "\u00a0",
    "\u180e", "\U0001F600", "stra\u00dfe", "\t", "foo/bar", "foo\\bar", "()", "a|b", "#", "a #b", "0", "07", "\x07", "\x00x"[1:], "s", "S", "k",
]

TABLE = r"""
bias|Bias|^bias|bias:0$|bias$|layer_\d/out|layer_[\d]/\w+/b|layer\s|(?:kernel|bias):|o.t.*?s|[^/]{4}:0|u{2,}|layer_0\.
LayerNorm|layer_norm|beta|gamma||(a)|(a)(b)\2|(a)\1|(?P<x>a)(?P=x)|(?P<x>a)b(?P=x)b|(?P<n1>ab)\1|\Aa|a\Z|a\z|x$|x\Z|^y|(?m)^y|(?m)x$|(?m)^$
(?s)x.y|x.y|(?i)LAYER|(?i:LAYER)norm|(?-i:a)|(?i)(?-i:A)|(?i-s:A)|(?x) a b |(?x)a # c|(?x) a\ b|(?x)[ ]|(?x: a ) b|(?a)\w|(?a)\d|\d|\w|\W|\s|\S|\D|(?a)\W
(?a)\s|(?a)\b|\b\w|\B|\ba|a\b|(?u)\w|(?L)a|(?au)a|(?a)(?u)a|(?a:\w)|(?u:\w)|(?ai)k|a(?i)|(?i)(?m)a|(?#c)(?i)A|(?#c)a|(?#c|a(?#c)*|a*(?#c)*|(?=a)|(?!a)|(?<=a)b|(?<!a)b
(?<=a*)b|(?<=a|ab)b|(?<=ab|cd)a|(?<=(a))b|(?<=(a)\1)b|(a)(?<=\1)b|(?<=a{2})b|(?<=a{1,2})b|(?<=(?=a))a|(?<=(?i:A))b|(?!)|(?=)|(?:)|()|(?>a+)b|a++b|a*+a|a?+a|a{1,2}+a
a**|a*?|a*??|a+*|a{2}{3}|a{2}?|*a|+|?|{|}|a{|a{}|a{,}|a{,2}b|a{2|a{x}|{2}|a{2,1}|a{2,x}|a{70000}|^*|$+|\b*|\A?|(^)*|(?=a)*|(?:^)*|(|)|(a|a)|(a))|[|[]|[]]|[^]]|[a|[]a]
[a-|[a-]|[-a]|[a-z]|[z-a]|[\d-a]|[a-\d]|[a\-z]|[\]]|[\b]|[\A]|[\Z]|[\w]|[\W]|[^\W]|[\Wa]|[^\Wa]|[\W\d]|[^\W\d]|[\s\S]|[^\s\S]|[\D]|[^\D]|[(?a)\w]|(?a)[\W]|(?a)[^\W_]|[[:alpha:]]|[\x41-\x43]
[a&&b]|[a||b]|[a--b]|[é]|[à-ü]|é|(?i)É|\x41|\x4|\x|\u00e9|\u00e|\U0001F600|\U00110000|\N{DIGIT ONE}|\0|\07|\08|\1|\01|\012|\123|\400|\377|\8|\9|(a)\10|(a)\1\1|[\1]|[\8]|[\400]
\a|\f|\n|\r|\t|\v|\e|\g|\h|\H|\R|\X|\K|\Q|\E|\G|\p{L}|\P{L}|\c|\C|\o|\k|\i|\y|\_|\/|\.|\:|\-|\#|\\|\é|(?P<n>a|(?P<n>)|(?P<>a)|(?P<1n>a)|(?P<n-m>a)|(?P<n>a)(?P<n>b)|(?P=n)|(?P=)|(?P>n)|(?P|(?Pn
(?|(?*)|(?%)|(?<n>a)|(?<|(?'n'a)|(?|(?R)|(?1)|(?&n)|(*FAIL)|(?C)|(a)?(?(1)b|a)|(a)?(?(1)b)|(?P<n>a)?(?(n)b|c)|(?(1)a|b)|(?(2)a|b)(c)|(?(0)a)|(?(n)a)|(a)(?(1)a|b|c)|(?()a)|(?(1a)b)|(?(1)(a)|b)
(?i|(?i-|(?i-:a)|(?-:a)|(?-s|(?i-i:a)|(?-u:a)|(?-a:a)|(?z)|(?iz)|(?i1)|(?i:|(?:|(?=|(?P<n>|((((((a))))))|(a|b)*c|(?:a|b)*?c|(a*)*|(a*)+|(?:a?)*b|(a|)*b|.*|.+?a|\Aa*\Z|(.)\1|(..)\1|(?i)(a)\1
(?x)(?#c)a|(?x)a{2 }|(?x)a {2}|(?x)(? :a)|(?x)#c|(?ix)A #c|[^a]|[^\n]|[.]|.\b.|\w\b|(?s).|(?s:.)\Z|^$|^\Z|\A\Z|a.?b|(?<!^)a|(?<=^)a|(?<=\b)a|(?<=\n)y|(?<![\w])a|(?<=(?:ab){2})|(?<=a(?#c))b
"""


def table():
    return [p for line in TABLE.strip().split("\n") for p in line.split("|")] + [
        "a|b", "(a|b)", "a||b", "|a", "a|", "(?:a|)", "(?<=a|b)b", "(?<=a|ab)b", "(?i)a|B", "(?:a|b|)c", "(|a)+b",
        "(a)|b\\1", "(?(1)a|b)", "(a)?(?(1)b|c)", "(?(1)a|b|c)", "^a|b$", "(?s)a|.", "[a|b]", "a\\|b", "(a)?(?(1)(?:b|c)|d)",
        "(?x)a\n# comment | with ( things\n|b", "\ta", "a\nb", "(?x)\ta\n", "\x07", "bias\n", "(" * 101 + ")" * 101,
        "(?:" * 101 + ")" * 101, "()" * 99 + "\\99", "()" * 101, "a" * 1000, "\ud7ff", "\U0010ffff"]


ATOMS = ["a", "b", "A", "é", "1", "_", "\\n", ".", "\\d", "\\D", "\\w", "\\W", "\\s", "\\S", "\\b", "\\B", "^", "$", "\\A", "\\Z",
         "[ab]", "[^ab]", "[a-c]", "[\\w-]", "[\\W1]", "[^\\Wa]", "[\\d_]", "[^\\n]", "\\1", "\\2", "(?P=g)", "/", ":0", "-", "\\x61",
         "\\u00e9", "\\.", "{", "}", "]", "layer", "#", " ", "\\07", "[\\b]", "\\", "[", "(?i)", "(?m)", "(?#c)"]
QUANTIFIERS = ["", "", "", "", "*", "+", "?", "*?", "+?", "??", "{2}", "{1,2}", "{,2}", "{1,}", "{2}?", "*+", "?+", "{,}", "{2,1}", "**"]
OPENINGS = ["(", "(", "(?:", "(?P<g>", "(?=", "(?!", "(?<=", "(?<!", "(?>", "(?i:", "(?s:", "(?-i:", "(?x:", "(?a:", "(?(1)", "(?m-s:"]


def make(rng, depth=0):
    out = []
    for _ in range(rng.randint(0, 4)):
        if depth < 3 and rng.random() < 0.3:
            piece = rng.choice(OPENINGS) + make(rng, depth + 1) + (")" if rng.random() < 0.97 else "")
        else:
            piece = rng.choice(ATOMS)
        out.append(piece + rng.choice(QUANTIFIERS))
        if rng.random() < 0.12:
            out.append("|")
    return "".join(out)


class TooLong(BaseException):
    """Python has no bound of its own."""


def stop_search(*_):
    raise TooLong


def python_answer(pattern, names):
    """An exception, a list of found or not, or None where Python takes more than a second."""
    try:
        compiled = re.compile(pattern)
    except (re.error, OverflowError, RecursionError, ValueError) as problem:
        return problem
    signal.setitimer(signal.ITIMER_REAL, 1)
    try:
        return [compiled.search(name) is not None for name in names]
    except TooLong:
        return None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def ask(program, rows):
    text = "".join(f"{p.encode().hex() or '-'} {n.encode().hex() or '-'}\n" for p, n in rows)
    done = subprocess.run([program], input=text, capture_output=True, text=True, timeout=600, check=True)
    return done.stdout.splitlines()


# what is refused here and not there, each on purpose (pattern_syntax.c, docs/deviations.md)
ONLY_HERE = re.compile(r"\\N\{name\} is not supported|above 65535|more than (500|100) groups|takes more than|"
                       r"lookbehind assertion is not fixed length")  # (?<=(?:){2}?): PCRE2 wants it plainly empty
# Python's words that are not repeated letter by letter
LOOSE = {"bad escape", "unterminated", "lookbehind", "look-behind", "ASCII and UNICODE"}


def same_refusal(ours, problem):
    if not isinstance(problem, re.error) or problem.pos is None:
        return True
    if problem.msg == "bad escape (end of pattern)":
        return True  # Python looks one token ahead, and says this before what is wrong earlier
    if f" at position {problem.pos} " not in ours:
        return False
    return problem.msg.split("'")[0] in ours or any(word in problem.msg for word in LOOSE)


def check(program, patterns):
    rows = [(p, n) for p in patterns for n in NAMES]
    answers = ask(program, rows)
    wrong = []
    counts = {"taken": 0, "refused": 0, "left out": 0, "searches": 0}
    for i, pattern in enumerate(patterns):
        ours = answers[i * len(NAMES):(i + 1) * len(NAMES)]
        want = python_answer(pattern, NAMES)
        if isinstance(want, Exception):
            counts["refused"] += 1
            if not all(a.startswith("E CONFIG") or a.startswith("E config") for a in ours):
                wrong.append(f"{pattern!r}: Python refuses it ({want}), here: {ours[0]}")
            elif not same_refusal(ours[0], want):
                wrong.append(f"{pattern!r}: Python says '{want}', here: {ours[0]}")
            continue
        if want is None or any(ONLY_HERE.search(a) for a in ours):
            counts["left out"] += 1
            continue
        counts["taken"] += 1
        counts["searches"] += len(NAMES)
        for name, a, w in zip(NAMES, ours, want):
            if "(?a:" in pattern and not name.isprintable():
                continue  # CPython looks for the first character with the outer flags: (?a:\\S) misses \\x1c
            if a != str(int(w)):
                wrong.append(f"{pattern!r} in {name!r}: Python {w}, here {a}")
                break
    return wrong, counts


def check_bounds(program):
    """What takes for ever ends with a sentence, and is never 'not found'."""
    wrong = []
    for pattern, name in [("(a+)+$", "a" * 60 + "b"), ("(a|aa)+$", "a" * 90 + "b"), ("(a+a+)+[yz]", "a" * 60)]:
        answer = ask(program, [(pattern, name)])[0]
        if not answer.startswith("E ") or "takes more than" not in answer:
            wrong.append(f"{pattern!r}: expected the sentence of the bound, got {answer}")
    return wrong


def main():
    warnings.simplefilter("ignore")
    if sys.version_info < (3, 11):
        print("SKIPPED: Python 3.11's re is the yardstick")
        return 77
    signal.signal(signal.SIGALRM, stop_search)
    program = sys.argv[1]
    n_random = int(sys.argv[2]) if len(sys.argv) > 2 else (60000 if os.environ.get("BT_LONG_TESTS") else 1500)
    rng = random.Random(int(sys.argv[3]) if len(sys.argv) > 3 else 11)
    wrong, counts = check(program, table())
    print("table:", counts)
    wrong += check_bounds(program)
    more, counts = check(program, [make(rng) for _ in range(n_random)])
    print("random:", counts)
    wrong += more
    for line in wrong[:40]:
        print("WRONG:", line)
    print(f"{len(wrong)} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
