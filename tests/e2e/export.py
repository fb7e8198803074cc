# SPDX-License-Identifier: Apache-2.0
"""--mode=export: what was exported predicts the same as the run that it came from; what is refused;
all files together or none. (What transformers computes from it: tests/ecosystem.)"""
import json
import os
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'support'))
import e2e  # noqa: E402
import weights  # noqa: E402

CONFIG, DATA, RESOURCES = 2, 3, 4
HF = ['README.md', 'config.json', 'model.safetensors', 'special_tokens_map.json', 'tokenizer.json',
      'tokenizer_config.json', 'vocab.txt']
WORDS = ('the a cat dog sat ran good bad very not café naïve . , ! ? ( ) ##s ##ing un ##cat '
         'é n o p b c d 1 2 ##1 ##2 中 文').split()
TEXTS = ['The cat sat .', 'a DOG ran , very good !', 'Café cats', 'bad dogs sat 12', '中文 cat',
         'the [SEP] cat [MASK]', 'uncat ' * 40]


def read_safetensors(path):
    with open(path, 'rb') as source:
        data = source.read()
    n = int.from_bytes(data[:8], 'little')
    header = json.loads(data[8:8 + n])
    return {name: data[8 + n + e['data_offsets'][0]:8 + n + e['data_offsets'][1]]
            for name, e in header.items() if name != '__metadata__'}, header


class Export(e2e.Case):
    def setUp(self):
        super().setUp()
        weights.write_folder(self.path('weights'), WORDS)
        rows = [(text, 'good' if i % 2 else 'bad', 'the cat' if i % 3 else 'a dog')
                for i, text in enumerate(TEXTS * 3)]
        self.write('rows.tsv', 'sentence1\tlabel\tsentence2\n' + ''.join(
            '%s\t%s\t%s\n' % row for row in rows))

    def go(self, *args, expect=0):
        result = e2e.run(list(args), cwd=self.folder)
        self.assertEqual(result.code, expect, str(result))
        return result

    def train(self, *more, experiment='bert/sentence_prediction', rows='rows.tsv', init='weights',
              override=''):
        keys = ('trainer.train_steps=3,trainer.checkpoint_interval=3,trainer.validation_interval=3,'
                'task.train_data.global_batch_size=4,task.validation_data.global_batch_size=4,'
                'trainer.optimizer_config.learning_rate.polynomial.initial_learning_rate=0.01')
        return self.go('--experiment=' + experiment, '--mode=train_and_eval', '--model_dir=run',
                       '--init=' + init, '--train=' + rows, '--eval=' + rows,
                       '--params_override=' + keys + override, *more)

    def export(self, form='hf', to='out', *more, **how):
        return self.go('--mode=export', '--export_format=' + form, '--model_dir=run',
                       '--output_path=' + to, *more, **how)

    def predict(self, model_dir, *more, rows='rows.tsv', output='p.tsv'):
        self.go('--mode=predict', '--model_dir=' + model_dir, '--predict=' + rows,
                '--output_path=' + output, *more)
        with open(self.path(output), 'rb') as source:
            return source.read()

    def text(self, *names):
        with open(self.path(*names), encoding='utf-8') as source:
            return source.read()


