# SPDX-License-Identifier: Apache-2.0
"""Bad invocations of the real tool: what it says and its exit status.

usage: errors.py FINETUNING_DIR OUT.json
"""

import os, sys, json

root = sys.argv[1]
outp = sys.argv[2]
sys.argv[1:] = [root, 'err_tmp', '__none__']
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import finetuning as g
import shutil

E = os.path.join(root, 'err_in')
os.makedirs(E, exist_ok=True)


def w(n, b):
    p = os.path.join(E, n)
    os.makedirs(os.path.dirname(p), exist_ok=True)
    open(p, 'wb').write(b)


w('xp_blank/train-en.tsv', b'a\tb\t1\n\nc\td\t0\n')
w('xp_short/train-en.tsv', b'a\tb\n')
w('xp_label/train-en.tsv', b'a\tb\t7\n')
w('xp_utf8/train-en.tsv', b'a\xff\tb\t1\n')
w('xp_cr/train-en.tsv', b'a one\rtwo\tb "q\t1\r\nx\ty\t0\n')
w('xp_bom/train-en.tsv', b'\xef\xbb\xbfhello\tworld\t1\n')
w('xp_empty/train-en.tsv', b'')
w('xp_emptyb/train-en.tsv', b'hello\t\t1\nhello\t\xe2\x80\x8b\t1\n\t\t0\n')
w('xp_extra/train-en.tsv', b'a\tb\t1\textra\tmore\n')
w('xp_space/train-en.tsv', b'a\tb\t1 \n')
w('xp_big/train-en.tsv', b'a' * 131073 + b'\tb\t1\n')
w('px_cols/train-en.tsv', b'a\tO\tx\n')
w('px_label/train-en.tsv', b'a\tB-MISC\n')
w('px_ok/train-en.tsv', b'a\tO\n \tO\n\nb\tO')
w('sq_nodata.json', b'{"version": "1"}')
w('sq_bad.json', b'{"data": [')
w(
    'sq_noimp.json',
    json.dumps(
        {
            'data': [
                {
                    'title': 't',
                    'paragraphs': [
                        {
                            'context': 'a b',
                            'qas': [{'id': '1', 'question': 'q', 'answers': [{'text': 'a', 'answer_start': 0}]}],
                        }
                    ],
                }
            ]
        }
    ).encode(),
)
w(
    'sq_off.json',
    json.dumps(
        {
            'data': [
                {
                    'title': 't',
                    'paragraphs': [
                        {
                            'context': 'a b',
                            'qas': [{'id': '1', 'question': 'q', 'answers': [{'text': 'b', 'answer_start': 50}]}],
                        }
                    ],
                }
            ]
        }
    ).encode(),
)
w(
    'sq_emptyans.json',
    json.dumps(
        {
            'data': [
                {
                    'title': 't',
                    'paragraphs': [
                        {
                            'context': 'a b',
                            'qas': [{'id': '1', 'question': 'q', 'answers': [{'text': '', 'answer_start': 0}]}],
                        }
                    ],
                }
            ]
        }
    ).encode(),
)
w('sq_empty.json', b'{"data": []}')
w('vocab_small.txt', b'[PAD]\n[UNK]\n[CLS]\n[SEP]\na\nb\n##b\nhello\na\n\n')
w('vocab_nocls.txt', b'[PAD]\n[UNK]\na\nb\n')
w('vocab_nounk.txt', b'[PAD]\n[CLS]\n[SEP]\na\nb\n')
w('bucc/de-en.dev.de', b'de_1\ttext\n')
T = ['--train_data_output_path=err_tmp/t.tf_record', '--meta_data_file_path=err_tmp/m']
VU = '--vocab_file=../vocab/uncased.txt'
xp = (
    lambda d, *k: [
        '--fine_tuning_task_type=classification',
        '--classification_task_name=XTREME-PAWS-X',
        '--input_data_dir=err_in/' + d,
        VU,
        '--max_seq_length=16',
    ]
    + T
    + list(k)
)
px = (
    lambda d: [
        '--fine_tuning_task_type=tagging',
        '--input_data_dir=err_in/' + d,
        VU,
        '--max_seq_length=16',
        '--eval_data_output_path=err_tmp/e',
        '--test_data_output_path=err_tmp/x{}',
    ]
    + T
)
sq = (
    lambda f, *k: ['--fine_tuning_task_type=squad', '--squad_data_file=err_in/' + f, VU, '--max_seq_length=32']
    + T
    + list(k)
)
cases = {
    'no_flags': [],
    'no_meta_flag': [VU, '--train_data_output_path=err_tmp/t'],
    'no_vocab': T,
    'unknown_flag': T + ['--frobnicate=1'],
    'bad_task_type': ['--fine_tuning_task_type=ner'] + T,
    'bad_task_name': ['--classification_task_name=SST2', VU] + T,
    'lowercase_task_name_cola': ['--classification_task_name=cola', VU, '--tfds_params='] + T,
    'lowercase_boolq': ['--classification_task_name=boolq', VU] + T,
    'bool_flag_bad_value': ['--do_lower_case=maybe', VU] + T,
    'int_flag_bad_value': ['--max_seq_length=abc', VU] + T,
    'glue_with_input_data_dir': ['--classification_task_name=COLA', '--input_data_dir=raw/CoLA', VU] + T,
    'xnli_without_input_data_dir': ['--classification_task_name=XNLI', VU] + T,
    'xnli_bad_language': ['--classification_task_name=XNLI', '--input_data_dir=raw/XNLI', '--xnli_language=xx', VU]
    + T,
    'no_train_output_path': [
        '--classification_task_name=COLA',
        VU,
        '--eval_data_output_path=err_tmp/e',
        '--meta_data_file_path=err_tmp/m',
    ],
    'no_outputs_at_all': ['--classification_task_name=COLA', VU, '--meta_data_file_path=err_tmp/m'],
    'vocab_missing_file': ['--classification_task_name=COLA', '--vocab_file=no_such_vocab.txt'] + T,
    'sentencepiece_without_model': ['--tokenization=SentencePiece', VU] + T,
    'regression_without_tfds': ['--fine_tuning_task_type=regression', VU] + T,
    'squad_without_file': ['--fine_tuning_task_type=squad', VU] + T,
    'ax_g': ['--classification_task_name=AX-g', '--input_data_dir=raw/AX-g', VU] + T,
    'ax_g_only_test': [
        '--classification_task_name=AX-g',
        '--input_data_dir=raw/AX-g',
        VU,
        '--test_data_output_path=err_tmp/x',
    ]
    + T,
    'pawsx_test_path_without_braces': [
        '--classification_task_name=XTREME-PAWS-X',
        '--input_data_dir=raw/XTREME-PAWS-X',
        VU,
        '--test_data_output_path=err_tmp/x',
    ]
    + T,
    'retrieval_tatoeba_with_eval': [
        '--fine_tuning_task_type=retrieval',
        '--retrieval_task_name=tatoeba',
        '--input_data_dir=raw/tatoeba',
        VU,
        '--eval_data_output_path=err_tmp/e',
        '--meta_data_file_path=err_tmp/m',
    ],
    'retrieval_without_outputs': [
        '--fine_tuning_task_type=retrieval',
        '--input_data_dir=raw/bucc',
        VU,
        '--meta_data_file_path=err_tmp/m',
    ],
    'retrieval_bad_id': [
        '--fine_tuning_task_type=retrieval',
        '--input_data_dir=err_in/bucc',
        VU,
        '--eval_data_output_path=err_tmp/e',
        '--meta_data_file_path=err_tmp/m',
    ],
    'tagging_without_eval_path': ['--fine_tuning_task_type=tagging', '--input_data_dir=raw/panx', VU] + T,
    'tagging_without_test_path': [
        '--fine_tuning_task_type=tagging',
        '--input_data_dir=raw/panx',
        VU,
        '--eval_data_output_path=err_tmp/e',
    ]
    + T,
    'tagging_three_columns': px('px_cols'),
    'tagging_unknown_label': px('px_label'),
    'tagging_missing_dev': px('px_ok'),
    'tsv_blank_line': xp('xp_blank'),
    'tsv_short_row': xp('xp_short'),
    'tsv_unknown_label': xp('xp_label'),
    'tsv_invalid_utf8': xp('xp_utf8'),
    'tsv_cr': xp('xp_cr'),
    'tsv_bom': xp('xp_bom'),
    'tsv_empty': xp('xp_empty'),
    'tsv_empty_text_b': xp('xp_emptyb'),
    'tsv_extra_columns': xp('xp_extra'),
    'tsv_label_with_space': xp('xp_space'),
    'tsv_field_131073': xp('xp_big'),
    'tsv_missing_file': xp('no_such_dir'),
    'seq_len_3': ['--max_seq_length=3'] and xp('xp_bom', '--max_seq_length=3'),
    'seq_len_2': xp('xp_bom', '--max_seq_length=2'),
    'seq_len_1': xp('xp_bom', '--max_seq_length=1'),
    'seq_len_0': xp('xp_bom', '--max_seq_length=0'),
    'seq_len_1_single': xp('xp_emptyb', '--max_seq_length=1'),
    'seq_len_2_single': xp('xp_emptyb', '--max_seq_length=2'),
    'vocab_duplicate_and_blank': [f for f in xp('xp_extra') if f != VU] + ['--vocab_file=err_in/vocab_small.txt'],
    'vocab_without_cls': [f for f in xp('xp_extra') if f != VU] + ['--vocab_file=err_in/vocab_nocls.txt'],
    'vocab_without_unk': [f for f in xp('xp_bom') if f != VU] + ['--vocab_file=err_in/vocab_nounk.txt'],
    'squad_no_data_key': sq('sq_nodata.json'),
    'squad_bad_json': sq('sq_bad.json'),
    'squad_v2_without_is_impossible': sq('sq_noimp.json', '--version_2_with_negative'),
    'squad_answer_offset_past_end': sq('sq_off.json'),
    'squad_empty_answer_text': sq('sq_emptyans.json'),
    'squad_empty': sq('sq_empty.json'),
    'squad_missing': sq('nope.json'),
    # --max_seq_length=3 (no room for the document) never ends in the real tool: not run
    'squad_seq_5': sq('sq_noimp.json', '--max_seq_length=5'),
    'squad_doc_stride_0_short_doc': sq('sq_noimp.json', '--max_seq_length=32', '--doc_stride=0'),
    'squad_v1_bool_no_form': sq('sq_noimp.json', '--noversion_2_with_negative'),
    'meta_in_cwd': xp('xp_bom')[:-1] + ['--meta_data_file_path=err_tmp_meta'],
}
import base64
import tensorflow as tf

