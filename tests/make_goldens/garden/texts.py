# SPDX-License-Identifier: Apache-2.0
"""Made-up sentences in several scripts, and vocabularies of their pieces: what the goldens of
goldens/model_garden/data are made of. Nothing of them comes from anywhere else."""

import collections
import unicodedata

ENGLISH = """The baker sold seven loaves before the rain began.
Nobody in the valley has ever seen a green owl.
Marta keeps her maps in a drawer under the stairs.
The ferry, which was late, carried eleven sheep and a piano.
"Why is the lamp on?" asked the old clockmaker.
A train that doesn't stop can't be missed twice.
The river froze; the mill stood still until March.
Two painters shared one ladder and three brushes.
It isn't the wind but the hinge that whistles.
Every button on Oskar's coat was made of horn.
The committee re-counted 1,204 votes in 3.5 hours.
Some gardens are walled, others merely fenced.
The tailor (a patient man) measured the sleeve again.
When the bell rang, the goats were already home.
There is honey in the blue jar and salt in the grey one.
A tall stranger bought $12.50 worth of string.
The choir sings in the cellar because it is cool there.
He painted the door red, then green, then red again.
Rain or no rain, the market opens at six o'clock.
The bridge at Lower Fenwick was rebuilt in 1887.
Her umbrella is older than my bicycle!
Cats sleep wherever the sun falls, don't they?
The postman whistled; the dog pretended not to hear.
Our clock strikes thirteen on Thursdays - nobody knows why.
Plums were cheap that autumn, so we made jam.
The lighthouse keeper's daughter studies whales.
They unloaded crates of oranges, lemons and unripe figs.
A letter without a stamp arrived from Port Ellery.
The violin's third string snapped during the waltz.
Unbelievably, the smallest boat won the race.""".split("\n")
OTHERS = {
    "de": [
        "Der Müller mahlt das Korn für das Dorf.",
        "Die Straße führt über den Fluß, sagt Jörg.",
        "Drei Äpfel lagen im Gras.",
    ],
    "fr": [
        "L'été dernier, nous avons mangé des pêches.",
        "Où est la clé du grenier ?",
        "Le garçon a reçu une lettre.",
    ],
    "es": ["La niña pintó un árbol azul.", "¿Quién cerró la ventana ayer?", "El reloj del pueblo está roto."],
    "ru": ["Сосед починил старый забор.", "Где лежит зелёная шапка?", "Зимой река замерзает быстро."],
    "bg": ["Пекарят продаде седем хляба.", "Котката спи на прозореца."],
    "el": ["Ο ΨΑΡΑΣ έφερε τρία ψάρια.", "Πού είναι το κλειδί της αποθήκης;"],
    "tr": ["İki gemi limanda bekliyor.", "Işık söndü, kedi uyudu."],
    "zh": ["面包师卖了七个面包。", "河上的桥是红色的。"],
    "ja": ["猫は窓のそばで眠る。", "パン屋は朝六時に開く。"],
    "ko": ["고양이가 창가에서 잔다.", "다리는 빨간색이다."],
    "ar": ["باع الخبّاز سبعة أرغفة.", "أين المفتاح؟"],
    "ur": ["نانبائی نے سات روٹیاں بیچیں۔"],
    "hi": ["बढ़ई ने एक कुर्सी बनाई।", "नदी जम गई थी।"],
    "th": ["แมวนอนที่หน้าต่าง", "สะพานสีแดง"],
    "vi": ["Người thợ bánh bán bảy ổ bánh mì.", "Chiếc ô của cô ấy rất cũ."],
    "sw": ["Paka analala dirishani.", "Mto uliganda mwezi wa pili."],
    "he": ["החתול ישן ליד החלון."],
}
HARD = [
    "naïve cafe\u0301s",
    "Stra\u00dfe \ufb01nd",
    "A\u200bB \u00adC",
    "x\u00a0y\u3000z",
    "\u202fnarrow",
    "\U0001f600 smiles",
    "a\ufffdb",
    "\u4e2d mixed \u6587",
    "\u1112\u1161\u11ab",
    "ΑΣ. ΟΔΟΣ",
    "(1887\u20131943)",
    "\u2018quoted\u2019 \u201ctext\u201d\u2026",
]


def sentence(lang, i):
    rows = ENGLISH if lang == "en" else OTHERS.get(lang, ENGLISH[7:])
    return rows[i % len(rows)]


def folded(text):
    """Lower case, without accents."""
    return "".join(c for c in unicodedata.normalize("NFD", text.lower()) if unicodedata.category(c) != "Mn")


def words_of(text):
    out = [""]
    for c in text:
        is_alone = not c.isalnum() or "\u4e00" <= c <= "\u9fff"
        if is_alone and not unicodedata.category(c).startswith("M"):
            out += [c, ""] if not c.isspace() else [""]
        else:
            out[-1] += c
    return [word for word in out if word]


def vocabulary(lower, langs):
    """Special pieces, every character alone and inside, whole words of two uses, starts and ends of others."""
    texts = ENGLISH + HARD + [row for lang in langs for row in OTHERS[lang]]
    texts = [folded(text) if lower else unicodedata.normalize("NFC", text) for text in texts]
    counts = collections.Counter(word for text in texts for word in words_of(text))
    pieces = ["[PAD]", "[unused1]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    characters = sorted({c for word in counts for c in word} | set("0123456789abcdefghijklmnopqrstuvwxyz"))
    pieces += characters + ["##" + c for c in characters if c.isalnum()]
    for word in sorted(counts):
        if len(word) > 1:
            pieces += [word] if counts[word] > 1 else [word[:-2], "##" + word[-2:]] if len(word) > 4 else []
    return list(dict.fromkeys(piece for piece in pieces if piece))


VOCABULARIES = {
    "uncased": (True, ["de", "fr", "el"]),
    "cased": (False, ["de", "fr"]),
    "multi_cased": (False, list(OTHERS)),
}
