# SPDX-License-Identifier: Apache-2.0
"""docs/moving.md against the programs: each flag and key that it gives as ours is there; a flag of theirs that is not
ours is refused, and where the program names one of ours for it, the row has that one. (tests/ecosystem/
training_arguments.py asks whether a field of the real TrainingArguments has no row.)"""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'support'))
import pages  # noqa: E402
from pages import e2e  # noqa: E402

# the fields of ModelArguments and DataTrainingArguments of run_glue.py, run_qa.py and run_ner.py
SCRIPTS = '''model_name_or_path config_name tokenizer_name cache_dir use_fast_tokenizer model_revision token use_auth_token
trust_remote_code ignore_mismatched_sizes task_name dataset_name dataset_config_name train_file validation_file test_file
max_seq_length pad_to_max_length overwrite_cache preprocessing_num_workers max_train_samples max_eval_samples
max_predict_samples version_2_with_negative null_score_diff_threshold doc_stride n_best_size max_answer_length
text_column_name label_column_name label_all_tokens return_entity_level_metrics'''.split()
SHORT = {'RATE': 'trainer.optimizer_config.learning_rate', 'OPTIMIZER': 'trainer.optimizer_config.optimizer',
         'WARMUP': 'trainer.optimizer_config.warmup'}
# flags that are short for a key
STANDS_FOR = {'train': 'task.train_data.input_path', 'eval': 'task.validation_data.input_path',
              'predict': 'task.validation_data.input_path', 'init': 'task.init_checkpoint',
              'text': 'task.train_data.text_fields', 'label': 'task.train_data.label_field'}
KEY = re.compile(r'(?:task|trainer|runtime|RATE|OPTIMIZER|WARMUP)(?:\.\w+)+')
FLAG = re.compile(r'(?<![\w-])--(\w+)')


def long_form(key):
    first, _, rest = key.partition('.')
    return SHORT.get(first, first) + '.' + rest


def table():
    """[(their flags, the cell of ours, the rest)] but for train.py, whose flags are ours."""
    text = pages.read('docs', 'moving.md').split('\n## train.py')[0]
    return [(FLAG.findall(cells[0]), cells[1], cells[2]) for cells in pages.rows(text) if FLAG.findall(cells[0])]


class Moving(e2e.Case):
    def flags(self):
        found = set()
        for name in ('bert-train', 'create-finetuning-data'):
            found.update(re.findall(r'^  --(?:\[no\])?(\w+)', e2e.run(['--helpfull'], name=name).stdout, re.M))
        return found

    def test_what_is_ours_is_there(self):
        page = pages.read('docs', 'moving.md')
        keys = {long_form(key) for key in KEY.findall(page)} - set(SHORT.values())
        self.assertGreater(len(keys), 40)
        for key in sorted(keys):
            with self.subTest(key):
                result = e2e.run(['config', 'help', key])
                self.assertEqual(result.code, 0, str(result))
        flags = self.flags()
        ours = set().union(*(FLAG.findall(cell + ' ' + rest) for _, cell, rest in table()))
        for block in pages.blocks(page):
            if not block.commands.startswith('python'):
                ours.update(FLAG.findall(block.commands))
        self.assertEqual(sorted(ours - flags), [])

    def test_what_is_theirs_is_refused(self):
        seen = set()
        for theirs, cell, rest in table():
            for flag in theirs:
                with self.subTest(flag):
                    self.assertNotIn(flag, seen)
                    seen.add(flag)
                    result = e2e.run(['--experiment=bert/sentence_prediction', '--%s=1' % flag])
                    self.assertEqual(result.code, 2, str(result))
                    self.assertIn("unknown command line flag '%s'" % flag, result.stderr)
                    named = re.search(r'did you mean --params_override=(.*)=\.\.\.\?', result.stderr)
                    if named and 'not supported' not in cell and 'distribution_strategy' not in named.group(1):
                        ours = {long_form(key) for key in KEY.findall(cell + rest)}
                        ours.update(key for word, key in STANDS_FOR.items() if '`--%s`' % word in cell)
                        self.assertIn(named.group(1), ours)
        self.assertGreater(len(seen), 130)
        self.assertEqual(sorted(set(SCRIPTS) - seen), [])


if __name__ == '__main__':
    e2e.main()
