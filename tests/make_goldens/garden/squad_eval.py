# SPDX-License-Identifier: Apache-2.0
"""squad_eval goldens: seeded logits -> the real post-processing and scores.

usage: squad_eval.py V1_DEV.json V2_DEV.json VOCAB.txt OUT_DIR SEED
"""

import os, sys, json, struct, random, collections, hashlib

os.environ['TF_CPP_MIN_LOG_LEVEL'] = '2'
os.environ['CUDA_VISIBLE_DEVICES'] = '-1'
import numpy as np
import tensorflow as tf
from official.nlp.data import squad_lib
from official.nlp.tools import tokenization, squad_evaluate_v1_1, squad_evaluate_v2_0
from official.nlp.tasks import question_answering as qa
from official.nlp.data import question_answering_dataloader as qdl
from official.nlp.configs import encoders

v1, v2, vocab, out, seed = sys.argv[1:5] + [int(sys.argv[5])]
os.makedirs(out, exist_ok=True)
J = lambda n, d: open(os.path.join(out, n), 'w').write(json.dumps(d, indent=1) + '\n')


def save_st(path, tensors):
    hdr, off = {}, 0
    for k, v in tensors.items():
        hdr[k] = {
            'dtype': {'float32': 'F32', 'int32': 'I32', 'int64': 'I64'}[str(v.dtype)],
            'shape': list(v.shape),
            'data_offsets': [off, off + v.nbytes],
        }
        off += v.nbytes
    h = json.dumps(hdr).encode()
    h += b' ' * (-len(h) % 8)
    with open(path, 'wb') as f:
        f.write(struct.pack('<Q', len(h)) + h)
        for v in tensors.values():
            f.write(np.ascontiguousarray(v).tobytes())


class Enc(json.JSONEncoder):
    def default(self, o):
        if isinstance(o, np.generic):
            return o.item()
        return super().default(o)


def jsave(n, d):
    open(os.path.join(out, n), 'w').write(json.dumps(d, indent=1, cls=Enc) + '\n')


def task_for(path, is_v2, batch, lower, tag, nbest=20, maxans=30, thr=0.0, seq=384, stride=128, qlen=64):
    cfg = qa.QuestionAnsweringConfig(
        n_best_size=nbest,
        max_answer_length=maxans,
        null_score_diff_threshold=thr,
        model=qa.ModelConfig(encoder=encoders.EncoderConfig()),
        train_data=qdl.QADataConfig(is_training=True),
        validation_data=qdl.QADataConfig(
            is_training=False,
            input_path=path,
            global_batch_size=batch,
            seq_length=seq,
            doc_stride=stride,
            query_length=qlen,
            vocab_file=vocab,
            do_lower_case=lower,
            tokenization='WordPiece',
            version_2_with_negative=is_v2,
            input_preprocessed_data_path=os.path.join(out, tag),
        ),
    )
    return qa.QuestionAnsweringTask(cfg)


def logits_for(task, dataset, is_v2, rs):
    """Random, plausible: noise, peaks at the gold answers, other peaks, ties."""
    gold = {q['id']: q for a in dataset for p in a['paragraphs'] for q in p['qas']}
    S, E, U = [], [], []
    for f in task._eval_features:
        n = len(f.input_ids)
        s = rs.normal(-6, 2, n).astype(np.float32)
        e = rs.normal(-6, 2, n).astype(np.float32)
        ex = task._eval_examples[f.example_index]
        q = gold[ex.qas_id]
        toks = sorted(f.token_to_orig_map)
        if q['answers'] and rs.uniform() < 0.8:
            # find a token whose original word starts the answer
            w = q['answers'][0]['text'].split()
            c = [
                t
                for t in toks
                if ex.doc_tokens[f.token_to_orig_map[t]].strip('.,;()"\'').lower() == w[0].strip('.,;()"\'').lower()
            ]
            if c:
                b = int(c[rs.randint(len(c))])
                last = f.token_to_orig_map[b] + len(w) - 1
                k = [t for t in toks if f.token_to_orig_map[t] <= last]
                s[b] += rs.uniform(6, 14)
                e[k[-1]] += rs.uniform(6, 14)
                if k[-1] > 1:
                    e[k[-1] - 1] += rs.uniform(0, 10)
        for _ in range(rs.randint(1, 6)):
            b = int(toks[rs.randint(len(toks))])
            s[b] += rs.uniform(2, 10)
            e[min(b + rs.randint(0, 12), n - 1)] += rs.uniform(2, 10)
        if rs.uniform() < 0.3:
            s[rs.randint(n)] += 8
            e[rs.randint(n)] += 8  # may lie in the question or padding
        s[0] = rs.normal(0 if is_v2 else -8, 4)
        e[0] = rs.normal(0 if is_v2 else -8, 4)
        if rs.uniform() < 0.15:  # ties: coarse values
            s = np.round(s)
            e = np.round(e)
        if rs.uniform() < 0.03:  # nothing valid: mass only on the question
            s[:] = -20
            e[:] = -20
            s[1:5] += 15
            e[1:5] += 15
        if rs.uniform() < 0.02:
            s[:] = 0
            e[:] = 0  # all equal
        S.append(s)
        E.append(e)
        U.append(f.unique_id)
    return np.array(U, np.int32), np.stack(S), np.stack(E)