class Sentences(Export):
    def test_what_was_exported_predicts_the_same(self):
        self.train()
        wanted = self.predict('run')
        self.export()
        self.assertEqual(sorted(os.listdir(self.path('out'))), HF)
        shutil.rmtree(self.path('run'))
        os.remove(self.path('weights/vocab.txt'))
        got = self.predict('empty', '--experiment=bert/sentence_prediction', '--init=out',
                           '--text=sentence1,sentence2')
        self.assertEqual(got, wanted)
        config = json.loads(self.text('out/config.json'))
        self.assertEqual(config['id2label'], {'0': 'bad', '1': 'good'})
        self.assertEqual(config['architectures'], ['BertForSequenceClassification'])
        self.assertEqual(config['hidden_act'], 'gelu')  # gelu_erf here

    def test_without_the_data_and_what_it_started_from(self):
        self.train()
        self.export(to='first')
        for name in ('rows.tsv', 'weights/model.safetensors', 'weights/vocab.txt'):
            os.remove(self.path(name))
        before = e2e.read_tree(self.path('run'))
        self.export(to='second')
        self.assertEqual(e2e.read_tree(self.path('run')), before)
        first, second = (e2e.read_tree(self.path(name)) for name in ('first', 'second'))
        for name in HF[1:]:
            self.assertEqual(first[name], second[name])

    def test_the_weights_alone(self):
        self.train()
        self.export()
        _, theirs = read_safetensors(self.path('weights/model.safetensors'))
        _, ours = read_safetensors(self.path('out/model.safetensors'))
        for name, entry in theirs.items():  # shapes too: our own reader would take others
            self.assertEqual(ours['bert.' + name]['shape'], entry['shape'], name)
        self.assertEqual(len(ours), 1 + len(theirs) + 2)
        self.export('safetensors', 'alone')
        self.assertEqual(sorted(os.listdir(self.path('alone'))), ['config.json', 'model.safetensors'])
        for name in ('config.json', 'model.safetensors'):
            self.assertEqual(self.text('alone', name) if name.endswith('json') else
                             read_safetensors(self.path('alone', name)),
                             self.text('out', name) if name.endswith('json') else
                             read_safetensors(self.path('out', name)))


class Tokenizers(Export):
    """tokenizer.json against the one that the real library wrote for the same vocabulary and treatment
    (tests/make_goldens/make_folder_goldens.py; tests/ecosystem holds the ids against it)."""

    def test_as_the_library_writes_it(self):
        for name in ('cased', 'uncased', 'accents_kept', 'accents_off'):
            shutil.rmtree(self.path('run'), ignore_errors=True)
            self.train(init=e2e.golden('folders/' + name), override=(
                ',task.init_head=false,task.train_data.seq_length=16,task.validation_data.seq_length=16'))
            self.export('hf', name)
            made = json.loads(self.text(name, 'tokenizer.json'))
            with open(e2e.golden('folders/%s/tokenizer.json' % name), encoding='utf-8') as source:
                wanted = json.load(source)
            self.assertEqual(made.pop('truncation')['max_length'], 16)
            self.assertEqual(made.pop('padding')['pad_id'], 0)
            del wanted['truncation'], wanted['padding']
            # what is added after the vocabulary is a piece of it here
            for token in wanted['added_tokens']:
                wanted['model']['vocab'].setdefault(token['content'], token['id'])
                token['special'] = token['content'] in weights.SPECIAL
            for key in wanted:
                self.assertEqual(made[key], wanted[key], (name, key))
            self.assertEqual(sorted(made), sorted(wanted))
            config = json.loads(self.text(name, 'tokenizer_config.json'))
            self.assertIs(config['split_special_tokens'], False)
            pieces = self.text(name, 'vocab.txt').splitlines()
            self.assertEqual({piece: i for i, piece in enumerate(pieces)}, made['model']['vocab'])

    def test_a_vocabulary_of_lines(self):
        """No special token is looked for in texts; quotes and backslashes are pieces; the last of equal lines counts."""
        words = [w for w in WORDS if w != 'n'] + ['"', '\\', 'the']
        weights.write_folder(self.path('weights'), words)
        self.train()
        self.export()
        made = json.loads(self.text('out/tokenizer.json'))
        self.assertEqual(made['added_tokens'], [])
        self.assertEqual(made['model']['max_input_chars_per_word'], 400)
        pieces = weights.SPECIAL + words
        self.assertEqual(made['model']['vocab'], {piece: i for i, piece in enumerate(pieces)})
        self.assertIs(json.loads(self.text('out/tokenizer_config.json'))['split_special_tokens'], True)

    def test_without_a_vocabulary(self):
        """Of records of tokens nothing says which: told, and named by a key."""
        self.go('--experiment=bert/sentence_prediction', '--mode=train', '--model_dir=run', '--config_file=model.yaml',
                '--config_file=run.yaml')
        result = self.export()
        self.assertIn('nothing says which vocabulary made them', result.stderr)
        self.assertEqual(sorted(os.listdir(self.path('out'))), ['README.md', 'config.json', 'model.safetensors'])
        result = self.export('hf', 'named', '--experiment=bert/sentence_prediction', '--config_file=run/params.yaml',
                             '--params_override=task.train_data.vocab_file=weights/vocab.txt,'
                             'task.train_data.lower_case=false')
        self.assertEqual(sorted(os.listdir(self.path('named'))), HF)
        made = json.loads(self.text('named/tokenizer.json'))
        self.assertIs(made['normalizer']['lowercase'], False)
        self.assertEqual(made['truncation']['max_length'], 16)

    def test_other_words_than_the_training_s(self):
        self.train()
        self.write('other.txt', self.text('weights/vocab.txt').replace('cat', 'cow'))
        os.remove(self.path('run/vocab.txt'))
        args = ('--experiment=bert/sentence_prediction', '--config_file=run/params.yaml')
        result = self.export('hf', 'out', *args, '--params_override=task.train_data.vocab_file=other.txt', expect=CONFIG)
        self.assertIn('other.txt has other words than the training', self.one_error(result))
        self.assertFalse(os.path.exists(self.path('out')))

    def test_tensorflow_texts_tokenizer_is_told(self):
        self.write('pairs.tsv', 'left\tright\n' + ''.join('%s\t%s\n' % pair for pair in zip(TEXTS[:4], TEXTS[1:5])))
        self.train(experiment='bert/dual_encoder', rows='pairs.tsv', override=(
            ',task.train_data.text_rules=tensorflow,task.validation_data.text_rules=tensorflow'))
        self.assertIn('become other tokens there', self.export('sentence_transformers').stderr)


