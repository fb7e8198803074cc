# SPDX-License-Identifier: Apache-2.0
"""Runs the real tool for every case.

usage: finetuning.py FINETUNING_DIR OUT_NAME [case-prefix ...]
FINETUNING_DIR holds raw/, tfds/ ; vocab at ../vocab (relative to it).
"""

import json, os, subprocess, sys, hashlib, time, re

root, oname = sys.argv[1], sys.argv[2]
only = sys.argv[3:]
V = os.environ.get('VOCAB_DIR', '../vocab') + '/'
U, C, M = V + 'uncased.txt', V + 'cased.txt', V + 'multi_cased.txt'


def io(case, test=True, tpat='test.tf_record', ev=True):
    o = '%s/%s/' % (oname, case)
    f = ['--train_data_output_path=' + o + 'train.tf_record', '--meta_data_file_path=' + o + 'meta_data']
    if ev:
        f.insert(1, '--eval_data_output_path=' + o + 'eval.tf_record')
    if test:
        f.insert(2, '--test_data_output_path=' + o + tpat)
    return f


CASES = {}


def cls(case, task, *extra, vocab=U, lower='true', seq=128, **kw):
    CASES[case] = (
        [
            '--fine_tuning_task_type=classification',
            '--classification_task_name=' + task,
            '--vocab_file=' + vocab,
            '--do_lower_case=' + lower,
            '--max_seq_length=%d' % seq,
        ]
        + list(extra)
        + io(case, **kw)
    )


for t in ('COLA', 'SST-2', 'MRPC', 'QQP', 'STS-B', 'QNLI', 'RTE', 'WNLI', 'AX'):
    cls(t.lower(), t)
cls('mnli_matched', 'MNLI', '--mnli_type=matched')
cls('mnli_mismatched', 'MNLI', '--mnli_type=mismatched', test=True)
cls('superglue_rte', 'SUPERGLUE-RTE')
cls('cb', 'CB')
cls('boolq', 'BoolQ')
cls('wic', 'WIC')
cls('imdb', 'IMDB', '--input_data_dir=raw/IMDB', test=False)
cls(
    'xnli_en',
    'XNLI',
    '--input_data_dir=raw/XNLI',
    '--xnli_language=en',
    vocab=M,
    lower='false',
    tpat='test_{}.tf_record',
)
cls('xnli_all', 'XNLI', '--input_data_dir=raw/XNLI', '--xnli_language=all', vocab=M, lower='false', test=False)
cls(
    'pawsx_de',
    'PAWS-X',
    '--input_data_dir=raw/PAWS-X',
    '--pawsx_language=de',
    vocab=M,
    lower='false',
    tpat='test_{}.tf_record',
)
cls('pawsx_all', 'PAWS-X', '--input_data_dir=raw/PAWS-X', '--pawsx_language=all', vocab=M, lower='false', test=False)
cls(
    'xtreme_xnli', 'XTREME-XNLI', '--input_data_dir=raw/XTREME-XNLI', vocab=M, lower='false', tpat='test_{}.tf_record'
)
cls(
    'xtreme_xnli_translated',
    'XTREME-XNLI',
    '--input_data_dir=raw/XTREME-XNLI',
    '--translated_input_data_dir=raw/XTREME-XNLI/translated',
    '--only_use_en_dev=false',
    vocab=M,
    lower='false',
    tpat='test_{}.tf_record',
)
cls(
    'xtreme_pawsx',
    'XTREME-PAWS-X',
    '--input_data_dir=raw/XTREME-PAWS-X',
    vocab=M,
    lower='false',
    tpat='test_{}.tf_record',
)
cls(
    'xtreme_pawsx_translated',
    'XTREME-PAWS-X',
    '--input_data_dir=raw/XTREME-PAWS-X',
    '--translated_input_data_dir=raw/XTREME-PAWS-X/translated',
    '--only_use_en_dev=false',
    vocab=M,
    lower='false',
    tpat='test_{}.tf_record',
)
cls('mrpc_cased', 'MRPC', vocab=C, lower='false')
cls('mrpc_seq32', 'MRPC', seq=32, test=False)
cls('mrpc_seq5', 'MRPC', seq=5, test=False)
cls('rte_seq64_multi', 'RTE', vocab=M, lower='true', seq=64)
for case, p in (
    ('tfds_cola', 'dataset=glue/cola,text_key=sentence'),
    ('tfds_mrpc', 'dataset=glue/mrpc,text_key=sentence1,text_b_key=sentence2'),
    (
        'tfds_mnli',
        'dataset=glue/mnli,text_key=premise,text_b_key=hypothesis,dev_split=validation_matched,test_split=test_matched',
    ),
):
    cls(case, 'MNLI', '--tfds_params=' + p, test=False)
cls('tfds_cola_with_test_fails', 'MNLI', '--tfds_params=dataset=glue/cola,text_key=sentence')
cls('tfds_cola_with_test_label_fails', 'MNLI', '--tfds_params=dataset=glue/cola,text_key=sentence,test_label=1')
CASES['tfds_stsb_regression'] = [
    '--fine_tuning_task_type=regression',
    '--vocab_file=' + U,
    '--max_seq_length=128',
    '--tfds_params=dataset=glue/stsb,text_key=sentence1,text_b_key=sentence2,is_regression=true,label_type=float',
] + io('tfds_stsb_regression', test=False)
cls(
    'tfds_cola_weight_skip',
    'MNLI',
    '--tfds_params=dataset=glue/cola,text_key=sentence,skip_label=0,weight_key=idx,test_split=validation,test_label=1',
    test=False,
)


