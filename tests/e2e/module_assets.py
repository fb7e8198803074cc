# SPDX-License-Identifier: Apache-2.0
"""The assets of a TF Hub module: its vocabulary and do_lower_case are those of text sections that name
no vocabulary, in every task that reads text and in every mode; a section's own are obeyed, and a
difference is told; params.yaml stays as the user wrote it."""
import json
import os
import random
import sys
import tarfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'support'))
import e2e  # noqa: E402

MODULE = e2e.golden('hub/small.tar.gz')
# the golden module: make_hub_goldens.py. Its vocabulary is [PAD] .. [MASK], word0 .. word18.
MODEL = """\
task:
  hub_module_url: module
  model:
    %s
    encoder:
      type: bert
      bert: {hidden_size: 8, intermediate_size: 16, max_position_embeddings: 8, vocab_size: 24,
             num_attention_heads: 2, num_layers: 2, dropout_rate: 0.0,
             attention_dropout_rate: 0.0}
"""
VOCAB = ('task.train_data.vocab_file="%s/assets/vocab.txt",'
         'task.validation_data.vocab_file="%s/assets/vocab.txt"')
WORDS = ['word%d' % i for i in range(19)]


def make_cased(folder):
    """As if the module had been exported with do_lower_case=False: half of its pieces have capitals."""
    index = os.path.join(folder, 'variables/variables.index')
    data = os.path.join(folder, 'variables/variables.data-00000-of-00001')
    name = 'do_lower_case' + e2e.SUFFIX
    offset = bundle_offset(index, name)
    with open(data, 'r+b') as out:
        out.seek(offset)
        assert out.read(1) == b'\1'
        out.seek(offset)
        out.write(b'\0')
    e2e.replace_checksum(index, name, e2e.masked_crc(b'\0'))
    path = os.path.join(folder, 'assets/vocab.txt')
    with open(path, encoding='utf-8') as source:
        pieces = source.read().split('\n')
    for i in range(5, 24, 2):
        pieces[i] = pieces[i].capitalize()
    with open(path, 'w', encoding='utf-8') as out:
        out.write('\n'.join(pieces))


def bundle_offset(index_path, wanted):
    with open(index_path, 'rb') as source:
        index = source.read()
    _offset, _size, at = e2e.read_handle(index, len(index) - 48)
    offset, size, _at = e2e.read_handle(index, at)
    for _key, handle in e2e.read_block(index, offset, size):
        for key, value in e2e.read_block(index, *e2e.read_handle(handle, 0)[:2]):
            if key.decode() == wanted:
                return dict(e2e.fields(value)).get(4, 0)
    raise AssertionError(wanted)


class Assets(e2e.Case):
    experiment = 'bert/sentence_prediction'
    model = 'num_classes: 2'
    text = """\
task:
  train_data: {input_path: train.tsv, text_fields: [sentence], seq_length: 8}
  validation_data: {input_path: dev.tsv, text_fields: [sentence], seq_length: 8}
"""

    def setUp(self):
        super().setUp()
        self.write('model.yaml', MODEL % self.model)
        self.write('text.yaml', self.text)
        for name in ('module', 'cased'):
            with tarfile.open(MODULE) as archive:
                archive.extractall(self.path(name))
        make_cased(self.path('cased'))
        self.make_data()

    def make_data(self):
        rng = random.Random(5)
        for name, n in (('train', 40), ('dev', 17)):
            lines = ['sentence\tlabel']
            for _ in range(n):
                words = [rng.choice((str.capitalize, str.lower))(rng.choice(WORDS))
                         for _ in range(rng.randint(1, 9))]
                lines.append('%s\t%d' % (' '.join(words), words[0][0] == 'w'))
            self.write(name + '.tsv', '\n'.join(lines) + '\n')

    def go(self, model_dir='out', override='', expect=0, **how):
        how.setdefault('files', ['model.yaml', 'run.yaml', 'text.yaml'])
        args = self.args(model_dir=model_dir, override=override, **how)
        args[0] = '--experiment=' + self.experiment
        result = e2e.run(args, cwd=self.folder)
        self.assertEqual(result.code, expect, str(result))
        return result

    def same_run(self, a, b, step=20):
        self.same_values(self.path(a, 'ckpt-%d' % step), self.path(b, 'ckpt-%d' % step))
        self.assertEqual(self.last(a), self.last(b))

    def last(self, folder):
        record = [r for r in e2e.read_jsonl(self.path(folder)) if r['kind'] == 'validation'][-1]
        return {k: v for k, v in record.items() if not k.endswith(('seconds', 'per_second'))}

    def warnings(self, result):
        return [line for line in result.lines('bert-train: warning: ') if 'module' in line]


