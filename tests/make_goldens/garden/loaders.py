# SPDX-License-Identifier: Apache-2.0
"""Data-loader goldens: what the real loaders yield, and their errors.

usage: loaders.py FINETUNING_DIR VOCAB_DIR OUT_DIR
"""

import os, sys, json, hashlib, re

os.environ['TF_CPP_MIN_LOG_LEVEL'] = '2'
os.environ['CUDA_VISIBLE_DEVICES'] = '-1'
import numpy as np
import tensorflow as tf
from official.core import config_definitions as cfg, input_reader
from official.nlp.data import data_loader_factory as dlf
from official.nlp.data import (
    sentence_prediction_dataloader as sp,
    question_answering_dataloader as qd,
    tagging_dataloader as tg,
    dual_encoder_dataloader as de,
)

ft, vd, out = sys.argv[1:4]
os.makedirs(out, exist_ok=True)
O = lambda c, f='train.tf_record': os.path.join(ft, 'out', c, f)
V = os.path.join(vd, 'uncased.txt')


def scrub(m):
    m = re.sub(r'^\{\{function_node [^}]*\}\} ', '', m)
    m = re.sub(r'\[\[?\{\{node.*', '', m, flags=re.S)
    m = re.sub(r'V2:[0-9]+', 'V2', m)  # numbers of nodes
    m = re.sub(r'\s*\[Op:\w+\].*$', '', m, flags=re.S)
    return m.replace(os.path.abspath(ft), 'FT').replace(ft, 'FT').replace(out, 'OUT').replace(vd, 'VOCAB')[:400]


def desc(x):
    if isinstance(x, (tuple, list)):
        return [desc(y) for y in x]
    if isinstance(x, dict):
        return {k: desc(x[k]) for k in sorted(x)}
    a = x.numpy()
    h = hashlib.sha256(np.ascontiguousarray(a).tobytes()).hexdigest()[:16] if a.dtype != object else None
    d = {'dtype': str(a.dtype), 'shape': list(a.shape), 'sha256_16_le_bytes': h}
    if a.ndim == 1 and a.dtype != object:
        d['values'] = a.tolist()
    elif a.ndim == 2:
        d['row0'] = a[0].tolist() if len(a) else []
    return d


def run(name, c, take=2, batches_info=True):
    try:
        ds = dlf.get_data_loader(c).load()
        spec = str(ds.element_spec)
        n, sizes, first = 0, [], []
        for b in ds:
            if n < take:
                first.append(desc(b))
            flat = tf.nest.flatten(b)
            sizes.append(int(flat[0].shape[0]))
            n += 1
            if n >= 400:
                break
        return {
            'name': name,
            'element_spec': re.sub(r'TensorSpec', '', spec),
            'batch_sizes': sizes if not c.is_training or n < 400 else 'repeats',
            'first_batches': first,
        }
    except Exception as e:  # pylint: disable=broad-except
        return {'name': name, 'error': type(e).__name__, 'message': scrub(str(e))}