res = {}
for n, fl in cases.items():
    shutil.rmtree(os.path.join(root, 'err_tmp'), ignore_errors=True)
    rc, txt = g.run_case(fl)
    L = [l for l in txt.strip().split('\n') if l]
    outs = {}
    for dp, _, fs in os.walk(os.path.join(root, 'err_tmp')):
        for f in sorted(fs):
            p = os.path.join(dp, f)
            b = open(p, 'rb').read()
            outs[f] = {'size': len(b), 'base64': base64.b64encode(b).decode() if len(b) < 1500 else None}
    L2 = [
        l
        for l in L
        if l.startswith(('FATAL', 'absl.flags', 'flag --'))
        or 'lags' in l
        and ('must' in l or 'rror' in l or 'nknown' in l)
    ]
    last = g.scrub(L[-1]).replace(root, '.')[:400] if rc and L else None
    if rc and L and not last.strip():
        last = g.scrub(' | '.join(L[-3:]))
    res[n] = {
        'flags': fl,
        'exit_status': rc,
        'last_line': last,
        'flag_message': (g.scrub(L2[0])[:300] if rc and L2 and last.startswith('Pass --help') else None),
        'files_left': outs,
    }
    print(n, rc, (last or '')[:110], {k: v['size'] for k, v in outs.items()}, flush=True)
shutil.rmtree(os.path.join(root, 'err_tmp'), ignore_errors=True)
try:
    os.unlink(os.path.join(root, 'err_tmp_meta'))
except OSError:
    pass
json.dump(res, open(outp, 'w'), indent=1)