class Sentences(Assets):
    def test_the_vocabulary(self):
        taken = self.go()
        self.assertIn('task.train_data: vocab_file module/assets/vocab.txt and lower_case true, '
                      'from the module', taken.stderr)
        self.assertIn('task.validation_data: vocab_file module/assets/vocab.txt', taken.stderr)
        named = self.go('named', VOCAB % ('module', 'module'))
        self.same_run('out', 'named')
        self.assertEqual(self.warnings(taken) + self.warnings(named), [])
        params = e2e.read_params(self.path('out'))
        self.assertNotIn('vocab', params.replace('vocab_size', ''))
        self.assertNotIn('lower_case', params)

    def test_every_mode(self):
        self.go(mode='train')
        self.go(mode='eval')
        again = self.last('out')
        self.go('whole')
        self.assertEqual(again['cls_accuracy'], self.last('whole')['cls_accuracy'])
        # params.yaml says enough, also to predict
        for name, more in (('a.tsv', ''), ('b.tsv', VOCAB % ('module', 'module'))):
            self.go(mode='predict', files=['out/params.yaml'], more=['--output_path=' + name],
                    override=more)
        with open(self.path('a.tsv'), encoding='utf-8') as a, open(self.path('b.tsv'),
                                                                   encoding='utf-8') as b:
            text = a.read()
            self.assertEqual(text, b.read())
        self.assertEqual(text.count('\n'), 17 + 1)

    def test_a_cased_module(self):
        taken = self.go(override='task.hub_module_url=cased')
        self.assertIn('cased/assets/vocab.txt and lower_case false, from the module', taken.stderr)
        self.assertEqual(self.warnings(taken), [])
        own = VOCAB % ('cased', 'cased') + ',task.hub_module_url=cased'
        cased = ',task.train_data.lower_case=false,task.validation_data.lower_case=false'
        named = self.go('named', own + cased)
        self.assertEqual(self.warnings(named), [])
        self.same_run('out', 'named')
        # lower_case true, the default, is obeyed with a vocabulary of one's own, and told
        lowered = self.go('lowered', own)
        self.assertNotEqual(self.last('out'), self.last('lowered'))
        for section in ('train', 'validation'):
            self.assertIn('task.%s_data.lower_case is true, but module cased was made with '
                          'do_lower_case false: task.%s_data.lower_case is used'
                          % (section, section), lowered.stderr)
        # a true that is written says no more than the default: it is in every params.yaml
        written = self.go('written', 'task.hub_module_url=cased,task.train_data.lower_case=true')
        self.same_run('out', 'written')
        self.assertEqual(len(self.warnings(written)), 1, str(written))
        self.assertIn("lower_case (--params_override: 'task.train_data.lower_case=true') is true",
                      self.warnings(written)[0])
        self.assertIn('do_lower_case false: false is used', self.warnings(written)[0])

    def test_false_is_the_users(self):
        cased = 'task.train_data.lower_case=false,task.validation_data.lower_case=false'
        taken = self.go(override=cased)
        # each section: the module says otherwise, and so do the pieces of its vocabulary
        self.assertEqual(len(self.warnings(taken)), 4, str(taken))
        self.assertIn('do_lower_case true: false is used', self.warnings(taken)[0])
        self.go('named', VOCAB % ('module', 'module') + ',' + cased)
        self.same_run('out', 'named')

    def test_another_vocabulary(self):
        with open(self.path('module/assets/vocab.txt'), encoding='utf-8') as source:
            pieces = source.read().split('\n')
        self.write('mine.txt', '\n'.join(pieces[:5] + pieces[5:24][::-1]) + '\n')
        own = 'task.train_data.vocab_file=mine.txt,task.validation_data.vocab_file=mine.txt'
        mine = self.go('mine', own)
        self.assertEqual(len(self.warnings(mine)), 2, str(mine))
        self.assertIn('task.train_data.vocab_file mine.txt is not the vocabulary of module module '
                      '(module/assets/vocab.txt): task.train_data.vocab_file is used',
                      self.warnings(mine)[0])
        self.go()
        self.assertNotEqual(self.last('out'), self.last('mine'))

    def test_sections_that_differ_in_case(self):
        result = self.go(expect=2, override='task.hub_module_url=cased,'
                         'task.train_data.vocab_file=module/assets/vocab.txt')
        self.assertIn('task.train_data.lower_case is true, task.validation_data.lower_case is false',
                      self.one_error(result))

    def test_no_vocabulary(self):
        os.rename(self.path('module/assets/vocab.txt'), self.path('module/assets/pieces.txt'))
        self.assertIn('vocab_file module/assets/pieces.txt', self.go().stderr)  # the only one there
        self.write('module/assets/readme.txt', 'hello')
        result = self.go('two', expect=2)
        self.assertIn('there is none in the assets of task.hub_module_url module',
                      self.one_error(result))
        self.assertFalse(os.path.exists(self.path('two')))
        # without a module it is as before
        result = self.go('none', expect=2, override="task.hub_module_url=''")
        self.assertIn('raw text needs task.validation_data.vocab_file too', str(result))

    def test_a_dry_run_fetches_nothing(self):
        url = 'https://localhost:1/m/4'
        result = self.go(more=['--dry_run'], override='task.hub_module_url="%s"' % url, expect=3)
        self.assertIn('not in the cache of modules', self.one_error(result))
        self.assertIn('hub_module_url: %s' % url, result.stdout)
        result = self.go(more=['--dry_run'])
        self.assertIn('from the module', result.stderr)
        self.assertEqual(self.warnings(result), [])