class TaskData(Export):
    """Rows for every experiment."""

    DATA = {'bert/sentence_prediction': 'rows.tsv', 'bert/tagging': 'words.conll', 'bert/squad': 'q.json',
            'bert/dual_encoder': 'pairs.tsv'}
    MORE = {'bert/squad': ',task.train_data.seq_length=24,task.validation_data.seq_length=24,'
            'task.train_data.doc_stride=8,task.validation_data.doc_stride=8,'
            'task.train_data.query_length=8,task.validation_data.query_length=8'}

    def setUp(self):
        super().setUp()
        words = [text.split() for text in TEXTS[:4]]
        self.write('words.conll', ''.join('\n'.join(
            '%s %s' % (w, ('O', 'B-PER', 'I-PER', 'B-LOC')[(i + n) % 4]) for i, w in enumerate(sentence)) + '\n\n'
            for n, sentence in enumerate(words)))
        self.write('q.json', json.dumps({'data': [{'title': 't%d' % n, 'paragraphs': [{
            'context': 'The cat sat . a dog ran , very good !', 'qas': [
                {'id': str(n), 'question': 'the dog ?', 'answers': [{'text': 'dog', 'answer_start': 16}]}]}]}
            for n in range(4)]}))
        self.write('pairs.tsv', 'left\tright\n' + ''.join(
            '%s\t%s\n' % (a, b) for a, b in zip(TEXTS[:4], TEXTS[1:5])))


