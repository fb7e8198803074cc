#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes data/train.tsv and data/dev.tsv: short reviews, label 1 where the writer is content.

What a sentence says hangs on how its words combine: half of the judgements are negated, and where
two judgements stand against each other the main clause, or the later time, counts. So each
adjective and each connective occurs with both labels about equally often. Deterministic.
usage: make_sample_data.py [--out=FOLDER] [--check]   (--check writes nothing: it compares the files
with what would be written and measures how far single words and bags of words get)
"""
import argparse
import math
import pathlib
import random
import sys

SEED = 20240517
N_TRAIN, N_DEV = 2000, 500
DEV_ONLY = ("dentist", "kettle")  # things that no training sentence speaks of

# thing reviewed: [(aspect, is plural, [(good, bad), ...]), ...]
DOMAINS = {
    "restaurant": [
        ("soup", 0, [("tasty", "bland"), ("hot", "lukewarm"), ("delicious", "awful")]),
        ("bread", 0, [("fresh", "stale"), ("crisp", "soggy")]),
        ("waiter", 0, [("friendly", "rude"), ("attentive", "careless"), ("polite", "arrogant")]),
        ("dining room", 0, [("cosy", "gloomy"), ("clean", "dirty"), ("inviting", "shabby")]),
        ("desserts", 1, [("delicious", "disgusting"), ("generous", "stingy")]),
        ("vegetables", 1, [("fresh", "mushy"), ("tender", "tough")]),
        ("bill", 0, [("fair", "outrageous"), ("reasonable", "excessive")]),
    ],
    "hotel": [
        ("room", 0, [("clean", "filthy"), ("quiet", "noisy"), ("spacious", "cramped")]),
        ("bed", 0, [("comfortable", "lumpy"), ("soft", "creaky")]),
        ("staff", 0, [("helpful", "rude"), ("welcoming", "grumpy")]),
        ("breakfast", 0, [("generous", "meagre"), ("excellent", "dreadful")]),
        ("bathroom", 0, [("spotless", "mouldy"), ("modern", "shabby")]),
        ("towels", 1, [("soft", "scratchy"), ("clean", "dirty")]),
        ("view", 0, [("beautiful", "depressing"), ("lovely", "ugly")]),
    ],
    "phone": [
        ("screen", 0, [("sharp", "blurry"), ("bright", "dim")]),
        ("battery", 0, [("reliable", "weak"), ("durable", "feeble")]),
        ("camera", 0, [("excellent", "poor"), ("quick", "sluggish")]),
        ("speakers", 1, [("clear", "tinny"), ("pleasant", "harsh")]),
        ("menus", 1, [("simple", "confusing"), ("tidy", "cluttered")]),
        ("case", 0, [("sturdy", "flimsy"), ("elegant", "ugly")]),
    ],
    "book": [
        ("plot", 0, [("gripping", "dull"), ("original", "predictable")]),
        ("characters", 1, [("believable", "lifeless"), ("charming", "tiresome")]),
        ("ending", 0, [("satisfying", "disappointing"), ("moving", "silly")]),
        ("dialogue", 0, [("witty", "wooden"), ("lively", "tedious")]),
        ("translation", 0, [("elegant", "clumsy"), ("careful", "sloppy")]),
        ("chapters about the war", 1, [("fascinating", "boring"), ("accurate", "misleading")]),
    ],
    "film": [
        ("acting", 0, [("convincing", "stiff"), ("superb", "terrible")]),
        ("music", 0, [("beautiful", "irritating"), ("subtle", "intrusive")]),
        ("jokes", 1, [("funny", "tasteless"), ("clever", "stupid")]),
        ("story", 0, [("original", "predictable"), ("exciting", "tedious")]),
        ("effects", 1, [("impressive", "cheap"), ("stunning", "laughable")]),
        ("first half", 0, [("brilliant", "boring"), ("gripping", "slow")]),
    ],
    "course": [
        ("teacher", 0, [("patient", "arrogant"), ("inspiring", "boring")]),
        ("lessons", 1, [("clear", "confusing"), ("lively", "dull")]),
        ("exercises", 1, [("useful", "pointless"), ("instructive", "useless")]),
        ("classroom", 0, [("bright", "stuffy"), ("comfortable", "cramped")]),
        ("exam", 0, [("fair", "unjust"), ("sensible", "absurd")]),
        ("textbook", 0, [("excellent", "useless"), ("helpful", "misleading")]),
    ],
    "bicycle": [
        ("brakes", 1, [("reliable", "dangerous"), ("strong", "weak")]),
        ("saddle", 0, [("comfortable", "painful"), ("sturdy", "wobbly")]),
        ("frame", 0, [("solid", "rickety"), ("light", "clumsy")]),
        ("gears", 1, [("smooth", "jerky"), ("precise", "sloppy")]),
        ("lights", 1, [("bright", "feeble"), ("dependable", "faulty")]),
        ("paint", 0, [("flawless", "scratched"), ("beautiful", "ugly")]),
    ],
    "train journey": [
        ("seats", 1, [("comfortable", "hard"), ("clean", "grubby")]),
        ("conductor", 0, [("friendly", "grumpy"), ("helpful", "impolite")]),
        ("carriage", 0, [("quiet", "noisy"), ("spacious", "overcrowded")]),
        ("connection", 0, [("punctual", "late"), ("convenient", "awkward")]),
        ("coffee", 0, [("strong", "watery"), ("good", "horrible")]),
        ("announcements", 1, [("clear", "garbled"), ("informative", "misleading")]),
    ],
    "program": [
        ("installation", 0, [("easy", "painful"), ("quick", "endless")]),
        ("updates", 1, [("useful", "annoying"), ("smooth", "disastrous")]),
        ("manual", 0, [("helpful", "useless"), ("clear", "incomprehensible")]),
        ("search function", 0, [("fast", "sluggish"), ("precise", "unreliable")]),
        ("support team", 0, [("competent", "clueless"), ("quick", "slow")]),
        ("error messages", 1, [("helpful", "cryptic"), ("polite", "insulting")]),
    ],
    "museum": [
        ("guide", 0, [("knowledgeable", "ignorant"), ("entertaining", "monotonous")]),
        ("exhibits", 1, [("fascinating", "dusty"), ("splendid", "dreary")]),
        ("shop", 0, [("charming", "tacky"), ("affordable", "overpriced")]),
        ("signs", 1, [("informative", "misleading"), ("readable", "illegible")]),
        ("new wing", 0, [("magnificent", "hideous"), ("airy", "stuffy")]),
        ("tickets", 1, [("cheap", "overpriced"), ("affordable", "expensive")]),
    ],
    "kettle": [
        ("handle", 0, [("sturdy", "loose"), ("comfortable", "slippery")]),
        ("lid", 0, [("tight", "leaky"), ("practical", "awkward")]),
        ("instructions", 1, [("clear", "baffling"), ("helpful", "useless")]),
        ("design", 0, [("elegant", "ugly"), ("clever", "foolish")]),
        ("cord", 0, [("safe", "dangerous"), ("solid", "frayed")]),
    ],
    "dentist": [
        ("receptionist", 0, [("kind", "unfriendly"), ("efficient", "chaotic")]),
        ("treatment", 0, [("gentle", "painful"), ("thorough", "sloppy")]),
        ("waiting room", 0, [("pleasant", "stuffy"), ("tidy", "messy")]),
        ("explanations", 1, [("clear", "vague"), ("reassuring", "frightening")]),
        ("advice", 0, [("sensible", "worthless"), ("honest", "dishonest")]),
    ],
}
PLACES = {"restaurant": "at this restaurant", "hotel": "at this hotel", "phone": "on this phone",
          "book": "in this book", "film": "in this film", "course": "on this course",
          "bicycle": "on this bicycle", "train journey": "on this train",
          "program": "in this program", "museum": "at this museum", "kettle": "on this kettle",
          "dentist": "at this dentist's"}
# what one says of the whole thing: (content, not content)
WHOLE = [
    ("I would choose it again", "I would look for another one"),
    ("it was worth the money", "it was a waste of money"),
    ("it kept what was promised", "it broke every promise"),
    ("we left in high spirits", "we left in a bad mood"),
    ("I told my friends to try it", "I told my friends to stay away"),
    ("it made my week", "it spoiled my week"),
    ("it deserved its good name", "it deserved its bad name"),
    ("we enjoyed every minute", "we regretted every minute"),
]
INTENSE = ["", "", "", "very ", "really ", "quite ", "truly ", "remarkably "]
OPENERS = ["", "", "", "", "Last spring ", "During our visit ", "On the whole ", "Frankly, ",
           "As far as I could tell ", "In my experience ", "This time ", "That weekend "]
NEGATORS = ["not {a}", "never {a}", "anything but {a}", "far from {a}", "hardly {a}",
            "by no means {a}", "not at all {a}", "not in the least {a}"]
NEGATED_FRAMES = ["nobody could call the {x} {a}", "I would not call the {x} {a}",
                  "there was nothing {a} about the {x}", "it would be wrong to call the {x} {a}",
                  "I cannot say that the {x} {was} {a}"]
PLAIN_FRAMES = ["everybody called the {x} {a}", "I would call the {x} {a}",
                "there was something {a} about the {x}", "it would be right to call the {x} {a}",
                "I must say that the {x} {was} {a}"]
BUT = ["{0}, but {1}", "{0}, yet {1}", "{0}; however, {1}", "{0}; all the same, {1}"]
ALTHOUGH_FIRST = ["although {0}, {1}", "even though {0}, {1}", "granted that {0}, {1}",
                  "while some say that {0}, {1}"]
ALTHOUGH_LAST = ["{1}, although {0}", "{1}, even though {0}", "{1}, no matter that {0}"]
TIME = ["at first {0}, but by the end {1}", "years ago {0}; nowadays {1}",
        "the brochure claimed that {0}; in truth {1}", "{0} in the morning, but later on {1}"]
AND = ["{0} and {1}", "{0}, and what is more, {1}", "{0}; besides, {1}"]


def judge(rng, domain, content, avoid=None):
    """A clause that is content (or not) with one aspect; half of them by a negation."""
    aspects = [a for a in DOMAINS[domain] if a[0] != avoid]
    name, plural, pairs = rng.choice(aspects)
    good, bad = rng.choice(pairs)
    was = "were" if plural else "was"
    negated = rng.random() < 0.45
    adjective = good if content != negated else bad
    if rng.random() < 0.25:
        frame = rng.choice(NEGATED_FRAMES if negated else PLAIN_FRAMES)
        return frame.format(x=name, a=adjective, was=was), name
    if negated:
        return f"the {name} {was} {rng.choice(NEGATORS).format(a=adjective)}", name
    return f"the {name} {was} {rng.choice(INTENSE)}{adjective}", name


def clause(rng, domain, content, avoid=None):
    if rng.random() < 0.12:
        return WHOLE[rng.randrange(len(WHOLE))][0 if content else 1], None
    return judge(rng, domain, content, avoid)


def combine(rng, domain, content):
    """Two clauses; the frame says which of them counts. Also: may an opener stand before it?"""
    kind = rng.random()
    if kind < 0.25:
        first, frame = content, rng.choice(AND)
    elif kind < 0.55:
        first, frame = not content, rng.choice(BUT)
    elif kind < 0.70:
        first, frame = not content, rng.choice(ALTHOUGH_FIRST)
    elif kind < 0.85:
        first, frame = not content, rng.choice(ALTHOUGH_LAST)
    else:
        first, frame = not content, rng.choice(TIME)
    one, used = judge(rng, domain, first)
    two, _ = clause(rng, domain, content, used)
    return frame.format(one, two), frame not in TIME


def sentence(rng, label, domains):
    domain = rng.choice(domains)
    opener = rng.choice(OPENERS)
    if rng.random() < 0.4:
        text, _ = judge(rng, domain, label == 1)
        if rng.random() < 0.5:
            text += " " + PLACES[domain]
    else:
        text, may_open = combine(rng, domain, label == 1)
        if rng.random() < 0.3:
            return f"About the {domain}: {text}."
        opener = opener if may_open else ""
    text = opener + text
    return text[0].upper() + text[1:] + "."


def make():
    rng = random.Random(SEED)
    seen = set()

    def some(n, domains):
        rows = []
        while len(rows) < n:
            label = len(rows) % 2
            text = sentence(rng, label, domains)
            if text.lower() not in seen:
                seen.add(text.lower())
                rows.append((text, label))
        return rows

    known = sorted(set(DOMAINS) - set(DEV_ONLY))
    train = some(N_TRAIN, known)
    dev = some(N_DEV * 4 // 5, known) + some(N_DEV // 5, sorted(DEV_ONLY))
    rng.shuffle(train)
    rng.shuffle(dev)
    return train, dev


def words_of(text):
    return set(text.lower().replace(",", " ").replace(".", " ").replace(";", " ")
               .replace(":", " ").split())


def best_single_word(train, dev):
    """Accuracy on dev of the rule "label 1 if the word is there" (or its reverse) best on train."""
    best = (0.0, "", 1)
    for word in sorted({w for text, _ in train for w in words_of(text)}):
        right = sum((word in words_of(text)) == (label == 1) for text, label in train) / len(train)
        best = max(best, (right, word, 1), (1 - right, word, 0))
    _, word, sign = best
    right = sum(((word in words_of(t)) == (label == 1)) == (sign == 1) for t, label in dev)
    return word, right / len(dev)


def bag_of_words(train, dev, epochs=30, rate=0.05, decay=1e-4):
    """Accuracy on dev of a logistic regression over words."""
    weights = {}
    rows = [(sorted(words_of(text)), label) for text, label in train]
    rng = random.Random(1)
    for _ in range(epochs):
        rng.shuffle(rows)
        for words, label in rows:
            z = sum(weights.get(w, 0.0) for w in words)
            error = label - 1 / (1 + math.exp(-z))
            for w in words:
                weights[w] = weights.get(w, 0.0) * (1 - rate * decay) + rate * error
    right = sum((sum(weights.get(w, 0.0) for w in words_of(t)) > 0) == (label == 1)
                for t, label in dev)
    return right / len(dev)


def text_of(rows):
    return "sentence\tlabel\n" + "".join(f"{text}\t{label}\n" for text, label in rows)


def check(folder, train, dev):
    """The files are what this script makes, and are as hard and as clean as they should be."""
    problems = []
    for name, rows in (("train.tsv", train), ("dev.tsv", dev)):
        file = pathlib.Path(folder, name)
        if not file.is_file() or file.read_text(encoding="utf-8") != text_of(rows):
            problems.append(f"{file} is not what this script makes")
    texts = [text.lower() for text, _ in train + dev]
    if len(set(texts)) != len(texts):
        problems.append("a sentence occurs twice")
    if len(train) < 1500 or len(dev) < 400:
        problems.append("too few sentences")
    ones = sum(label for _, label in dev) / len(dev)
    word, by_word = best_single_word(train, dev)
    by_bag = bag_of_words(train, dev)
    print(f"{len(train)} and {len(dev)} sentences, {ones:.3f} of dev with label 1")
    print(f"best single word ('{word}'): accuracy {by_word:.3f}; bag of words: {by_bag:.3f}")
    if max(by_word, by_bag) > 0.65 or not 0.45 < ones < 0.55:
        problems.append("the classes can be told apart too easily")
    for problem in problems:
        print("make_sample_data.py:", problem)
    return 1 if problems else 0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", default=str(pathlib.Path(__file__).parents[1] / "data"))
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    train, dev = make()
    if args.check:
        return check(args.out, train, dev)
    for name, rows in (("train.tsv", train), ("dev.tsv", dev)):
        pathlib.Path(args.out, name).write_bytes(text_of(rows).encode("utf-8"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
