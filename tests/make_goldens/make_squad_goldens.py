#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/goldens/squad/: hand-made files in SQuAD's form; the records, answers and scores that
must come of them, by the rules of docs/model_garden/data.md section 4 written down here once more (the plain way: a
context is tokenised for each question, all logits are sorted). Vocabulary: tests/goldens/text.

usage: make_squad_goldens.py OUT_DIR   (OUT_DIR = tests/goldens/squad; Python 3.11: Unicode 14.0)
"""
import collections
import json
import math
import os
import random
import re
import string
import struct
import sys

from make_finetuning_goldens import frame, ints, message
from make_text_goldens import PIECES, basic, wordpiece

VOCAB = {piece: i for i, piece in enumerate(PIECES)}
LENGTH, STRIDE, QUERY = 24, 7, 5
BLANKS = ' \t\r\n\u202f'

LONG = ('The cat jumped over the lazy dog. A dog runs over cats in New\u00a0York; '
        '(un\u00c9t\u00e9 1200-21) the\u202fCAT\tand\n\u4e2d\u56fd \u039f\u0394\u039f\u03a3!')
SHORT = ' the cat  runs. '
HARD_ID = 'q5 "\\\n\r\t\f\b\u0001\u007f\u00e9\u4e2d\U0001f600'


def question(number, text, context, *answers, **more):
    found = [{'text': a, 'answer_start': context.index(a)} for a in answers]
    return dict({'id': 'q%d' % number, 'question': text, 'answers': found}, **more)


def article(title, *paragraphs):
    return {'title': title, 'paragraphs': [{'context': c, 'qas': q} for c, q in paragraphs]}


def train_file():
    qas = [question(0, 'a cat jumped?', LONG, 'cat'),
           question(1, 'The dog, the lazy dog, runs over what?', LONG, 'lazy dog'),
           question(2, '', LONG, '1200'), question(3, 'a', LONG, 'A dog runs'),
           question(4, '\u4e2d', LONG, '\u56fd \u039f'), question(5, 'b?', LONG, 'the\u202fCAT'),
           question(6, 'd', LONG, LONG),
           {'id': 'q7', 'question': 'wrong', 'answers': [{'text': 'lazy', 'answer_start': 1}]},
           question(8, 'c', LONG, 't\u00e9 12')]
    short = [question(9, 'the', SHORT, 'cat  runs'), question(10, 'a', SHORT, ' the cat')]
    return {'version': '1.1', 'data': [article('One', (LONG, qas)), article('', (SHORT, short))]}


def train_v2_file():
    data = train_file()
    for i, qa in enumerate(data['data'][0]['paragraphs'][0]['qas']):
        qa['is_impossible'] = i % 3 == 1
        if i == 1:
            qa['answers'] = []
    data['data'] = data['data'][:1]
    return data


def dev_file(version_2):
    qas = [question(0, 'a cat jumped?', LONG, 'cat', 'The cat', 'cat jumped'),
           question(1, 'who runs', LONG, 'A dog', 'dog'), question(2, 'numbers', LONG, '1200-21'),
           question(3, 'where', LONG, 'New\u00a0York', 'York'), question(4, 'b', LONG, '\u4e2d\u56fd'),
           dict(question(5, 'c', LONG, 'the', 'un\u00c9t\u00e9'), id=HARD_ID)]
    if version_2:
        qas += [dict(question(6, 'nothing', LONG), is_impossible=True),
                dict(question(7, 'no one', LONG), is_impossible=True), question(8, 'd', LONG, '!')]
    return {'data': [article('Dev \u00e9', (LONG, qas), ('', [question(20, 'x', ' ', ' ')])
                             if not version_2 else (SHORT, [question(21, 'the', SHORT, 'cat')]))]}


def words_of(context):
    words, places, before = [], [], True
    for ch in context:
        if ch in BLANKS:
            before = True
        else:
            words = words + [ch] if before else words[:-1] + [words[-1] + ch]
            before = False
        places.append(len(words) - 1)
    return words, places


def tokenize(text):
    return [PIECES_BY_ID[i] for word in basic(text, True) for i in wordpiece(word, VOCAB)]


PIECES_BY_ID = {i: piece for piece, i in VOCAB.items()}


def examples(data, training, version_2):
    for entry in data['data']:
        for paragraph in entry['paragraphs']:
            words, places = words_of(paragraph['context'])
            for qa in paragraph['qas']:
                impossible = training and version_2 and qa['is_impossible']
                answer = None
                if training and not impossible:
                    text, at = qa['answers'][0]['text'], qa['answers'][0]['answer_start']
                    start, end = places[at], places[at + len(text) - 1]
                    if ' '.join(text.split()) not in ' '.join(words[start:end + 1]):
                        continue
                    answer = (start, end, text)
                yield qa, words, answer


def windows(data, training, version_2):
    out = []
    for number, (qa, words, answer) in enumerate(examples(data, training, version_2)):
        query = tokenize(qa['question'])[:QUERY]
        pieces, origin = [], []
        for i, word in enumerate(words):
            more = tokenize(word)
            pieces += more
            origin += [i] * len(more)
        span = None
        if answer:
            first = next((k for k, w in enumerate(origin) if w >= answer[0]), len(pieces))
            last = next((k for k, w in enumerate(origin) if w > answer[1]), len(pieces)) - 1
            span, wanted = (first, last), ' '.join(tokenize(answer[2]))
            tries = ((s, e) for s in range(first, last + 1) for e in range(last, s - 1, -1))
            span = next((t for t in tries if ' '.join(pieces[t[0]:t[1] + 1]) == wanted), span)
        room, spans, start = LENGTH - len(query) - 3, [], 0
        while start < len(pieces):
            length = min(len(pieces) - start, room)
            spans.append((start, length))
            if start + length == len(pieces):
                break
            start += min(length, STRIDE)
        for k, (start, length) in enumerate(spans):
            offset = len(query) + 2
            inside = span and span[0] >= start and span[1] <= start + length - 1
            out.append({'example': number, 'id': qa['id'], 'words': words, 'number': k,
                        'spans': spans, 'origin': origin[start:start + length], 'offset': offset,
                        'tokens': ['[CLS]'] + query + ['[SEP]'] + pieces[start:start + length] + ['[SEP]'],
                        'answer': (span[0] - start + offset, span[1] - start + offset) if inside else None})
    return out


def is_max_context(window, position):
    best = None
    for k, (start, length) in enumerate(window['spans']):
        left, right = position - start, start + length - 1 - position
        if left >= 0 and right >= 0:
            score = min(left, right) + 0.01 * length
            if best is None or score > best[0]:
                best = (score, k)
    return best[1] == window['number']


def record(i, window):
    ids = [VOCAB[t] for t in window['tokens']]
    n, offset = len(ids), window['offset']
    fill = [0] * (LENGTH - n)
    n_doc = len(window['origin'])
    start, end = window['answer'] or (0, 0)
    features = [('is_impossible', [0 if window['answer'] else 1]), ('input_ids', ids + fill),
                ('unique_ids', [1000000000 + i]), ('end_positions', [end]),
                ('paragraph_mask', [1] + [0] * (offset - 1) + [1] * n_doc + [0] + fill),
                ('start_positions', [start]), ('class_index', [0]), ('input_mask', [1] * n + fill),
                ('segment_ids', [0] * offset + [1] * (n_doc + 1) + fill)]
    return frame(message(1, b''.join(message(1, message(1, k.encode()) + message(2, ints(v)))
                                     for k, v in features)))


def f32(x):
    return struct.unpack('<f', struct.pack('<f', x))[0]


def logits_of(data, found, rng):
    """High scores on noise: equal ones, some where no document stands, most gold answers."""
    golds = {qa['id']: [a['text'] for a in qa['answers']] for qa, _, _ in examples(data, False, False)}
    rows = []
    for window in found:
        row = [[f32(rng.gauss(-5, 2)) for _ in window['tokens']] for _ in range(2)]
        for side in row:
            for _ in range(3):
                side[rng.randrange(len(side))] = f32(rng.randrange(1, 6))
        for text in golds[window['id']][:1]:
            gold, n = tokenize(text), len(tokenize(text))
            for k in range(window['offset'], len(window['tokens']) - n):
                if window['tokens'][k:k + n] == gold and rng.random() < 0.8:
                    row[0][k], row[1][k + n - 1] = f32(rng.uniform(5, 9)), f32(rng.uniform(5, 9))
        rows.append(row)
    return rows


def final_text(predicted, original):
    tokens = ' '.join(basic(original, True))
    at = tokens.find(predicted)
    visible = [i for i, ch in enumerate(original) if ch != ' ']
    places = {i: k for k, i in enumerate(i for i, ch in enumerate(tokens) if ch != ' ')}
    ends = (at, at + len(predicted) - 1)
    if at < 0 or len(visible) != len(places) or any(e not in places for e in ends):
        return original
    return original[visible[places[ends[0]]]:visible[places[ends[1]]] + 1]


def answers(data, logits, version_2, n_best, longest, threshold):
    found = windows(data, False, version_2)
    predictions, nbest, odds = {}, {}, {}
    for number, (qa, words, _) in enumerate(examples(data, False, version_2)):
        pairs, null = [], (1000000, 0.0, 0.0)
        for i, window in enumerate(found):
            if window['example'] != number:
                continue
            starts, ends = logits[i]
            if f32(starts[0] + ends[0]) < null[0]:
                null = (f32(starts[0] + ends[0]), starts[0], ends[0])
            best = [sorted(range(len(s)), key=lambda k: s[k], reverse=True)[:n_best] for s in logits[i]]
            for s in best[0]:
                for e in best[1]:
                    where = s - window['offset']
                    if (not 0 <= where < len(window['origin']) or e < s or e - s + 1 > longest
                            or e - window['offset'] >= len(window['origin'])
                            or not is_max_context(window, window['spans'][window['number']][0] + where)):
                        continue
                    pairs.append((f32(starts[s] + ends[e]), window, s, e, starts[s], ends[e]))
        if version_2:
            pairs.append((f32(null[1] + null[2]), None, 0, 0, null[1], null[2]))
        pairs.sort(key=lambda p: p[0], reverse=True)
        entries = []
        for _, window, s, e, x, y in pairs:
            if len(entries) >= n_best:
                break
            text = ''
            if window:
                pieces = ' '.join(window['tokens'][s:e + 1]).replace(' ##', '').replace('##', '')
                o = window['origin']
                span = words[o[s - window['offset']]:o[e - window['offset']] + 1]
                text = final_text(' '.join(pieces.split()), ' '.join(span))
                if text in [t for t, _, _ in entries]:
                    continue
            entries.append((text, x, y))
        if version_2 and '' not in [t for t, _, _ in entries]:
            entries.append(('', null[1], null[2]))
        entries = entries or [('empty', 0.0, 0.0)]
        sums = [f32(x + y) for _, x, y in entries]
        powers = [math.exp(f32(s - max(sums))) for s in sums]
        total = 0.0
        for p in powers:
            total += p
        nbest[qa['id']] = [{'text': t, 'probability': p / total, 'start_logit': x, 'end_logit': y}
                           for (t, x, y), p in zip(entries, powers)]
        predictions[qa['id']] = entries[0][0]
        if version_2:
            best = next((e for e in entries if e[0]), None)
            odds[qa['id']] = f32(f32(null[0] - best[1]) - best[2]) if best else null[0]
            predictions[qa['id']] = best[0] if best and not odds[qa['id']] > threshold else ''
    return predictions, nbest, odds


def normalize(text):
    text = ''.join(ch for ch in text.lower() if ch not in set(string.punctuation))
    return ' '.join(re.sub(r'\b(a|an|the)\b', ' ', text).split())


def f1(predicted, gold, version_2):
    p, g = normalize(predicted).split(), normalize(gold).split()
    if version_2 and (not p or not g):
        return float(p == g)
    same = sum((collections.Counter(p) & collections.Counter(g)).values())
    if same == 0:
        return 0.0
    precision, recall = 1.0 * same / len(p), 1.0 * same / len(g)
    return (2 * precision * recall) / (precision + recall)


def scores_v1(data, predictions):
    exact = total_f1 = n = 0
    for qa, _, _ in examples(data, False, False):
        golds = [a['text'] for a in qa['answers']]
        text = predictions[qa['id']]
        exact += max(normalize(text) == normalize(g) for g in golds)
        total_f1 += max(f1(text, g, False) for g in golds)
        n += 1
    return {'exact_match': exact / n, 'final_f1': total_f1 / n}


def scores_v2(data, predictions, odds):
    has, exact, best_f1 = {}, {}, {}
    for qa, _, _ in examples(data, False, False):
        golds = [a['text'] for a in qa['answers'] if normalize(a['text'])] or ['']
        text = predictions[qa['id']]
        has[qa['id']] = bool(qa['answers'])
        exact[qa['id']] = float(max(normalize(text) == normalize(g) for g in golds))
        best_f1[qa['id']] = max(f1(text, g, True) for g in golds)
    out = {}
    for name, points in (('exact_match', exact), ('final_f1', best_f1)):
        score = best = sum(not v for v in has.values())
        threshold = 0.0
        for key in sorted(odds, key=lambda k: odds[k]):
            score += points[key] if has[key] else -1 if predictions[key] else 0
            if score > best:
                best, threshold = score, odds[key]
        scale = 100.0 if name == 'exact_match' else 1.0
        out[name] = scale * best / len(exact)
        out['exact_match_threshold' if scale > 1 else 'f1_threshold'] = threshold
    for name, points in (('has_answer_exact_match', exact), ('has_answer_f1', best_f1)):
        keys = [k for k in has if has[k]]
        out[name] = 100.0 * sum(0.0 if odds[k] > 1.0 else points[k] for k in keys) / len(keys)
    return out


TEXTS = ['The cat', "a's the-an", '', '...', 'the', 'A  an\u00a0\u3000THE x', 'a_b an\u00e9 a\u00e9', 'x,a y',
         '\u0130 AN \u03a3\u03a3', 'the\u2014the', '1st a1 a 1', 'e\u0301 a\u0301 an', '\u4e2da \u4e2d a']
FINAL = [('steve smith', "Steve Smith's"), ('1895', '(1895-1943).'), ('', 'x'), ('ete', '\u00c9t\u00e9'),
         ('zzz', 'a b'), ('b', 'a  b'), ("' s", "dog's"), ('a\u00ad', 'a\u00ad b'), ('i', '\u0130'), ('b c', 'a b c'),
         ('\u4e2d \u56fd', '\u4e2d\u56fd'), ('. a', 'x. a'), (' a', 'x a')]


def write(out, name, data):
    os.makedirs(os.path.join(out, 'expected'), exist_ok=True)
    with open(os.path.join(out, name), 'wb') as f:
        f.write(data if isinstance(data, bytes) else data.encode())


def dump(data):
    return json.dumps(data, indent=4) + '\n'


def write_training(out, name, data, version_2):
    found = windows(data, True, version_2)
    write(out, name + '.json', json.dumps(data, ensure_ascii=version_2))
    write(out, 'expected/%s.tf_record' % name, b''.join(record(i, w) for i, w in enumerate(found)))
    meta = {'task_type': 'bert_squad', 'train_data_size': len(found), 'max_seq_length': LENGTH,
            'max_query_length': QUERY, 'doc_stride': STRIDE, 'version_2_with_negative': version_2}
    write(out, 'expected/%s.meta_data' % name, dump(meta))


def write_dev(out, name, version_2, rng):
    data = dev_file(version_2)
    logits = logits_of(data, windows(data, False, version_2), rng)
    write(out, name + '.json', json.dumps(data, ensure_ascii=not version_2))
    write(out, 'expected/%s.logits.json' % name, json.dumps(logits) + '\n')
    for k, options in enumerate([(20, 30, 0.0), (2, 3, -1.5)]):
        predictions, nbest, odds = answers(data, logits, version_2, *options)
        scores = scores_v2(data, predictions, odds) if version_2 else scores_v1(data, predictions)
        stem = 'expected/%s.%d.' % (name, k)
        write(out, stem + 'predictions.json', dump(predictions))
        write(out, stem + 'nbest_predictions.json', dump(nbest))
        write(out, stem + 'scores.json', dump(dict(scores, n_best_size=options[0],
                                                   max_answer_length=options[1], threshold=options[2])))
        if version_2:
            write(out, stem + 'null_odds.json', dump(odds))


def main():
    out, rng = sys.argv[1], random.Random(5)
    write_training(out, 'train', train_file(), False)
    write_training(out, 'train_v2', train_v2_file(), True)
    write_dev(out, 'dev', False, rng)
    write_dev(out, 'dev_v2', True, rng)
    write(out, 'expected/functions.json',
          json.dumps({'normalize': [[t, normalize(t)] for t in TEXTS],
                      'f1': [[a, b, f1(a, b, False), f1(a, b, True)] for a in TEXTS for b in TEXTS],
                      'final_text': [[p, o, final_text(p, o)] for p, o in FINAL]}) + '\n')


if __name__ == '__main__':
    main()