R = []
S = lambda **k: sp.SentencePredictionDataConfig(
    **dict(
        dict(input_path=O('cola'), is_training=False, drop_remainder=False, global_batch_size=64, seq_length=128), **k
    )
)
R.append(run('sp_eval_keep_remainder', S()))
R.append(run('sp_eval_drop_remainder', S(drop_remainder=True)))
R.append(run('sp_include_example_id', S(include_example_id=True), 1))
R.append(run('sp_label_name', S(label_name=('label_ids', 'next_sentence_labels')), 1))
R.append(run('sp_label_field_weightless', S(label_field='is_real_example'), 1))
R.append(run('sp_float_label_on_int_file', S(label_type='float')))
R.append(run('sp_stsb_float', S(input_path=O('sts-b'), label_type='float'), 1))
R.append(run('sp_int_label_on_float_file', S(input_path=O('sts-b'))))
R.append(run('sp_seq_64_on_128_file', S(seq_length=64)))
R.append(run('sp_seq_256_on_128_file', S(seq_length=256)))
R.append(run('sp_missing_label_field', S(label_field='nope')))
R.append(run('sp_two_files_comma', S(input_path=O('wnli') + ' , ' + O('wnli', 'eval.tf_record')), 2))
R.append(run('sp_two_files_list', S(input_path=[O('wnli'), O('wnli', 'eval.tf_record')]), 2))
R.append(run('sp_two_files_cycle1', S(input_path=O('wnli') + ',' + O('wnli', 'eval.tf_record'), cycle_length=1), 2))
R.append(
    run(
        'sp_two_files_cycle2_block3',
        S(
            input_path=O('wnli') + ',' + O('wnli', 'eval.tf_record'),
            cycle_length=2,
            block_length=3,
            deterministic=True,
        ),
        2,
    )
)
R.append(
    run(
        'sp_glob', S(input_path=os.path.join(ft, 'out', 'wnli', '*.tf_record'), cycle_length=1, deterministic=True), 1
    )
)
R.append(
    run(
        'sp_glob_small',
        S(
            input_path=os.path.join(ft, 'out', 'wnli', '*.tf_record'),
            cycle_length=1,
            global_batch_size=7,
            deterministic=True,
        ),
        1,
    )
)
R.append(run('sp_glob_no_match', S(input_path=os.path.join(ft, 'out', 'wnli', 'nothing*'))))
R.append(run('sp_no_such_file', S(input_path=os.path.join(ft, 'out', 'wnli', 'nothing.tf_record'))))
R.append(run('sp_empty_path', S(input_path='')))
R.append(run('sp_commas_only', S(input_path=' , ,')))
R.append(run('sp_bad_file_type', S(file_type='recordio')))
R.append(run('sp_batch_0', S(global_batch_size=0)))
R.append(run('sp_batch_larger_than_file_drop', S(global_batch_size=300, drop_remainder=True)))
R.append(run('sp_corrupt', S(input_path=os.path.join(ft, '..', 'tfrecord', 'bad_data_rec2.tfrecord'))))
gz = os.path.join(out, 'wnli_eval.gz.tf_record')
with tf.io.TFRecordWriter(gz, 'GZIP') as w:
    for r in tf.data.TFRecordDataset(O('wnli', 'eval.tf_record')):
        w.write(r.numpy())
R.append(run('sp_tfrecord_compressed', S(input_path=gz, file_type='tfrecord_compressed'), 1))


# shuffled order with a fixed seed
def order(name, **k):
    c = S(input_path=O('cola'), is_training=True, include_example_id=True, global_batch_size=50, **k)
    ids = []
    for i, b in enumerate(dlf.get_data_loader(c).load()):
        ids += b['example_id'].numpy().tolist()
        if i == 8:
            break
    return {'name': name, 'config': k, 'example_ids_first_450_of_200_rows_repeated': ids}


SH = [
    order('seed42_buf100', seed=42),
    order('seed42_buf100_again', seed=42),
    order('seed7_buf1', seed=7, shuffle_buffer_size=1),
    order('seed42_buf1000', seed=42, shuffle_buffer_size=1000),
    order('seed42_cache', seed=42, cache=True),
]
# match_files
MF = []
for p in ('a,b , c', ['a', 'b,c'], ' a ', 'x*y', '', ',', None, 3, ['a', 3], []):
    try:
        MF.append([p, input_reader.match_files(p)])
    except Exception as e:
        MF.append([p, type(e).__name__ + ': ' + str(e)])