def feats(task):
    rows = []
    for f in task._eval_features:
        m = f.token_to_orig_map
        k = sorted(m)
        rows.append(
            {
                'unique_id': f.unique_id,
                'example_index': f.example_index,
                'doc_span_index': f.doc_span_index,
                'n_tokens': len(f.tokens),
                'first_doc_token': k[0] if k else None,
                'n_doc_tokens': len(k),
                'token_to_orig': [m[i] for i in k],
                'max_context': ''.join('1' if f.token_is_max_context[i] else '0' for i in k),
                'tokens_sha256_16': hashlib.sha256(
                    '\x1f'.join(f.tokens).encode('utf-8', 'surrogatepass')
                ).hexdigest()[:16],
            }
        )
    return rows


meta = {'variants': []}
for tag, path, is_v2, lower in (('v1', v1, False, True), ('v2', v2, True, True)):
    name = 'dev_%s.json' % tag
    raw = open(path, encoding='utf-8').read()
    open(os.path.join(out, name), 'w', encoding='utf-8').write(raw)
    dataset = json.loads(raw)['data']
    p = os.path.join(out, name)
    rs = np.random.RandomState(seed * 100 + (2 if is_v2 else 1))
    base = None
    for vi, kw in enumerate(
        [dict(), dict(nbest=5, maxans=10), dict(nbest=20, maxans=30, thr=-2.5), dict(nbest=3, maxans=1, thr=4.0)]
    ):
        if vi == 2 and not is_v2:
            continue
        t = task_for(p, is_v2, 32, lower, 'work_' + tag, **kw)
        if base is None:
            U, S, E = logits_for(t, dataset, is_v2, rs)
            base = 1
            save_st(
                os.path.join(out, 'logits_%s.safetensors' % tag),
                {'unique_ids': U, 'start_logits': S, 'end_logits': E},
            )
            with open(os.path.join(out, 'features_%s.jsonl' % tag), 'w') as f:
                for r in feats(t):
                    f.write(json.dumps(r) + '\n')
            os.replace(
                os.path.join(out, 'work_' + tag, 'eval.tf_record'), os.path.join(out, 'eval_%s.tf_record' % tag)
            )
        # as the task does: float32 rows out of numpy
        state = [qa.RawAggregatedResult(unique_id=u, start_logits=s, end_logits=e) for u, s, e in zip(U, S, E)]
        pred, nbest, diff = squad_lib.postprocess_output(
            t._eval_examples,
            t._eval_features,
            state,
            t.task_config.n_best_size,
            t.task_config.max_answer_length,
            lower,
            version_2_with_negative=is_v2,
            null_score_diff_threshold=t.task_config.null_score_diff_threshold,
        )
        sfx = '%s_%d' % (tag, vi)
        jsave('predictions_%s.json' % sfx, pred)
        jsave('nbest_%s.json' % sfx, nbest)
        if is_v2:
            jsave('null_odds_%s.json' % sfx, diff)
        metrics = t.reduce_aggregated_logs(state)
        full = (
            squad_evaluate_v2_0.evaluate(dataset, pred, diff)
            if is_v2
            else squad_evaluate_v1_1.evaluate(dataset, pred)
        )
        # the same from python floats (what a list of float64 would give)
        st64 = [
            qa.RawAggregatedResult(unique_id=int(u), start_logits=s.tolist(), end_logits=e.tolist())
            for u, s, e in zip(U, S, E)
        ]
        p64, n64, d64 = squad_lib.postprocess_output(
            t._eval_examples,
            t._eval_features,
            st64,
            t.task_config.n_best_size,
            t.task_config.max_answer_length,
            lower,
            version_2_with_negative=is_v2,
            null_score_diff_threshold=t.task_config.null_score_diff_threshold,
        )
        meta['variants'].append(
            {
                'suffix': sfx,
                'args': {
                    'version_2_with_negative': is_v2,
                    'do_lower_case': lower,
                    'seq_length': 384,
                    'doc_stride': 128,
                    'query_length': 64,
                    'n_best_size': t.task_config.n_best_size,
                    'max_answer_length': t.task_config.max_answer_length,
                    'null_score_diff_threshold': t.task_config.null_score_diff_threshold,
                },
                'task_metrics': metrics,
                'evaluate_result': full,
                'predictions_that_differ_if_summed_in_float64': [k for k in pred if pred[k] != p64[k]],
            }
        )
        print(sfx, metrics, flush=True)
    import shutil

    shutil.rmtree(os.path.join(out, 'work_' + tag), ignore_errors=True)