class Tasks(TaskData):
    """Every head comes back as --init: what is predicted from the export is what the run predicts."""

    def outputs(self, experiment, *args, rows=None):
        """What a prediction writes, by name."""
        how = ('pairs.tsv',) if experiment == 'bert/dual_encoder' else ()
        shutil.rmtree(self.path('made'), ignore_errors=True)
        os.mkdir(self.path('made'))
        target = 'made' if experiment == 'bert/squad' else 'made/' + (how[0] if how else 'p.tsv')
        self.go('--mode=predict', '--predict=' + (rows or self.DATA[experiment]), '--output_path=' + target, *args)
        made = {name: data for name, data in e2e.read_tree(self.path('made')).items()}
        self.assertGreater(len(made), 0)
        return made

    def round_trip(self, experiment, init, form='hf', override='', expected=HF, rows=None, columns=()):
        for name in ('run', 'out', 'new'):
            shutil.rmtree(self.path(name), ignore_errors=True)
        more = self.MORE.get(experiment, '')
        self.train(experiment=experiment, rows=rows or self.DATA[experiment], init=init, override=more + override)
        wanted = self.outputs(experiment, '--model_dir=run', rows=rows)
        self.export(form)
        tree = e2e.read_tree(self.path('out'))
        self.assertEqual(sorted(tree), sorted(expected))
        got = self.outputs(experiment, '--experiment=' + experiment, '--model_dir=new', '--init=out',
                           *columns, *(['--params_override=' + more[1:]] if more else []), rows=rows)
        self.assertEqual(got, wanted)
        return json.loads(self.text('out/config.json'))

    def test_tags(self):
        config = self.round_trip('bert/tagging', e2e.golden('folders/tags'))
        self.assertEqual(config['architectures'], ['BertForTokenClassification'])
        self.assertEqual(list(config['id2label'].values()), ['O', 'B-PER', 'I-PER', 'B-LOC'])

    def test_a_distilbert_comes_back_as_a_bert(self):
        config = self.round_trip('bert/tagging', e2e.golden('folders/tags_distilbert'))
        self.assertEqual(config['model_type'], 'bert')

    def test_answers(self):
        for init, architecture in (('answers', 'BertForQuestionAnswering'),
                                   ('answers_albert', 'AlbertForQuestionAnswering')):
            config = self.round_trip('bert/squad', e2e.golden('folders/' + init))
            self.assertEqual(config['architectures'], [architecture])

    def test_an_albert_whose_embeddings_are_as_wide_as_its_layers(self):
        """transformers has a layer between them: the identity, which comes back as none."""
        sizes = dict(vocab_size=40, hidden_size=16, embedding_width=16, num_layers=2, num_attention_heads=2,
                     intermediate_size=32, max_position_embeddings=32, hidden_activation='gelu')
        keys = ['task.model.encoder.type=albert', 'task.model.num_classes=2', 'trainer.train_steps=3',
                'trainer.checkpoint_interval=3']
        keys += ['task.model.encoder.albert.%s=%s' % row for row in sizes.items()]
        keys += ['task.%s.%s' % (section, key) for section in ('train_data', 'validation_data') for key in (
            'text_fields=[sentence1]', 'vocab_file=weights/vocab.txt', 'input_path=rows.tsv', 'seq_length=32',
            'global_batch_size=4')]
        self.go('--experiment=bert/sentence_prediction', '--mode=train', '--model_dir=run',
                '--params_override=' + ','.join(keys))
        wanted = self.predict('run')
        self.export()
        again = ('--experiment=bert/sentence_prediction', '--init=out', '--text=sentence1')
        self.assertEqual(self.predict('new', *again), wanted)
        path = self.path('out/model.safetensors')
        values, header = read_safetensors(path)
        name = 'albert.encoder.embedding_hidden_mapping_in.weight'
        self.assertEqual(header[name]['shape'], [16, 16])
        with open(path, 'r+b') as target:  # no identity any more
            data = target.read()
            target.seek(data.index(values[name]) + 3)
            target.write(b'\x40')
        result = self.go('--mode=predict', '--model_dir=new', '--predict=rows.tsv', *again, expect=CONFIG)
        self.assertIn('has an embedding_projection, the model has none', self.one_error(result))

    def test_vectors(self):
        for pooling, unit in (('mean', 'true'), ('cls', 'false'), ('max', 'true'), ('pooler', 'true'),
                              ('pooler', 'false')):
            dense = ['2_Dense/config.json', '2_Dense/model.safetensors'] * (pooling == 'pooler')
            files = HF + ['1_Pooling/config.json', 'config_sentence_transformers.json', 'modules.json',
                          'sentence_bert_config.json'] + dense
            config = self.round_trip(
                'bert/dual_encoder', 'weights', 'sentence_transformers', ',task.model.pooling=%s,task.model.'
                'normalize=%s,task.train_data.text_rules=bert,task.validation_data.text_rules=bert'
                % (pooling, unit), files, columns=['--text=left,right'])
            self.assertEqual(config['architectures'], ['BertModel'])
            modules = [m['type'].split('.')[-1] for m in json.loads(self.text('out/modules.json'))]
            self.assertEqual(modules, ['Transformer', 'Pooling'] + ['Dense'] * (pooling == 'pooler') +
                             ['Normalize'] * (unit == 'true'))

    def test_a_dense_layer_that_is_not_the_pooler_is_refused(self):
        self.train(experiment='bert/dual_encoder', rows='pairs.tsv')
        self.export('sentence_transformers')
        path = self.path('out/2_Dense/model.safetensors')
        with open(path, 'r+b') as target:
            target.seek(-1, os.SEEK_END)
            target.write(b'\x3f')
        result = self.go('--experiment=bert/dual_encoder', '--mode=predict', '--model_dir=new', '--init=out',
                         '--text=left,right', '--predict=pairs.tsv', expect=CONFIG)
        self.assertIn("module 2 is 'Dense', which is not supported here", self.one_error(result))

    def test_averages_and_the_best_are_what_is_exported(self):
        """Not the trained weights, where an evaluation does not use these."""
        keys = (',trainer.optimizer_config.ema={average_decay: 0.5},trainer.best_checkpoint_export_subdir=best_ckpt,'
                'trainer.best_checkpoint_eval_metric=cls_accuracy')
        self.train(override=keys)
        for which in ('latest', 'best'):
            wanted = self.predict('run', '--checkpoint=' + which)
            self.export('hf', which, '--checkpoint=' + which)
            got = self.predict('n' + which, '--experiment=bert/sentence_prediction', '--init=' + which,
                               '--text=sentence1,sentence2')
            self.assertEqual(got, wanted)
            self.assertIn('moving averages', self.text(which, 'README.md'))
            values = e2e.trained_values(self.path('run', 'ckpt-3' if which == 'latest' else 'best_ckpt/best_ckpt-2'))
            biases, _ = read_safetensors(self.path(which, 'model.safetensors'))
            for name in ('classifier.bias', 'bert.encoder.layer.1.output.dense.bias'):
                holders = [key for key, raw in values.items() if raw == biases[name]]
                self.assertRegex(''.join(holders), r'^\S*OPTIMIZER_SLOT/optimizer/average\S*$')

    def test_several_labels_and_scores(self):
        self.write('rows.jsonl', ''.join(json.dumps(dict(text=t, label=[[], ['a', 'b'], ['b']][i % 3])) + '\n'
                                         for i, t in enumerate(TEXTS * 2)))
        config = self.round_trip('bert/sentence_prediction', 'weights', rows='rows.jsonl', columns=['--text=text'])
        self.assertEqual(config['problem_type'], 'multi_label_classification')
        self.assertEqual(list(config['id2label'].values()), ['a', 'b'])
        self.write('rows.tsv', 'sentence\tlabel\n' + ''.join(
            '%s\t%s\n' % (t, i / 4) for i, t in enumerate(TEXTS * 2)))
        config = self.round_trip('bert/sentence_prediction', 'weights', columns=['--text=sentence'])
        self.assertEqual(config['problem_type'], 'regression')
        self.assertEqual(len(config['id2label']), 1)