Q = lambda **k: qd.QADataConfig(
    **dict(
        dict(input_path=O('squad_v1'), is_training=True, global_batch_size=16, seq_length=384, shuffle_buffer_size=1),
        **k
    )
)
R.append(run('qa_train', Q(), 1))
R.append(run('qa_train_xlnet', Q(input_path=O('squad_v1_xlnet'), seq_length=128, xlnet_format=True), 1))
R.append(
    run('qa_eval', Q(input_path=os.path.join(ft, '..', 'squad_eval', 'eval_v1.tf_record'), is_training=False), 1)
)
R.append(run('qa_train_on_eval_file', Q(input_path=os.path.join(ft, '..', 'squad_eval', 'eval_v1.tf_record'))))
R.append(run('qa_seq_128_on_384', Q(seq_length=128)))
T = lambda **k: tg.TaggingDataConfig(
    **dict(
        dict(
            input_path=O('tagging_panx', 'eval.tf_record'),
            is_training=False,
            global_batch_size=32,
            seq_length=128,
            drop_remainder=False,
        ),
        **k
    )
)
R.append(run('tagging', T(), 1))
R.append(run('tagging_ids', T(include_sentence_id=True), 1))
R.append(
    run(
        'tagging_batch_default_0',
        tg.TaggingDataConfig(input_path=O('tagging_panx', 'eval.tf_record'), is_training=False),
    )
)
# text loaders
txt = os.path.join(out, 'text_pairs.tf_record')
rows = [l.rstrip('\n').split('\t') for l in open(os.path.join(ft, 'raw', 'RTE', 'dev.tsv'), encoding='utf-8')][1:41]
with tf.io.TFRecordWriter(txt) as w:
    for i, r in enumerate(rows):
        B = lambda s: tf.train.Feature(bytes_list=tf.train.BytesList(value=[s.encode()]))
        I = lambda v: tf.train.Feature(int64_list=tf.train.Int64List(value=[v]))
        w.write(
            tf.train.Example(
                features=tf.train.Features(
                    feature={
                        'sentence1': B(r[1]),
                        'sentence2': B(r[2]),
                        'label': I(int(r[3] == 'not_entailment')),
                        'example_id': I(i),
                        'left_input': B(r[1]),
                        'right_input': B(r[2]),
                    }
                )
            ).SerializeToString(deterministic=True)
        )
X = lambda **k: sp.SentencePredictionTextDataConfig(
    **dict(
        dict(
            input_path=txt,
            text_fields=['sentence1', 'sentence2'],
            vocab_file=V,
            is_training=False,
            drop_remainder=False,
            global_batch_size=16,
            seq_length=64,
        ),
        **k
    )
)
R.append(run('sptext_pair', X(), 3))
R.append(run('sptext_pair_seq16', X(seq_length=16), 1))
R.append(run('sptext_single', X(text_fields=['sentence1'], include_example_id=True, seq_length=24), 1))
R.append(run('sptext_three_fields', X(text_fields=['sentence1', 'sentence2', 'sentence1'])))
R.append(run('sptext_no_fields', X(text_fields=None)))
R.append(run('sptext_no_vocab', X(vocab_file='')))
R.append(run('sptext_name_without_split', X(input_path='', tfds_name='glue/rte')))
R.append(run('sptext_both', X(tfds_name='glue/rte', tfds_split='train')))
R.append(run('sptext_neither', X(input_path='')))
R.append(run('sptext_bad_tokenization', X(tokenization='BPE')))
D = lambda **k: de.DualEncoderDataConfig(
    **dict(
        dict(
            input_path=txt, vocab_file=V, is_training=False, drop_remainder=False, global_batch_size=16, seq_length=32
        ),
        **k
    )
)
R.append(run('dual_encoder', D(), 2))
R.append(run('dual_encoder_no_input', D(input_path='')))
os.environ['TFDS_DATA_DIR'] = os.path.abspath(os.path.join(ft, 'tfds'))
R.append(
    run(
        'sptext_tfds_rte',
        X(
            input_path='',
            tfds_name='glue/rte',
            tfds_split='validation',
            tfds_data_dir=os.path.abspath(os.path.join(ft, 'tfds')),
        ),
        2,
    )
)
with open(os.path.join(out, 'expected.json'), 'w') as f:
    json.dump({'cases': R, 'shuffle_orders': SH, 'match_files': [[p, m] for p, m in MF]}, f, indent=1)
for r in R:
    print(
        r['name'], r.get('error'), (r.get('message') or '')[:160].replace('\n', ' '), str(r.get('batch_sizes'))[:60]
    )