jsave('expected_metrics.json', meta)

# padding rule of the eval record file
pad = []
for tag, path in (('v1', v1),):
    for batch in (1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 24, 32, 48, 100):
        t = task_for(os.path.join(out, 'dev_v1.json'), False, batch, True, 'work_pad')
        ids = []
        for r in tf.data.TFRecordDataset(os.path.join(out, 'work_pad', 'eval.tf_record')):
            ids.append(
                int(tf.io.parse_single_example(r, {'unique_ids': tf.io.FixedLenFeature([], tf.int64)})['unique_ids'])
            )
        nf = len(t._eval_features)
        pad.append(
            {
                'global_batch_size': batch,
                'n_features': nf,
                'n_records': len(ids),
                'last_unique_ids': ids[-3:],
                'n_distinct_unique_ids': len(set(ids)),
            }
        )
import shutil

shutil.rmtree(os.path.join(out, 'work_pad'), ignore_errors=True)
jsave('eval_padding.json', pad)

# which features: seq/stride/query combinations, only counts and spans
combos = []
for seq, stride, ql in ((384, 128, 64), (128, 64, 16), (64, 32, 10), (64, 100, 8), (32, 8, 5), (512, 1, 64)):
    if stride == 1:
        continue
    t = task_for(os.path.join(out, 'dev_v1.json'), False, 8, True, 'work_c', seq=seq, stride=stride, qlen=ql)
    combos.append(
        {
            'seq_length': seq,
            'doc_stride': stride,
            'query_length': ql,
            'n_features': len(t._eval_features),
            'first': feats(t)[:12],
            'all_sha256': hashlib.sha256(json.dumps(feats(t), sort_keys=True).encode()).hexdigest(),
        }
    )
shutil.rmtree(os.path.join(out, 'work_c'), ignore_errors=True)
jsave('span_combos.json', combos)

# predictions with known scores
r = random.Random(seed)
known = []
for tag, path, is_v2 in (('v1', v1, False), ('v2', v2, True)):
    dataset = json.load(open(path, encoding='utf-8'))['data']
    qs = [(q['id'], q, p['context']) for a in dataset for p in a['paragraphs'] for q in p['qas']]

    def mangle(t):
        k = r.randrange(8)
        return [
            t,
            t.upper(),
            'The ' + t + '.',
            t + ' extra words',
            ' '.join(t.split()[:-1]) or t,
            '  ' + t.replace(' ', '  ') + ' ',
            t.replace('-', ' – '),
            '“' + t + '”',
        ][k]

    sets = {
        'perfect': {i: (q['answers'][0]['text'] if q['answers'] else '') for i, q, c in qs},
        'empty': {i: '' for i, q, c in qs},
        'mangled': {
            i: (mangle(q['answers'][-1]['text']) if q['answers'] else r.choice(['', 'something'])) for i, q, c in qs
        },
        'random_span': {
            i: ' '.join(c.split()[k : k + 4]) for i, q, c in qs for k in [r.randrange(max(1, len(c.split()) - 4))]
        },
        'half_missing': {
            i: (q['answers'][0]['text'] if q['answers'] else '') for n, (i, q, c) in enumerate(qs) if n % 2
        },
        'articles_only': {i: r.choice(['the', 'a', 'an', 'The.', '...', ' ']) for i, q, c in qs},
    }
    for n, pr in sets.items():
        row = {'dataset': 'dev_%s.json' % tag, 'name': n, 'predictions': pr}
        try:
            row['v1_1'] = squad_evaluate_v1_1.evaluate(dataset, pr)
        except Exception as e:
            row['v1_1'] = {'error': type(e).__name__, 'message': str(e)}
        try:
            row['v2_0'] = squad_evaluate_v2_0.evaluate(dataset, pr)
        except Exception as e:
            row['v2_0'] = {'error': type(e).__name__, 'message': str(e)}
        na = {i: round(r.uniform(-8, 8), 2) if r.random() < 0.8 else 0.0 for i in pr}
        row['na_probs'] = na
        try:
            row['v2_0_with_na'] = squad_evaluate_v2_0.evaluate(dataset, pr, na)
        except Exception as e:
            row['v2_0_with_na'] = {'error': type(e).__name__, 'message': str(e)}
        known.append(row)