class Texts(Sentences):
    """The experiment of raw text, whose keys are Model Garden's own."""
    experiment = 'bert/sentence_prediction_text'

    def test_the_vocabulary(self):
        self.go()
        self.go('named', VOCAB % ('module', 'module'))
        self.same_run('out', 'named')
        self.assertEqual(e2e.read_params(self.path('out')).count("vocab_file: ''"), 2)

    def test_no_vocabulary(self):
        result = self.go('none', expect=2, override="task.hub_module_url=''")
        self.assertIn('task.hub_module_url brings one with it', str(result))

    def test_a_cased_params_yaml(self):
        """It has lower_case: true, and means the module's all the same."""
        self.go(override='task.hub_module_url=cased', mode='train')
        result = self.go(mode='eval', files=['out/params.yaml'])
        again = self.last('out')
        self.assertEqual(len(self.warnings(result)), 1, str(result))
        self.go('whole', override='task.hub_module_url=cased')
        self.assertEqual(again['cls_accuracy'], self.last('whole')['cls_accuracy'])
        self.assertEqual(again['validation_loss'], self.last('whole')['validation_loss'])


class Pairs(Assets):
    experiment = 'bert/dual_encoder'
    model = 'max_sequence_length: 8'
    text = """\
task:
  metric_type: null
  train_data: {input_path: train.tsv, seq_length: 8, global_batch_size: 4,
               left_text_fields: [left], right_text_fields: [right]}
  validation_data: {input_path: dev.tsv, seq_length: 8, global_batch_size: 4,
                    left_text_fields: [left], right_text_fields: [right]}
trainer: {best_checkpoint_eval_metric: left_mrr}
"""

    def make_data(self):
        rng = random.Random(6)
        self.write('text.yaml', self.text.replace('  metric_type: null\n', ''))
        self.write('run.yaml', e2e.TINY_RUN.replace('  metric_type: accuracy\n', ''))
        for name, n in (('train', 40), ('dev', 16)):
            rows = [[' '.join(rng.choices(WORDS, k=rng.randint(1, 5))) for _ in range(2)]
                    for _ in range(n)]
            self.write(name + '.tsv', 'left\tright\n' + ''.join('\t'.join(r) + '\n' for r in rows))
            for side in (0, 1):
                self.write('%s.%d' % (name, side), ''.join(r[side] + '\n' for r in rows))

    def test_tables_and_lines(self):
        self.go()
        self.go('named', VOCAB % ('module', 'module'))
        self.same_run('out', 'named')
        lines = ','.join('task.%s_data.input_path=%s.0,task.%s_data.right_input_path=%s.1,'
                         'task.%s_data.file_type=lines' % (s, f, s, f, s)
                         for s, f in (('train', 'train'), ('validation', 'dev')))
        self.go('lines', lines)
        self.same_run('out', 'lines')
        result = self.go('out-cased', 'task.hub_module_url=cased')
        self.assertIn('task.train_data: vocab_file cased/assets/vocab.txt and lower_case false',
                      result.stderr)

    def test_records_hold_ids(self):
        sides = []
        for seed in (1, 2):
            rows = e2e.make_rows(16, seed=seed, seq_length=8, vocab=24)
            sides.append(e2e.write_records(self.path('%d.tf_record' % seed), rows))
        records = ','.join('task.%s_data.input_path="%s",task.%s_data.right_input_path="%s"'
                           % (s, sides[0], s, sides[1]) for s in ('train', 'validation'))
        result = self.go(override=records)
        self.assertNotIn('from the module', result.stderr)
        os.rename(self.path('module'), self.path('away'))
        self.go(mode='eval', override=records)  # a checkpoint is there: no module is needed