class Convert(Export):
    """bert-checkpoint keeps the names that a checkpoint has: not where transformers would not know them."""

    def convert(self, source, target, expect=0):
        result = e2e.run(['convert', source, target], 'bert-checkpoint', cwd=self.folder)
        self.assertEqual(result.code, expect, str(result))
        return result

    def test_beside_a_configuration_of_transformers(self):
        self.train()
        os.mkdir(self.path('free'))
        self.convert('run/ckpt-3', 'free/model.safetensors')
        self.export('safetensors', 'out')
        for target in ('out/model.safetensors', 'out/other.safetensors'):
            before = e2e.read_tree(self.path('out'))
            result = self.convert('run/ckpt-3', target, CONFIG)
            self.assertIn('transformers would take it for the weights of out/config.json',
                          self.one_error(result, 'bert-checkpoint'))
            self.assertIn('--mode=export --export_format=hf', result.stderr)
            self.assertEqual(e2e.read_tree(self.path('out')), before)
        self.convert('weights/model.safetensors', 'out/again.safetensors')  # its names are transformers'
        self.convert('run/ckpt-3', 'out/bundle')


class Refused(Export):
    def test_refused_before_anything_is_made(self):
        self.train()
        os.mkdir(self.path('full'))
        self.write('full/notes.txt', 'mine')
        for args, code, text in (
                (('tf', 'out'), CONFIG, "--export_format=tf: expected one of 'hf', 'safetensors'"),
                (('hf', 'full'), CONFIG, "full: the folder is not empty ('notes.txt' is in it)"),
                (('hf', 'rows.tsv'), 3, 'rows.tsv'),
                (('sentence_transformers', 'out'), CONFIG, 'for models that turn texts into vectors'),
                (('hf', 'out', '--checkpoint=run/ckpt-9'), DATA, 'ckpt-9'),
                (('hf', 'out', '--predict=rows.tsv'), CONFIG, '--predict=rows.tsv is for --mode=predict')):
            for more in ((), ('--dry_run',)):
                result = self.export(*args, *more, expect=code)
                self.assertIn(text, self.one_error(result))
                self.assertFalse(os.path.exists(self.path('out')))
        self.assertEqual(os.listdir(self.path('full')), ['notes.txt'])
        for args, text in ((('--output_path=out',), 'name the format in --export_format'),
                           (('--export_format=hf',), 'name the folder to make in --output_path'),
                           (('--export_format=hf', '--output_path=-'), '--output_path=-: --mode=export makes a folder')):
            result = self.go('--mode=export', '--model_dir=run', *args, expect=CONFIG)
            self.assertIn(text, self.one_error(result))
        result = self.go('--mode=export', '--model_dir=none', '--export_format=hf', '--output_path=out',
                         expect=CONFIG)
        self.assertIn('no params.yaml', self.one_error(result))

    def test_what_a_killed_export_left_is_no_hindrance(self):
        """Temporary files, and folders that were made for them: the same command makes it whole."""
        self.train()
        os.makedirs(self.path('out/1_Pooling'))
        for name in ('model.safetensors', '1_Pooling/config.json'):
            self.write('out/%s.tmp-0123456789abcdef' % name, 'half')
        before = e2e.read_tree(self.path('out'))
        self.export('hf', 'out', '--dry_run')
        self.assertEqual(e2e.read_tree(self.path('out')), before)
        self.export()
        self.assertEqual(sorted(os.listdir(self.path('out'))), ['1_Pooling'] + HF)
        self.assertEqual(os.listdir(self.path('out/1_Pooling')), [])

    def test_a_dry_run_makes_nothing(self):
        self.train()
        self.export('hf', 'a/b', '--dry_run')
        self.assertFalse(os.path.exists(self.path('a')))
        os.mkdir(self.path('run/other'))
        for name in os.listdir(self.path('run')):
            if name.startswith('ckpt-') or name == 'checkpoint':
                os.remove(self.path('run', name))
        result = self.export(expect=CONFIG)
        self.assertIn('no checkpoint in --model_dir run: train there first', self.one_error(result))


if __name__ == '__main__':
    e2e.main()