jsave('known_scores.json', known)

# single functions
norm_in = [
    'The Cat',
    'a  an the',
    "Don't stop",
    'U.S.A.',
    'an apple a day',
    'theatre',
    'A.B.',
    'the-end',
    'x\u00a0y',
    'caf\u00e9 THE \u0130',
    '“the” ‘a’',
    'hello\u2014the\u2014world',
    'the\nend',
    '\u4e2d\u6587 the \u5b57',
    '',
    ' ',
    '!!!',
    'a!',
    'a_the',
    '1,000',
    '\u00e9a\u00e9 a',
    'e\u0301 a\u0301 the\u0301',
    'ΑΣ Σ',
    '\u2028x\x1cy\x85z',
    'the\u00ada',
    '\u0d05a\u0d4d a',
    'Straße STRASSE',
    'an\u200dx an',
]
f1 = []
ctx_words = ['the', 'a', 'cat', 'Cat.', 'sat', 'on', 'mat', 'U.S.', '1,000', 'caf\u00e9', 'x']
for _ in range(120):
    a = ' '.join(r.choice(ctx_words) for _ in range(r.randrange(0, 6)))
    b = ' '.join(r.choice(ctx_words) for _ in range(r.randrange(0, 6)))
    f1.append(
        {
            'pred': a,
            'gold': b,
            'v1_f1': squad_evaluate_v1_1._f1_score(a, b),
            'v1_em': squad_evaluate_v1_1._exact_match_score(a, b),
            'v2_f1': squad_evaluate_v2_0._compute_f1(b, a),
            'v2_em': squad_evaluate_v2_0._compute_exact(b, a),
        }
    )
gft = []
samples = [
    "Steve Smith's",
    '(1895-1943).',
    'na\u00efve caf\u00e9s, r\u00e9sum\u00e9',
    'U.S. $5.99 million',
    '\u4e2d\u6587\u5b57 mixed',
    'A\u200bB \u00adC',
    'e\u0301 decomposed',
    '\u0130stanbul city',
    'stra\u00dfe',
    'the  double  space',
    'x\u00a0y',
    '“Quoted” – text…',
    '\ufb01ne',
    '\ud55c\uad6d\uc5b4 \ud14d\uc2a4\ud2b8',
    "don't",
    'a\ufffdb',
    'end.',
    '#1 hit',
    'ΟΔΟΣ ΑΣ',
    'tab\tx',
]
for o in samples:
    for lower in (True, False):
        bt = tokenization.BasicTokenizer(do_lower_case=lower)
        tk = bt.tokenize(o)
        preds = {
            ' '.join(tk),
            ' '.join(tk[:1]),
            ' '.join(tk[1:]),
            ' '.join(tk[-1:]),
            'zzz',
            '',
            '[UNK]',
            tk[0][:1] if tk else '',
        }
        for pr in sorted(preds):
            try:
                gft.append(
                    {'pred': pr, 'orig': o, 'do_lower_case': lower, 'final': squad_lib.get_final_text(pr, o, lower)}
                )
            except Exception as e:
                gft.append({'pred': pr, 'orig': o, 'do_lower_case': lower, 'error': type(e).__name__})
smx = []
for _ in range(20):
    v = [np.float32(r.uniform(-30, 30)) for _ in range(r.randint(1, 8))]
    smx.append({'scores_float32': [float(x) for x in v], 'probs': [float(x) for x in squad_lib._compute_softmax(v)]})
jsave(
    'functions.json',
    {
        'normalize_answer': [
            [s, squad_evaluate_v1_1._normalize_answer(s), squad_evaluate_v2_0._normalize_answer(s)] for s in norm_in
        ],
        'f1_and_exact': f1,
        'get_final_text': gft,
        'softmax': smx,
    },
)
