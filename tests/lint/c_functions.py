# SPDX-License-Identifier: Apache-2.0
"""Functions of a C file: where they begin and end, their names, and how hard they are to follow.

No compiler: comments, strings and preprocessor lines are blanked, the rest is read as tokens. That is
enough for code that clang-format has laid out.
"""
import collections
import re

Function = collections.namedtuple("Function", "name line n_lines complexity is_static")
Prototype = collections.namedtuple("Prototype", "name line is_static")

DEAD = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|^[ \t]*#(?:\\\n|[^\n])*',
                  re.DOTALL | re.MULTILINE)
TOKEN = re.compile(r"\w+|&&|\|\||[^\s\w]")
LOOPS = {"for", "while", "do", "switch"}
# `if (...)` with a name of ours
LOOP_MACROS = re.compile(r"[a-z_]*foreach|[A-Z_]*FOR_EACH\w*")
KEYWORDS = {"if", "for", "while", "switch", "return", "sizeof", "_Alignof", "_Static_assert", "_Generic",
            "__attribute__", "defined", "_Alignas"}


def blank(match):
    text = match.group(0)
    return re.sub(r"[^\n]", "x" if text[0] in "\"'" else " ", text)


def tokens_of(text):
    """[(token, line)] of what is code; a string is one word."""
    code = DEAD.sub(blank, text)
    found, line, at = [], 1, 0
    for match in TOKEN.finditer(code):
        line += code.count("\n", at, match.start())
        at = match.start()
        found.append((match.group(0), line))
    return found


def closing(tokens, at):
    """Where the bracket that opens at `at` closes."""
    pairs = {"(": ")", "{": "}", "[": "]"}
    opens, closes = tokens[at][0], pairs[tokens[at][0]]
    depth = 0
    for i in range(at, len(tokens)):
        if tokens[i][0] == opens:
            depth += 1
        elif tokens[i][0] == closes:
            depth -= 1
            if depth == 0:
                return i
    return len(tokens) - 1


def complexity(tokens, name=""):
    """Cognitive complexity (G. A. Campbell, SonarSource) of a body: one for each break of the straight
    line (if, else, loops, switch, ?:, goto, a run of one of && and ||, recursion), and for if, loops,
    switch and ?: one more for each level that they are nested in."""
    total = 0
    ends = []  # where the bodies that nest end: (index of the last token, kind)
    last_logic = {}  # depth of brackets: the operator that a run goes on with
    depth = 0
    i = 0
    while i < len(tokens):
        token = tokens[i][0]
        while ends and ends[-1] < i:
            ends.pop()
        nesting = len(ends)
        if token in "([{":
            depth += 1
        elif token in ")]}":
            last_logic.pop(depth, None)
            depth -= 1
        elif token in (";", ",", "?", ":"):
            last_logic.pop(depth, None)
        if token in ("&&", "||"):
            total += last_logic.get(depth) != token
            last_logic[depth] = token
        elif token == "?":
            total += 1 + nesting
        elif token == "goto" or (token == name and name and tokens[i + 1:i + 2] and tokens[i + 1][0] == "("):
            total += 1
        elif token == "else":
            total += 1
            if tokens[i + 1][0] == "if":
                ends.append(statement_end(tokens, i + 1))
                i += 1
            else:
                ends.append(statement_end(tokens, i + 1))
        elif token == "if" or token in LOOPS or LOOP_MACROS.fullmatch(token):
            if not (token == "while" and is_do_while(tokens, i)):
                total += 1 + nesting
                ends.append(statement_end(tokens, i))
        i += 1
    return total


def is_do_while(tokens, at):
    if at == 0 or tokens[at - 1][0] != "}":
        return False
    depth, i = 0, at - 1
    while i >= 0:
        depth += tokens[i][0] == "}"
        depth -= tokens[i][0] == "{"
        if depth == 0:
            return i > 0 and tokens[i - 1][0] == "do"
        i -= 1
    return False


def statement_end(tokens, at):
    """The last token of the statement that begins at `at`, less the else of an if."""
    token = tokens[at][0]
    if token == "{":
        return closing(tokens, at)
    if token == "do":
        return statement_end(tokens, at + 1)
    if token in ("if", "for", "while", "switch") or LOOP_MACROS.fullmatch(token):
        i = at + 1
        while tokens[i][0] != "(":
            i += 1
        return statement_end(tokens, closing(tokens, i) + 1)
    while at < len(tokens) - 1 and tokens[at][0] != ";":
        at = closing(tokens, at) if tokens[at][0] in "([{" else at
        at += 1
    return at


def top_level(text):
    """(head, body): slices of tokens of each definition or declaration at file level; body is None for
    those that end with a semicolon."""
    tokens = tokens_of(text)
    begin, i = 0, 0
    while i < len(tokens):
        token = tokens[i][0]
        if token == ";":
            yield tokens[begin:i], None
            begin = i + 1
        elif token == "{":
            end = closing(tokens, i)
            if i > begin and tokens[i - 1][0] == ")":
                yield tokens[begin:i], tokens[i:end + 1]
                begin = end + 1
            i = end
        elif token in "([":
            i = closing(tokens, i)
        i += 1


def name_of(head):
    """The name that a head declares as a function, or None."""
    words = [t for t, _ in head]
    if not words or words[0] in ("typedef", "_Static_assert", "}") or "=" in words:
        return None
    i = 0
    while i < len(head):
        if words[i] == "(" and i > 0:
            if re.fullmatch(r"[A-Za-z_]\w*", words[i - 1]) and words[i - 1] not in KEYWORDS:
                end = closing(head, i)
                if i >= 2 and (end == len(head) - 1 or words[end + 1] in ("__attribute__",) or
                               words[end + 1].isupper()):
                    return words[i - 1]
            i = closing(head, i)
        i += 1
    return None


def table_lines(body):
    """How many lines of a body are tables: what is in `static const ... = {...};`."""
    n_lines, i = 0, 0
    while i < len(body) - 1:
        if body[i][0] == "static" and body[i + 1][0] == "const":
            while body[i][0] not in ("=", ";"):
                i = closing(body, i) + 1 if body[i][0] in "([{" else i + 1
            if body[i][0] == "=" and body[i + 1][0] == "{":
                end = closing(body, i + 1)
                n_lines += body[end][1] - body[i + 1][1]
                i = end
        i += 1
    return n_lines


def functions_of(text):
    """[Function] of what a file defines; the lines of tables do not count."""
    found = []
    for head, body in top_level(text):
        name = name_of(head) if body else None
        if name:
            first, last = head[0][1], body[-1][1]
            found.append(Function(name, first, last - first + 1 - table_lines(body), complexity(body, name),
                                  "static" in [t for t, _ in head]))
    return found


def prototypes_of(text):
    """[Prototype] of what a header declares or defines as functions."""
    found = []
    for head, _ in top_level(text):
        name = name_of(head)
        if name:
            found.append(Prototype(name, head[0][1], "static" in [t for t, _ in head]))
    return found
