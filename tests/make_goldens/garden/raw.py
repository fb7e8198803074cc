# SPDX-License-Identifier: Apache-2.0
"""Writes raw/: small inputs in the official layouts of every task of create_finetuning_data.py, of the made-up
sentences of texts.py. Labels are drawn by a fixed rule."""

import itertools
import json
import pathlib
import random

from texts import ENGLISH, HARD, OTHERS, VOCABULARIES, sentence, vocabulary

NLI = ["entailment", "neutral", "contradiction"]
XNLI = "ar bg de el en es fr hi ru sw th tr ur vi zh".split()
PAWS = "de en es fr ja ko zh".split()
PANX = (
    "ar he vi id jv ms tl eu ml ta te af nl en de el bn hi mr ur fa fr it pt es bg ru ja ka ko th sw yo my zh kk tr "
    "et fi hu"
).split()
UDPOS = "af ar bg de el en es et eu fa fi fr he hi hu id it ja kk ko mr nl pt ru ta te th tl tr ur vi yo zh".split()
TATOEBA = (
    "ar he vi id jv tl eu ml ta te af nl de el bn hi mr ur fa fr it pt es bg ru ja ka ko th sw zh kk tr et fi " "hu"
).split()
PANX_TAGS = "O B-PER I-PER B-LOC I-LOC B-ORG I-ORG".split()
UDPOS_TAGS = "ADJ ADP ADV AUX CCONJ DET INTJ NOUN NUM PART PRON PROPN PUNCT SCONJ SYM VERB X".split()
SPLITS = ("train", "dev", "test")
N, FEW = 7, 2


