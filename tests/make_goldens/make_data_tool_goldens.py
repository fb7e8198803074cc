#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/goldens/data_tool/: small hand-made inputs of every kind that create-finetuning-data
reads, its flags (cases.json), and the records and meta data that it must make of them, by the rules
of docs/model_garden/data.md section 1 written down here once more. The vocabulary is tests/goldens/text/vocab.txt.

usage: make_data_tool_goldens.py OUT_DIR   (OUT_DIR = tests/goldens/data_tool)
"""
import json
import os
import shutil
import sys

from make_finetuning_goldens import VOCAB, example, floats, frame, ints, message, tokenize, write

LENGTH = 16
CASES = []


def entry(key, value):
    return message(1, message(1, key.encode()) + message(2, value))


def record(features):
    return message(1, b''.join(entry(k, v) for k, v in features))


def layout(a, b, length=LENGTH):
    """ids, segments of [CLS] a [SEP] b [SEP], cut and not padded"""
    while b and len(a) + len(b) > length - 3:
        (a if len(a) > len(b) else b).pop()
    a = a[:length - 2]
    ids = [VOCAB['[CLS]']] + a + [VOCAB['[SEP]']] + (b + [VOCAB['[SEP]']] if b else [])
    return ids, [0] * (len(a) + 2) + [1] * (len(ids) - len(a) - 2)


def padded(values):
    return values + [0] * (LENGTH - len(values))


def text_record(number, text_a, text_b, label=None, weight=None):
    """A row with a weight, or without label: the keys stand in another order."""
    ids, segments = layout(tokenize(text_a), tokenize(text_b) if text_b else [])
    features = {'is_real_example': ints([1]), 'example_id': ints([number]),
                'input_mask': ints(padded([1] * len(ids))), 'input_ids': ints(padded(ids)),
                'segment_ids': ints(padded(segments))}
    order = list(features)
    if weight is not None:
        features['weight'] = floats([weight])
        order = ['weight', 'example_id', 'input_ids', 'is_real_example', 'input_mask', 'segment_ids']
    if label is not None:
        features['label_ids'] = floats([label]) if isinstance(label, float) else ints([label])
        order.append('label_ids')
    return record([(key, features[key]) for key in order])


def wic_record(number, text_a, text_b, word, label):
    tail = tokenize(word) + [VOCAB['[SEP]']]
    ids, segments = layout(tokenize(text_a), tokenize(text_b), LENGTH - len(tail))
    ids, segments = ids + tail, segments + [1] * len(tail)
    return record([('is_real_example', ints([1])), ('example_id', ints([number])),
                   ('input_mask', ints(padded([1] * len(ids)))), ('input_ids', ints(padded(ids))),
                   ('segment_ids', ints(padded(segments))), ('label_ids', ints([label]))])


def tagging_records(sentences, labels):
    """sentences: one list of (word, label) each, per file; label None counts as 0."""
    out = []
    for number, sentence in enumerate(sentences):
        pieces, parts = [], []
        for word, label in sentence:
            subwords = tokenize(word)
            if word and (not subwords or len(subwords) > LENGTH - 2):
                subwords = [VOCAB['[UNK]']]
            if len(pieces) + len(subwords) > LENGTH - 2:
                parts.append(pieces)
                pieces = []
            first = 0 if label is None else labels.index(label)
            pieces = pieces + [(s, first if i == 0 else -1) for i, s in enumerate(subwords)]
        for k, part in enumerate(parts + [pieces] * bool(pieces)):
            ids = [VOCAB['[CLS]']] + [s for s, _ in part] + [VOCAB['[SEP]']]
            tags = [-1] + [t for _, t in part] + [-1] * (LENGTH - len(part) - 1)
            out.append(record([
                ('input_ids', ints(padded(ids))), ('input_mask', ints(padded([1] * len(ids)))),
                ('sentence_id', ints([number])), ('sub_sentence_id', ints([k])),
                ('segment_ids', ints([0] * LENGTH)),
                ('label_ids', ints([t % (1 << 64) for t in tags]))]))
    return out


def case(out, name, args, files, outputs, meta, tfds=None):
    """files: path -> text or bytes below in/; outputs: path -> records; meta: a dict."""
    folder = os.path.join(out, name)
    for path, content in files.items():
        data = content if isinstance(content, bytes) else content.encode()
        write(os.path.join(folder, 'in', path), data)
    for path, rows in outputs.items():
        write(os.path.join(folder, 'expected', path), b''.join(frame(r) for r in rows))
    write(os.path.join(folder, 'expected', 'meta_data'), (json.dumps(meta, indent=4) + '\n').encode())
    CASES.append({'name': name, 'args': args, 'tfds': bool(tfds)})


TRAIN, EVAL, TEST = ('--%s_data_output_path={out}/%s' % (s, s) for s in ('train', 'eval', 'test'))
TESTS = '--test_data_output_path={out}/test_{}'
INPUT = '--input_data_dir={in}'


def task(name):
    return '--classification_task_name=' + name


def rows_of(rows):
    return [example(i, *row) for i, row in enumerate(rows)]


def class_meta(processor, n_train, n_labels, n_eval=None, tests=(), **more):
    meta = {'processor_type': processor, 'train_data_size': n_train, 'max_seq_length': LENGTH}
    meta.update(('test_%sdata_size' % (k + '_' if k else ''), n) for k, n in tests)
    meta.update({'task_type': 'bert_classification', 'num_labels': n_labels})
    meta.update(more)
    if n_eval is not None:
        meta['eval_data_size'] = n_eval
    return meta


def tfds_record(features):
    def value(v):
        if isinstance(v, str):
            return message(1, message(1, v.encode()))
        return floats([v]) if isinstance(v, float) else ints([v % (1 << 64)])
    return record([(k, value(v)) for k, v in features.items()])


def tfds_files(path, version, splits, n_classes, ordered=False):
    """splits: name -> list of shards, each a list of dicts"""
    files, listed, top = {}, [], path.split('/')[0]
    for name, shards in splits.items():
        for i, shard in enumerate(shards):
            if shard:
                files['%s/%s/%s-%s.tfrecord-%05d-of-%05d' % (path, version, top, name, i, len(shards))] = \
                    b''.join(frame(tfds_record(row)) for row in shard)
        listed.append({'filepathTemplate': '{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}',
                       'name': name, 'shardLengths': [str(len(s)) for s in shards]})
    info = {'name': top, 'fileFormat': 'tfrecord', 'version': version, 'splits': listed}
    if ordered:
        info['disableShuffling'] = True
    features = {'featuresDict': {'features': {
        'label': {'classLabel': {'numClasses': str(n_classes)}} if n_classes else {'tensor': {}}}}}
    files['%s/%s/dataset_info.json' % (path, version)] = json.dumps(info)
    files['%s/%s/features.json' % (path, version)] = json.dumps(features)
    return files


def interleave(shards):
    """16 rows of each of 16 shards in turn; an exhausted shard's slot takes the next one."""
    shards = [list(s) for s in shards if s]
    slots, order = [], []
    while shards or any(slots):
        for k in range(16):
            if k == len(slots):
                slots.append([])
            if not slots[k] and shards:
                slots[k] = shards.pop(0)
            order += slots[k][:16]
            slots[k] = slots[k][16:]
            # a slot that is empty after a whole block is filled when its turn comes again
    return order