def sq(case, f, *extra, vocab=U, lower='true', seq=384):
    CASES[case] = (
        [
            '--fine_tuning_task_type=squad',
            '--squad_data_file=raw/squad/' + f,
            '--vocab_file=' + vocab,
            '--do_lower_case=' + lower,
            '--max_seq_length=%d' % seq,
        ]
        + list(extra)
        + [
            '--train_data_output_path=%s/%s/train.tf_record' % (oname, case),
            '--meta_data_file_path=%s/%s/meta_data' % (oname, case),
        ]
    )


sq('squad_v1', 'train_v1.1.json', '--doc_stride=128', '--max_query_length=64')
sq('squad_v2', 'train_v2.0.json', '--version_2_with_negative=true', '--doc_stride=128', '--max_query_length=64')
sq('squad_v2_read_as_v1', 'train_v2.0.json')
sq('squad_v1_cased', 'train_v1.1.json', vocab=C, lower='false')
sq('squad_v1_seq96', 'train_v1.1.json', '--doc_stride=40', '--max_query_length=12', seq=96)
sq('squad_v1_xlnet', 'train_v1.1.json', '--xlnet_format=true', seq=128)
sq('squad_edge_v1', 'edge_train_v1.1.json', '--doc_stride=64', seq=160)
sq('squad_edge_v2', 'edge_train_v2.0.json', '--doc_stride=64', '--version_2_with_negative=true', seq=160)
sq('squad_edge_v1_multi_cased', 'edge_train_v1.1.json', '--doc_stride=64', vocab=M, lower='false', seq=160)
for t in ('panx', 'udpos'):
    for case, extra, seq in (
        (t, [], 128),
        (t + '_all_langs', ['--tagging_only_use_en_train=false', '--only_use_en_dev=false'], 64),
        (t + '_seq16', [], 16),
    ):
        CASES['tagging_' + case] = (
            [
                '--fine_tuning_task_type=tagging',
                '--tagging_task_name=' + t,
                '--input_data_dir=raw/' + t,
                '--vocab_file=' + M,
                '--do_lower_case=false',
                '--max_seq_length=%d' % seq,
            ]
            + extra
            + io('tagging_' + case, tpat='test_{}.tf_record')
        )
for t in ('bucc', 'tatoeba'):
    CASES['retrieval_' + t] = (
        [
            '--fine_tuning_task_type=retrieval',
            '--retrieval_task_name=' + t,
            '--input_data_dir=raw/' + t,
            '--vocab_file=' + M,
            '--do_lower_case=false',
            '--max_seq_length=128',
            '--test_data_output_path=%s/retrieval_%s/' % (oname, t),
        ]
        + (['--eval_data_output_path=%s/retrieval_%s/' % (oname, t)] if t == 'bucc' else [])
        + ['--meta_data_file_path=%s/retrieval_%s/meta_data' % (oname, t)]
    )


def scrub(s):
    s = re.sub(r'/[^\s"\']*/(site-packages|lib/python[0-9.]*)/', '<py>/', s)
    return s


def child(flags):
    """Runs in a forked child: the tool's own module as __main__."""
    os.chdir(root)
    os.environ['TFDS_DATA_DIR'] = os.path.abspath('tfds')
    sys.argv = ['create_finetuning_data.py'] + flags
    runpy.run_module('official.nlp.data.create_finetuning_data', run_name='__main__', alter_sys=False)


# TensorFlow is imported once, each case then runs in a fork of this process
os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')
os.environ['CUDA_VISIBLE_DEVICES'] = '-1'
import runpy, traceback

os.environ['TFDS_DATA_DIR'] = os.path.abspath(os.path.join(root, 'tfds'))
import tensorflow as tf
import tensorflow_datasets as tfds
from tensorflow_datasets.core.utils import gcs_utils

gcs_utils.is_dataset_on_gcs = lambda name: False  # there is no network
gcs_utils.exists = lambda p: False
gcs_utils.gcs_dataset_info_files = lambda n: None
from official.nlp.data import classifier_data_lib, sentence_retrieval_lib, squad_lib, squad_lib_sp, tagging_data_lib


def run_case(flags):
    log = os.path.join(root, '.log')
    pid = os.fork()
    if pid == 0:
        fd = os.open(log, os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
        os.dup2(fd, 1)
        os.dup2(fd, 2)
        rc = 1
        try:
            child(flags)
            rc = 0
        except SystemExit as e:
            rc = e.code if isinstance(e.code, int) else (0 if e.code is None else 1)
        except BaseException:
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(rc or 0)
    _, st = os.waitpid(pid, 0)
    txt = open(log, errors='replace').read()
    os.unlink(log)
    return os.waitstatus_to_exitcode(st), txt


if __name__ == '__main__':
    for case, flags in CASES.items():
        if only and not any(case.startswith(p) for p in only):
            continue
        odir = os.path.join(root, oname, case)
        if os.path.exists(os.path.join(odir, 'status.json')):
            continue
        miss = [
            f.split('=', 1)[1]
            for f in flags
            if f.startswith('--input_data_dir=') and not os.path.isdir(os.path.join(root, f.split('=', 1)[1]))
        ]
        if miss:
            print('skip', case, miss, flush=True)
            continue
        t0 = time.time()
        os.makedirs(odir, exist_ok=True)
        rc, txt = run_case(flags)
        err = [l for l in txt.strip().split('\n') if l]
        open(os.path.join(odir, 'command.txt'), 'w').write(
            'TFDS_DATA_DIR=tfds python -m official.nlp.data.create_finetuning_data \\\n  '
            + ' \\\n  '.join(flags)
            + '\n'
        )
        json.dump(
            {'exit_status': rc, 'last_line': scrub(err[-1]) if rc and err else None},
            open(os.path.join(odir, 'status.json'), 'w'),
        )
        print(case, rc, '%.1fs' % (time.time() - t0), scrub(err[-1])[:150] if rc and err else '', flush=True)
