#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Words and universal tags of a CoNLL-U file, and words and the column of its own of a CoNLL-U Plus file, as
the package conllu 6 reads them: ranges and empty nodes left out. pip install conllu; make_conllu_goldens.py (writes tests/goldens/text/words.*)

The sentences are made up here: a word that is #, comments of every kind, a range, an empty node."""
import pathlib

import conllu

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "goldens" / "text"


def row(number, form, tag):
    return "\t".join([number, form, form.lower(), tag] + ["_"] * 6) + "\n"


TEXT = ("# newdoc id = made-up\n# sent_id = 1\n# text = Vamonos al mar # 1\n" +
        row("1-2", "Vamonos", "_") + row("1", "Vamos", "VERB") + row("2", "nos", "PRON") +
        row("3-4", "al", "_") + row("3", "a", "ADP") + row("4", "el", "DET") + row("5", "mar", "NOUN") +
        row("6", "#", "SYM") + row("7", "1", "NUM") + "\n" +
        "# sent_id = 2\n# text = # uno\n# a comment without a value\n" +
        row("1", "#", "SYM") + row("1.1", "hay", "VERB") + row("2", "uno", "NUM") + "\n" +
        "# newpar\n# sent_id = 3\n" + row("1", "New York", "PROPN") + "\n")


PLUS = ("# global.columns = ID PARSEME:MWE FORM UPOS MISC\n# newdoc id = made-up\n# sent_id = 1\n" +
        "1-2\t*\tVamonos\t_\t_\n1\t1:IRV\tVamos\tVERB\t_\n2\t1\tnos\tPRON\ta=b|c=d\n2.1\t*\thay\tVERB\t_\n" +
        "3\t2:VID;3:LVC\tNew York\tPROPN\t_\n\n# sent_id = 2\n1\t*\t#\tSYM\t_\n2\t*\t=\tSYM\tSpaceAfter=No\n\n")


def write(name, text, column):
    (FOLDER / name).write_text(text, encoding="utf-8")
    with open(FOLDER / name, encoding="utf-8") as source:
        sentences = list(conllu.parse_incr(source))
    lines = ["|".join("%s/%s" % (token["form"], token[column]) for token in sentence
                      if isinstance(token["id"], int)) for sentence in sentences]
    (FOLDER / name.replace(".", "_")).with_suffix(".txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    write("words.conllu", TEXT, "upos")
    write("words.conllup", PLUS, "parseme:mwe")


if __name__ == "__main__":
    main()