WORDS = 'the cat jumped over a lazy dog un ##aff cats run 1 2 b c d e York new i'.split()


def sentence(n):
    return ' '.join(WORDS[(n * k + n // 7) % len(WORDS)] for k in range(1, 3 + n % 6))


def make_tfds(out):
    row = lambda i, label: {'idx': i, 'label': label, 'sentence': sentence(i)}
    shards = [[row(i, i % 2) for i in (5, 1, 8)], [], [row(i, i % 2) for i in (2, 0, 11)]]
    dev = [[row(3, 1), row(7, 0)]]
    test = [[row(4, -1), row(2, -1)]]
    files = tfds_files('glue/cola', '2.0.0', {'train': shards, 'validation': dev, 'test': test}, 2)
    by_idx = lambda split: sorted((r for s in split for r in s), key=lambda r: r['idx'])
    plain = lambda rows: rows_of([(r['sentence'], None, max(r['label'], 0)) for r in rows])
    case(out, 'tfds_cola', [task('COLA'), TRAIN, EVAL, TEST], files,
         {'train': plain(by_idx(shards)), 'eval': plain(by_idx(dev)), 'test': plain(by_idx(test))},
         class_meta('COLA', 6, 2, 2, [('', 2)]), tfds=True)

    weighted = [r for r in interleave(shards) if r['label'] != 0]
    case(out, 'tfds_params', ['--tfds_params= dataset = glue/cola:2.*.* ,text_key=sentence,'
                              'weight_key=idx,skip_label=0,data_dir={in}', TRAIN], files,
         {'train': [text_record(i, r['sentence'], None, r['label'], float(r['idx']))
                    for i, r in enumerate(weighted)]},
         class_meta('TFDS_glue/cola:2.*.*', len(weighted), 2, has_sample_weights=True))

    # 18 shards of up to 40 rows: TFDS reads 16 of them at a time, 16 rows each
    shards = [[{'question': sentence(100 * k + i), 'passage': sentence(k + i), 'label': (k + i) % 2,
                'idx': i} for i in range((k * 7) % 41)] for k in range(18)]
    rows = [(r['question'], r['passage'], r['label']) for r in interleave(shards)]
    case(out, 'tfds_boolq', [task('BoolQ'), TRAIN], tfds_files('super_glue/boolq', '1.0.2',
                                                               {'train': shards}, 2),
         {'train': rows_of(rows)}, class_meta('BoolQ', len(rows), 2), tfds=True)

    pair = lambda i, label: {'idx': i, 'label': label, 'premise': sentence(i), 'hypothesis': 'the cat'}
    splits = {'train': [[pair(1, 2), pair(0, 0)]], 'validation_mismatched': [[pair(5, 1)]],
              'test_mismatched': [[pair(6, -1), pair(2, 1)]]}
    mnli = lambda rows: rows_of([('the cat', sentence(i), label) for i, label in rows])
    case(out, 'tfds_mnli_mismatched', [task('MNLI'), '--mnli_type=mismatched', TRAIN, EVAL, TEST],
         tfds_files('glue/mnli', '2.0.0', splits, 3),
         {'train': mnli([(0, 0), (1, 2)]), 'eval': mnli([(5, 1)]), 'test': mnli([(2, 1), (6, 2)])},
         class_meta('MNLI', 2, 3, 1, [('', 2)]), tfds=True)

    score = [{'text': sentence(i), 'label': i / 4} for i in range(20)]
    meta = {'processor_type': 'TFDS_scores', 'train_data_size': 20, 'max_seq_length': LENGTH,
            'task_type': 'bert_regression', 'label_type': 'float'}
    case(out, 'tfds_regression', ['--fine_tuning_task_type=regression',
                                  '--tfds_params=dataset=scores,is_regression=true,label_type=float',
                                  TRAIN],
         tfds_files('scores/plain', '1.0.10', {'train': [score[:18], score[18:]]}, 0, ordered=True),
         {'train': rows_of([(r['text'], None, r['label']) for r in score])}, meta, tfds=True)


def jsonl(rows):
    return ''.join(json.dumps(r) + '\n' for r in rows)


def make_superglue(out):
    nli = lambda label: dict({'premise': 'the cat "jumped"\u2028', 'hypothesis': 'a d\u00f6g', 'idx': 0},
                             **({'label': label} if label else {}))
    pair = ('the cat "jumped"\u2028', 'a d\u00f6g')
    classes = ['entailment', 'contradiction', 'neutral']
    case(out, 'jsonl_cb', [task('cb'), INPUT, TRAIN, EVAL, TEST],
         {'train.jsonl': jsonl(nli(c) for c in classes), 'val.jsonl': '\n' + jsonl([nli('neutral')]),
          'test.jsonl': jsonl([nli(None)])},
         {'train': rows_of([pair + (i,) for i in range(3)]), 'eval': rows_of([pair + (2,)]),
          'test': rows_of([pair + (0,)])}, class_meta('CB', 3, 3, 1, [('', 1)]))
    case(out, 'jsonl_rte', [task('SUPERGLUE-RTE'), INPUT, EVAL],
         {'val.jsonl': jsonl([nli('not_entailment'), nli('entailment')])},
         {'eval': rows_of([pair + (1,), pair + (0,)])}, class_meta('RTESuperGLUE', 0, 2, 2))
    case(out, 'jsonl_axg', [task('AX-g'), INPUT, TEST],
         {'AX-g.jsonl': jsonl([nli('not_entailment'), nli('entailment')])},
         {'test': rows_of([pair + (1,), pair + (0,)])}, class_meta('AXg', 0, 2, tests=[('', 2)]))
    question = lambda label: dict({'question': 'the cat', 'passage': sentence(3), 'idx': 0},
                                  **({} if label is None else {'label': label}))
    boolq = ('the cat', sentence(3))
    case(out, 'jsonl_boolq', [task('BoolQ'), INPUT, TRAIN, TEST],
         {'train.jsonl': jsonl([question(True), question(False)]), 'test.jsonl': jsonl([question(None)])},
         {'train': rows_of([boolq + (1,), boolq + (0,)]), 'test': rows_of([boolq + (1,)])},
         class_meta('BoolQ', 2, 2, tests=[('', 1)]))
    long_a, long_b = 'the cat jumped over a lazy dog', 'a dog run over the cat'
    wic = [{'word': 'unaffable', 'sentence1': long_a, 'sentence2': long_b, 'label': True, 'idx': 0},
           {'word': 'cat', 'sentence1': 'a cat', 'sentence2': 'the cat', 'label': False, 'idx': 1}]
    case(out, 'jsonl_wic', [task('WIC'), INPUT, TRAIN], {'train.jsonl': jsonl(wic)},
         {'train': [wic_record(0, long_a, long_b, 'unaffable', 1),
                    wic_record(1, 'a cat', 'the cat', 'cat', 0)]}, class_meta('WiC', 2, 2))


def tsv(*rows):
    return ''.join('\t'.join(r) + '\n' for r in rows)


def make_xlang(out):
    head = ('id', 'sentence1', 'sentence2', 'label')
    pawsx = {'%s/%s' % (lang, name): tsv(head, ('1', 'the cat ' + lang, 'a "dog', label))
             for lang in ('de', 'en', 'zh') for name, label in
             (('train.tsv' if lang == 'en' else 'translated_train.tsv', '1'), ('dev_2k.tsv', '0'),
              ('test_2k.tsv', '1'))}
    row = lambda lang, label: ('the cat ' + lang, 'a "dog', label)
    case(out, 'pawsx', [task('PAWS-X'), INPUT, '--pawsx_language=all', '--languages=zh,en', TRAIN, EVAL,
                        TESTS], pawsx,
         {'train': rows_of([row('en', 1), row('zh', 1)]), 'eval': rows_of([row('en', 0), row('zh', 0)]),
          'test_en': rows_of([row('en', 1)]), 'test_zh': rows_of([row('zh', 1)])},
         class_meta('XTREME-PAWS-X', 2, 2, 2, [('en', 1), ('zh', 1)]))
    long_row = lambda lang, label, a: (lang, label, '', '', '', '', a, 'the cat')
    xnli = {'multinli/multinli.train.sw.tsv': tsv(('premise', 'hypo', 'label'),
                                                  ('a\rb', 'c', 'contradictory'), ('a', 'b', 'neutral')),
            'xnli.dev.tsv': tsv(long_row('language', 'gold_label', 'sentence1'),
                                long_row('sw', 'entailment', 'a'), long_row('de', 'neutral', 'b')),
            'xnli.test.tsv': tsv(long_row('language', 'gold_label', 'sentence1'),
                                 long_row('de', 'neutral', 'a'), long_row('sw', 'entailment', 'b'),
                                 long_row('de', 'contradiction', 'c'))}
    case(out, 'xnli', [task('XNLI'), INPUT, '--xnli_language=sw', '--languages=sw,de', TRAIN, EVAL,
                       '--test_data_output_path={out}/{0}{{}}'], xnli,
         {'train': rows_of([('ab', 'c', 0), ('a', 'b', 2)]),
          'eval': rows_of([('a', 'the cat', 1), ('b', 'the cat', 2)]),
          'de{}': rows_of([('a', 'the cat', 2), ('c', 'the cat', 0)]),
          'sw{}': rows_of([('b', 'the cat', 1)])},
         class_meta('XNLI', 2, 3, 2, [('de', 2), ('sw', 1)]))
    files = {'dev-%s.tsv' % lang: tsv(('a', lang, 'contradictory')) for lang in ('de', 'en')}
    files.update({'test-%s.tsv' % lang: tsv((lang, 'b')) for lang in ('de', 'en')})
    files.update({'t/translate-train/en-%s-translated.tsv' % lang: tsv(('x', 'y', lang, 'c', 'neutral'))
                  for lang in ('de', 'en')})
    files['t/translate-test/test-de-en-translated.tsv'] = tsv(('x', 'y', 'the cat', 'd', 'z'))
    case(out, 'xtreme_xnli_translated',
         [task('XTREME-XNLI'), INPUT, '--translated_input_data_dir={in}/t', '--only_use_en_dev=false',
          '--languages=de,en', TRAIN, EVAL, TESTS], files,
         {'train': rows_of([('de', 'c', 2), ('en', 'c', 2)]), 'eval': rows_of([('a', 'de', 0), ('a', 'en', 0)]),
          'test_de': rows_of([('de', 'b', 0)]), 'test_en': rows_of([('en', 'b', 0)]),
          'test_de-en': rows_of([('the cat', 'd', 0)])},
         class_meta('XTREME-XNLI', 2, 3, 2, [('de', 1), ('en', 1), ('de-en', 1)]))


def make_imdb(out):
    files = {'%s/%s/0_1.txt' % (s, c): ' \r\nthe cat<br /><br />%s %s ' % (s, c)
             for s in ('train', 'test') for c in ('neg', 'pos')}
    files['train/neg/notes.md'] = 'a'
    rows = lambda s: rows_of([('the cat  %s %s' % (s, c), None, i) for i, c in enumerate(('neg', 'pos'))])
    case(out, 'imdb', [task('IMDB'), INPUT, TRAIN, EVAL], files,
         {'train': rows('train'), 'eval': rows('test')}, class_meta('IMDB', 2, 2, 2))


def make_retrieval(out):
    files = {'de-en.%s.%s' % (s, side):
             ''.join('%s-000%d-x\tthe cat %s\n' % (side, i, side) for i in (7, 3))
             for s in ('dev', 'test') for side in ('de', 'en')}
    rows = lambda side: [text_record(i, 'the cat ' + side, None) for i in (7, 3)]
    sizes = {'de-en.de': 2, 'de-en.en': 2}
    retrieval = ['--fine_tuning_task_type=retrieval', INPUT, '--languages=de']
    case(out, 'bucc', retrieval + ['--retrieval_task_name=bucc', '--eval_data_output_path={out}/e',
                                   '--test_data_output_path={out}/t'], files,
         dict([('e/de-en-%s.dev.tfrecords' % side, rows(side)) for side in ('de', 'en')] +
              [('t/de-en-%s.test.tfrecords' % side, rows(side)) for side in ('de', 'en')]),
         {'processor_type': 'BUCC', 'max_seq_length': LENGTH, 'number_eval_data': sizes,
          'number_test_data': sizes})
    case(out, 'tatoeba', retrieval + ['--retrieval_task_name=tatoeba', '--test_data_output_path={out}'],
         {'de-en.de': 'die cat\n"the dog\n', 'de-en.en': 'the cat\tmore\n'},
         {'de-en-de.test.tfrecords': [text_record(0, 'die cat', None), text_record(1, '"the dog', None)],
          'de-en-en.test.tfrecords': [text_record(0, 'the cat', None)]},
         {'processor_type': 'TATOEBA', 'max_seq_length': LENGTH, 'number_eval_data': {},
          'number_test_data': {'de-en.de': 2, 'de-en.en': 1}})


PANX = ['O', 'B-PER', 'I-PER', 'B-LOC', 'I-LOC', 'B-ORG', 'I-ORG']
UDPOS = ('ADJ ADP ADV AUX CCONJ DET INTJ NOUN NUM PART PRON PROPN PUNCT SCONJ SYM VERB X').split()


def lines(sentences):
    return '\n'.join(''.join(w + ('' if t is None else '\t' + t) + '\n' for w, t in s) for s in sentences)


def tagging_meta(processor, labels, n_train, n_eval=0, tests=None):
    meta = {'train_data_size': n_train, 'max_seq_length': LENGTH, 'num_labels': len(labels),
            'task_type': 'tagging', 'label_type': 'int', 'label_shape': [LENGTH]}
    if n_eval:
        meta['eval_data_size'] = n_eval
    if tests:
        meta['test_data_size'] = tests
    meta.update({'label_list': labels, 'processor_type': processor})
    return meta


def make_tagging(out):
    tagging = ['--fine_tuning_task_type=tagging', INPUT]
    english = [[('the', 'O'), ('New', 'B-LOC'), ('York', 'I-LOC'), ('unaffable', 'O')],
               [('cats', 'B-ORG')] * 20 + [('abcde' * 4, 'I-ORG'), ('\u200b', 'O'), ('zz', 'B-PER')]]
    german = [[('the', 'I-PER'), ('cat', 'O')]]
    text = lines(english).replace('York\tI-LOC\n', ' York \t I-LOC\r\n') + '\n\n\n'
    train = tagging_records(english, PANX) + tagging_records(german, PANX)
    test = [[('the', None), ('\u00a0', None), ('cat', None)]]
    case(out, 'panx', tagging + ['--tagging_task_name=panx', '--tagging_only_use_en_train=false',
                                 '--languages=de,en', TRAIN, EVAL, TESTS],
         {'train-en.tsv': text, 'train-de.tsv': lines(german), 'dev-en.tsv': lines(german),
          'test-de.tsv': lines(test), 'test-en.tsv': ''},
         {'train': train, 'eval': tagging_records(german, PANX),
          'test_de': tagging_records([[('the', None), ('', None), ('cat', None)]], PANX),
          'test_en': []},
         tagging_meta('panx', PANX, len(train), 1, {'en': 0, 'de': 1}))
    tagged = [[('a', 'DET'), ('', 'X'), ('cat', 'NOUN')], [('1', 'NUM')]]
    case(out, 'udpos', tagging + ['--tagging_task_name=udpos', '--only_use_en_dev=false',
                                  '--languages=zh', EVAL],
         {'dev-zh.tsv': lines(tagged).replace('\tX', ' \tX'), 'dev-de.tsv': lines(german)},
         {'eval': tagging_records(tagged, UDPOS)}, tagging_meta('udpos', UDPOS, 0, 2))
    conll = ('-DOCSTART- -X- -X- O\n\nthe DT  B-NP O\nNew NNP\tx B-LOC\n'.replace('\tx', ' x') +
             'cat NN  I-NP B-\u00c4\n \n\t\nYork NNP x I-LOC')
    sentences = [[('the', 'O'), ('New', 'B-LOC'), ('cat', 'B-\u00c4')], [('York', 'I-LOC')]]
    labels = ['O', 'B-LOC', 'B-\u00c4', 'I-LOC']
    case(out, 'conll', tagging + ['--tagging_task_name=conll', TRAIN, EVAL, TEST],
         {'train.txt': conll, 'valid.txt': 'cat\tO\n', 'test.conll': 'the\ncat\n'},
         {'train': tagging_records(sentences, labels), 'eval': tagging_records([[('cat', 'O')]], labels),
          'test': tagging_records([[('the', None), ('cat', None)]], labels)},
         tagging_meta('conll', labels, 2, 1, 1))
    given = ['NN', 'NNP', 'DT', 'VB']
    case(out, 'conll_given', tagging + ['--tagging_task_name=conll', '--tagging_labels= NN,NNP ,DT,VB,',
                                        '--tagging_columns=1,2', TRAIN], {'train.txt': conll},
         {'train': tagging_records([[('the', 'DT'), ('New', 'NNP'), ('cat', 'NN')], [('York', 'NNP')]],
                                   given)},
         tagging_meta('conll', given, 2))


def main():
    out = sys.argv[1]
    shutil.rmtree(out, ignore_errors=True)
    for make in (make_tfds, make_superglue, make_xlang, make_imdb, make_retrieval, make_tagging):
        make(out)
    write(os.path.join(out, 'cases.json'), (json.dumps(CASES, indent=1) + '\n').encode())


if __name__ == '__main__':
    main()