class Squad(Assets):
    experiment = 'bert/squad'
    model = '{}'
    text = """\
task:
  train_data: &data {input_path: train.json, seq_length: 8, query_length: 2, doc_stride: 2,
                     global_batch_size: 4}
  validation_data: {input_path: dev.json, seq_length: 8, query_length: 2, doc_stride: 2,
                    global_batch_size: 4}
trainer: {train_steps: 20, steps_per_loop: 10, validation_interval: 20, checkpoint_interval: 20}
"""

    def make_data(self):
        rng = random.Random(7)
        self.write('model.yaml', (MODEL % 'x: 1').replace('    x: 1\n', ''))
        self.write('text.yaml', self.text.replace('&data ', ''))
        self.write('run.yaml', '{}\n')
        for name, n in (('train', 20), ('dev', 7)):
            paragraphs = []
            for i in range(n):
                words = [rng.choice(WORDS) for _ in range(rng.randint(3, 8))]
                words[1] = words[1].capitalize()
                at = len(words[0]) + 1
                answer = {'text': words[1], 'answer_start': at}
                paragraphs.append({'context': ' '.join(words), 'qas': [
                    {'id': '%s%d' % (name, i), 'question': words[0], 'answers': [answer]}]})
            self.write(name + '.json', json.dumps(
                {'version': '1.1', 'data': [{'title': 't', 'paragraphs': paragraphs}]}))

    def test_json(self):
        result = self.go()
        self.assertIn('task.train_data: vocab_file module/assets/vocab.txt and do_lower_case true',
                      result.stderr)
        self.go('named', VOCAB % ('module', 'module'))
        self.same_run('out', 'named')
        cased = self.go('out-cased', 'task.hub_module_url=cased')
        self.assertIn('vocab_file cased/assets/vocab.txt and do_lower_case false', cased.stderr)
        named = self.go('cased-named', VOCAB % ('cased', 'cased') + ',task.hub_module_url=cased,'
                        'task.train_data.do_lower_case=false,'
                        'task.validation_data.do_lower_case=false')
        self.assertEqual(self.warnings(named), [])
        self.same_run('out-cased', 'cased-named')
        result = self.go('none', expect=2, override="task.hub_module_url=''")
        self.assertIn('task.train_data.vocab_file is empty', self.one_error(result))


del Assets
if __name__ == '__main__':
    e2e.main()