class Raw:
    def __init__(self, folder):
        self.folder, self.rng = pathlib.Path(folder), random.Random(14)
        self.texts = itertools.cycle(ENGLISH + HARD)
        self.number = itertools.count()

    def put(self, path, lines, end="\n"):
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(("\n".join(lines) + end).encode("utf-8"))

    def table(self, path, header, rows):
        self.put(path, ["\t".join(header)] * bool(header) + ["\t".join(row) for row in rows])

    def one(self, lang="en"):
        """A sentence; some begin with a quote, which a reader of tables must not take for one."""
        text = next(self.texts) if lang == "en" else sentence(lang, next(self.number))
        return '"' + text if self.rng.random() < 0.1 else text

    def glue(self):
        for split in SPLITS:
            is_test = split == "test"
            rows = [["mu%02d" % i, str(self.rng.randrange(2)), "" if i % 2 else "*", self.one()] for i in range(N)]
            self.table(
                f"CoLA/{split}.tsv",
                ["index", "sentence"] if is_test else [],
                [[str(i), row[3]] for i, row in enumerate(rows)] if is_test else rows,
            )
            self.table(
                f"SST-2/{split}.tsv",
                ["index" if is_test else "sentence", "sentence" if is_test else "label"],
                [[str(i), self.one()] if is_test else [self.one() + " ", str(i % 2)] for i in range(N)],
            )
            self.table(
                f"STS-B/{split}.tsv",
                "index genre filename year old_index source1 source2 sentence1 sentence2".split()
                + ["score"] * (not is_test),
                [
                    [str(i), "made-up", "none", "2026", "%04d" % i, "none", "none", self.one(), self.one()]
                    + ["%.3f" % self.rng.uniform(0, 5)] * (not is_test)
                    for i in range(N)
                ],
            )
            for task, columns, labels in (
                ("QNLI", ["question", "sentence"], ["entailment", "not_entailment"]),
                ("RTE", ["sentence1", "sentence2"], ["entailment", "not_entailment"]),
                ("WNLI", ["sentence1", "sentence2"], ["0", "1"]),
            ):
                self.table(
                    f"{task}/{split}.tsv",
                    ["index"] + columns + ["label"] * (not is_test),
                    [[str(i), self.one(), self.one()] + [self.rng.choice(labels)] * (not is_test) for i in range(N)],
                )
        self.table(
            "AX/AX.tsv", ["index", "sentence1", "sentence2"], [[str(i), self.one(), self.one()] for i in range(N)]
        )
        self.mrpc()
        self.mrpc_two_forms()
        self.mnli()
        self.qqp()

    def mrpc(self):
        header = "\ufeffQuality\t#1 ID\t#2 ID\t#1 String\t#2 String".split("\t")
        for split, n in (("train", 2 * N), ("test", N)):
            self.table(
                f"MRPC/msr_paraphrase_{split}.txt",
                header,
                [[str(i % 3 % 2), str(1000 + i), str(2000 + i), self.one(), self.one()] for i in range(n)],
            )
        self.table("MRPC/mrpc_dev_ids.tsv", [], [[str(1000 + i), str(2000 + i)] for i in range(0, 2 * N, 2)])

    def mrpc_two_forms(self):
        """The same rows as the original files and as the tables that were made of them."""
        source = self.folder / "MRPC"
        train, test, ids = [
            (source / name).read_text(encoding="utf-8").splitlines()
            for name in ("msr_paraphrase_train.txt", "msr_paraphrase_test.txt", "mrpc_dev_ids.tsv")
        ]
        is_dev = {line.split("\t")[0] for line in ids}
        folder = "../../mrpc_two_forms"
        self.put(f"{folder}/extra/msr_paraphrase_train.txt", train)
        self.put(f"{folder}/extra/msr_paraphrase_test.txt", test)
        self.put(f"{folder}/extra/dev_ids.tsv", ids)
        for split in ("train", "dev"):
            rows = [row for row in train[1:] if (row.split("\t")[1] in is_dev) == (split == "dev")]
            self.put(f"{folder}/{split}.tsv", train[:1] + rows)
        header = train[0].replace("\ufeffQuality", "index")
        self.put(
            f"{folder}/test.tsv", [header] + [f"{i}\t" + row.split("\t", 1)[1] for i, row in enumerate(test[1:])]
        )

    def mnli(self):
        columns = (
            "index promptID pairID genre sentence1_binary_parse sentence2_binary_parse sentence1_parse "
            "sentence2_parse sentence1 sentence2"
        ).split()
        files = [("train", 1)] + [(f"dev_{kind}", 5) for kind in ("matched", "mismatched")]
        files += [(f"test_{kind}", 0) for kind in ("matched", "mismatched")]
        for name, n_labels in files:
            rows = []
            for i in range(N):
                a, b, label = self.one(), self.one(), self.rng.choice(NLI)
                rows.append(
                    [
                        str(i),
                        str(100 + i),
                        "%dn" % i,
                        "made-up",
                        f"( {a} )",
                        f"( {b} )",
                        f"(ROOT {a})",
                        f"(ROOT {b})",
                        a,
                        b,
                    ]
                    + [label] * (n_labels + 1 if n_labels else 0)
                )
            labels = [f"label{k + 1}" for k in range(n_labels)] + ["gold_label"] * bool(n_labels)
            self.table(f"MNLI/{name}.tsv", columns + labels, rows)

    def qqp(self):
        for split in ("train", "dev"):
            rows = [[str(i), str(2 * i), str(2 * i + 1), self.one(), self.one(), str(i % 2)] for i in range(N)]
            rows[3] = rows[3][:4]  # a short row, as the real file has: it is dropped
            self.table(f"QQP/{split}.tsv", "id qid1 qid2 question1 question2 is_duplicate".split(), rows)
        self.table(
            "QQP/test.tsv", ["id", "question1", "question2"], [[str(i), self.one(), self.one()] for i in range(N)]
        )

    def json_lines(self, path, rows):
        self.put(path, [json.dumps(row) for row in rows])

    def superglue(self):
        for split in ("train", "val", "test"):
            has_label = split != "test"

            def row(i, a, b, label):
                return dict({a: self.one(), b: self.one(), "idx": i}, **({"label": label} if has_label else {}))

            self.json_lines(
                f"RTE/{split}.jsonl",
                [row(i, "premise", "hypothesis", ["entailment", "not_entailment"][i % 2]) for i in range(N)],
            )
            self.json_lines(f"CB/{split}.jsonl", [row(i, "premise", "hypothesis", NLI[i % 3]) for i in range(N)])
            self.json_lines(f"BoolQ/{split}.jsonl", [row(i, "question", "passage", i % 3 > 0) for i in range(N)])
        self.json_lines(
            "AX-g/AX-g.jsonl",
            [
                {
                    "premise": self.one(),
                    "hypothesis": self.one(),
                    "idx": i,
                    "pair_id": i,
                    "label": ["entailment", "not_entailment"][i % 2],
                }
                for i in range(N)
            ],
        )

    def across_languages(self):
        for lang in PAWS:
            for name in ("train" if lang == "en" else "translated_train", "dev_2k", "test_2k"):
                self.table(
                    f"PAWS-X/{lang}/{name}.tsv",
                    ["id", "sentence1", "sentence2", "label"],
                    [[str(i), self.one(lang), self.one(lang), str(i % 2)] for i in range(FEW)],
                )
        for lang in XNLI:
            self.table(
                f"XNLI/multinli/multinli.train.{lang}.tsv",
                ["premise", "hypo", "label"],
                [
                    [self.one(lang), self.one(lang), self.rng.choice(["entailment", "neutral", "contradictory"])]
                    for _ in range(FEW)
                ],
            )
        columns = (
            "language gold_label sentence1_binary_parse sentence2_binary_parse sentence1_parse sentence2_parse "
            "sentence1 sentence2 promptID pairID genre label1 label2 label3 label4 label5 sentence1_tokenized "
            "sentence2_tokenized match"
        ).split()
        for split in ("dev", "test"):
            rows = []
            for lang in XNLI:
                a, b, label = self.one(lang), self.one(lang), self.rng.choice(NLI)
                rows.append([lang, label, "", "", "", "", a, b, "1", "1", "made-up"] + [label] * 5 + [a, b, "True"])
            self.table(f"XNLI/xnli.{split}.tsv", columns, rows)
        for task, langs, labels in (("XTREME-XNLI", XNLI, NLI), ("XTREME-PAWS-X", PAWS, ["0", "1"])):
            self.xtreme(task, langs, labels)

    def xtreme(self, task, langs, labels):
        train = ["contradictory" if label == "contradiction" else label for label in labels]
        self.table(f"{task}/train-en.tsv", [], [[self.one(), self.one(), self.rng.choice(train)] for _ in range(N)])
        for lang in langs:
            self.table(f"{task}/dev-{lang}.tsv", [], [[self.one(lang), self.one(lang), self.rng.choice(labels)]])
            self.table(f"{task}/test-{lang}.tsv", [], [[self.one(lang), self.one(lang)]])
            self.table(
                f"{task}/translated/translate-train/en-{lang}-translated.tsv",
                [],
                [[self.one(), self.one(), self.one(lang), self.one(lang), self.rng.choice(labels)]],
            )
            if lang != "en":
                self.table(
                    f"{task}/translated/translate-test/test-{lang}-en-translated.tsv",
                    [],
                    [[self.one(lang), self.one(lang), self.one(), self.one(), self.rng.choice(labels)]],
                )

    def imdb(self):
        for split in ("train", "test"):
            for label in ("neg", "pos"):
                for i in range(FEW):
                    text = "<br /><br />".join(self.one() for _ in range(3))
                    text = text if i else "  \n" + text + "\r\nsecond line\n\n"
                    self.put(f"IMDB/{split}/{label}/{i}_{self.rng.randint(1, 10)}.txt", [text], "")
            self.put(f"IMDB/{split}/neg/notes.md", ["not a txt file"])

    def tagging(self):
        for task, langs, tags in (("panx", PANX, PANX_TAGS), ("udpos", UDPOS, UDPOS_TAGS)):
            for lang, split in itertools.product(langs, SPLITS):
                if task == "udpos" and split == "train" and lang in ("kk", "th", "tl", "yo"):
                    continue
                n = 0 if lang in ("sw", "yo") else 3 if lang == "en" else 1
                lines = []
                for _ in range(n):
                    lines += [
                        "\t".join([word] + [self.rng.choice(tags)] * (split != "test"))
                        for word in self.one(lang).split()
                    ] + [""]
                end = "\n\n" if lang == "ar" else f"last\t{tags[0]}" if lang == "de" and split != "test" else ""
                self.put(f"{task}/{split}-{lang}.tsv", lines, "\n" * bool(lines) + end)

    def retrieval(self):
        for lang in TATOEBA:
            for side in (lang, "en"):
                self.put(f"tatoeba/{lang}-en.{side}", [self.one(side) for _ in range(FEW)])
        for lang, split in itertools.product(("de", "fr", "ru", "zh"), ("dev", "test")):
            for side in (lang, "en"):
                self.table(
                    f"bucc/{lang}-en.{split}.{side}",
                    [],
                    [[f"{side}-{i:09d}", self.one(side)] for i in range(FEW + (side == "en"))],
                )

    def squad(self):
        story = " ".join(ENGLISH[:11])
        other = " ".join(ENGLISH[14:17]) + " " + " ".join(HARD)
        long = " ".join("w%d" % (i % 37) if i % 5 else "Tok%d." % i for i in range(120))

        def qa(number, question, context, *texts, **more):
            return dict(
                {
                    "id": f"q{number}",
                    "question": question,
                    "answers": [{"text": text, "answer_start": context.index(text)} for text in texts],
                },
                **more,
            )

        first = [
            qa(0, "How many loaves were sold?", story, "seven"),
            qa(1, "Where are the maps?", story, "in a drawer under the stairs"),
            qa(2, "What carried sheep?", story, "ferry", "The ferry"),
            qa(3, "Count?", story, "1,204"),
            qa(4, "A very long question " + "indeed " * 80 + "?", story, "clockmaker"),
            qa(5, "", story, "horn"),
        ]
        second = [
            qa(6, "What is blue?", other, "blue jar"),
            qa(7, "Price?", other, "$12.50"),
            qa(8, "Emoji?", other, "\U0001f600"),
            qa(9, "Han?", other, "\u4e2d"),
            qa(10, "Sharp s?", other, "Stra\u00dfe"),
            qa(11, "Dash?", other, "1887\u20131943"),
            qa(12, "No-break?", other, "x\u00a0y"),
            {"id": "q13", "question": "Wrong place?", "answers": [{"text": "honey", "answer_start": 3}]},
        ]
        third = [qa(14 + k, f"Where is token {n}?", long, f"Tok{n}") for k, n in enumerate((0, 50, 115))]
        paragraphs = [(story, first), (other, second), (long, third)]

        def data(rows, version):
            return {
                "version": version,
                "data": [
                    {"title": f"made-up {i}", "paragraphs": [{"context": context, "qas": qas}]}
                    for i, (context, qas) in enumerate(rows)
                ],
            }

        def unanswerable(rows, keeps_answers):
            return [
                (
                    context,
                    [
                        dict(q, is_impossible=i % 3 == 1, answers=q["answers"] if i % 3 != 1 or keeps_answers else [])
                        for i, q in enumerate(qas)
                    ],
                )
                for context, qas in rows
            ]

        one = [(context, [dict(q, answers=q["answers"][:1]) for q in qas]) for context, qas in paragraphs]
        found = [(context, [q for q in qas if q["id"] != "q13"]) for context, qas in paragraphs]
        for name, rows, version in (
            ("train_v1.1", one, "1.1"),
            ("train_v2.0", unanswerable(one, False), "v2.0"),
            (
                "edge_train_v1.1",
                one[1:] + [("", []), (" lead and trail ", [qa(90, "q", " lead and trail ", "lead")])],
                "edge",
            ),
            ("edge_train_v2.0", unanswerable(one[1:], True), "edge"),
            ("dev_v1.1", found[:2], "1.1"),
            ("dev_v2.0", unanswerable(found[:2], False), "v2.0"),
        ):
            self.put(f"squad/{name}.json", [json.dumps(data(rows, version), ensure_ascii=name.startswith("edge"))])


def make(folder):
    """folder/raw and folder/../vocab"""
    raw = Raw(pathlib.Path(folder) / "raw")
    for part in (raw.glue, raw.superglue, raw.across_languages, raw.imdb, raw.tagging, raw.retrieval, raw.squad):
        part()
    vocab = pathlib.Path(folder).parent / "vocab"
    vocab.mkdir(parents=True, exist_ok=True)
    for name, (lower, langs) in VOCABULARIES.items():
        (vocab / f"{name}.txt").write_text("\n".join(vocabulary(lower, langs)) + "\n", encoding="utf-8")
    assert set(OTHERS) <= {*XNLI, *PAWS, *PANX, *UDPOS}
