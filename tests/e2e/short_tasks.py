# SPDX-License-Identifier: Apache-2.0
"""The short command of tags, questions and pairs on the sample data: what it decides, that
evaluations and predictions need the folder alone, what is held out, and what is refused."""
import gzip
import json
import os
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'support'))
import e2e  # noqa: E402
import held_out  # noqa: E402
import weights  # noqa: E402

CONFIG, DATA = 2, 3
RATE = 'trainer.optimizer_config.learning_rate.polynomial.initial_learning_rate'


def sample(name):
    return os.path.join(e2e.SOURCE, 'data', name)


class Tasks(e2e.Case):
    EXPERIMENT = TRAIN = DEV = ''

    def setUp(self):
        super().setUp()
        weights.write_folder(self.path('weights'), weights.words_of(sample('train.tsv'),
                                                                    sample('dev.tsv')))

    def short(self, *more, expect=0, mode='train_and_eval', train=None, evaluation=None,
              model_dir='out'):
        args = ['--experiment=' + self.EXPERIMENT, '--mode=' + mode, '--model_dir=' + model_dir,
                '--init=weights', '--train=' + (train or sample(self.TRAIN))]
        args += ['--eval=' + evaluation] if evaluation else []
        result = e2e.run(args + list(more), cwd=self.folder)
        self.assertEqual(result.code, expect, str(result))
        return result

    def refused(self, expect, text, *more, **how):
        result = self.short(*more, expect=expect, **how)
        self.assertIn(text, self.one_error(result))
        self.assertFalse(os.path.exists(self.path('out')))

    def bare(self, *more, mode='eval', expect=0):
        result = e2e.run(['--mode=' + mode, '--model_dir=out'] + list(more), cwd=self.folder)
        self.assertEqual(result.code, expect, str(result))
        return result

    def params(self):
        return e2e.read_params(self.path('out'))

    def has(self, params, *lines):
        for line in lines:
            self.assertIn(line + '\n', params)

    def read(self, name):
        with open(self.path(name), encoding='utf-8') as source:
            return source.read()


class Tagging(Tasks):
    EXPERIMENT, TRAIN, DEV = 'bert/tagging', 'tags_train.conll', 'tags_dev.conll'

    def test_the_sample_data(self):
        trained = self.short('--params_override=%s=0.01' % RATE, evaluation=sample(self.DEV))
        self.assertIn('seq_length 96', trained.stderr)  # what the model has; the default is 128
        self.assertIn('= 3 epochs of 600 rows in batches of 32', trained.stderr)
        self.has(self.params(), 'class_names: [O, B-PART, B-VIEW, I-PART]', 'seq_length: 96',
                 'global_batch_size: 32', 'epochs: 3', 'validation_interval: 19',
                 'checkpoint_interval: 19', 'steps_per_loop: 19', 'summary_interval: 19',
                 'best_checkpoint_eval_metric: f1', 'best_checkpoint_export_subdir: best_ckpt',
                 'include_sentence_id: true', 'vocab_file: weights/vocab.txt')
        self.assertTrue(os.path.exists(self.path('out/best_ckpt/checkpoint')))
        f1 = float(trained.stdout.split('\nf1 ')[1].split()[0])
        self.assertGreater(f1, 0.5)  # it learned something
        shutil.rmtree(self.path('weights'))
        self.assertEqual(self.bare().stdout, trained.stdout)
        self.bare('--checkpoint=best')
        self.bare('--predict=' + sample(self.DEV), '--output_path=a.conll', mode='predict')
        rows = [line.split() for line in self.read('a.conll').splitlines() if line]
        with open(sample(self.DEV), encoding='utf-8') as source:
            truth = [line.split('\t') for line in source.read().splitlines() if line]
        self.assertEqual([row[:2] for row in rows], truth)
        right = sum(row[1] == row[2] for row in rows) / len(rows)
        self.assertAlmostEqual(right, float(trained.stdout.split('\naccuracy ')[1].split()[0]), 5)

    def test_words_without_tags_get_tags_and_no_true_ones(self):
        self.short(evaluation=sample(self.DEV))
        self.write('words.conll', 'The\nsoup\nwas\nbland\n.\n\nFine\n')
        self.bare('--predict=words.conll', '--output_path=a.conll', mode='predict')
        self.assertEqual([len(line.split()) for line in self.read('a.conll').splitlines()],
                         [2, 2, 2, 2, 2, 0, 2, 0])
        self.write('table.csv', 'text,label\na,0\n')
        result = self.bare('--predict=table.csv', mode='predict', expect=DATA)
        self.assertIn('table.csv is text, not a record file: words with tags', self.one_error(result))
        self.write('words.jsonl', '{"tokens": ["The", "soup"]}\n')
        self.bare('--predict=words.jsonl', '--output_path=a.jsonl', mode='predict')
        self.assertEqual(json.loads(self.read('a.jsonl'))['words'], ['The', 'soup'])

    def test_lines_of_json_and_parts_of_speech(self):
        for name in ('train', 'dev'):
            rows = [{'words': ['the', name, 'was', 'bland'], 'tags': ['DET', 'NOUN', 'AUX', 'ADJ']},
                    {'words': ['bland'], 'tags': ['ADJ']}] * 8
            self.write(name + '.jsonl', ''.join(json.dumps(row) + '\n' for row in rows))
        self.short(train='train.jsonl', evaluation='dev.jsonl')
        self.has(self.params(), 'class_names: [ADJ, AUX, DET, NOUN]',
                 'best_checkpoint_eval_metric: accuracy')
        self.write('words.conll', 'soup NN x B-PART\nis VB x O\n\nis VB x O\n')
        result = self.short('--label=2', '--dry_run', train='words.conll',
                            evaluation='words.conll', model_dir='other')
        self.has(result.stdout, 'class_names: [NN, VB]', '    label_column: 2')
        # Words under another name, when the section says what they are.
        self.write('words.data', 'soup B-PART\nis O\n\nis O\n')
        words = ('--params_override=task.train_data.file_type=conll,'
                 'task.validation_data.file_type=conll')
        result = self.short(words, '--dry_run', train='words.data', evaluation='words.data',
                            model_dir='other')
        self.has(result.stdout, 'class_names: [O, B-PART]')
        self.has(result.stdout, '    file_type: conll')
        result = self.short('--dry_run', train='words.data', evaluation='words.data',
                            model_dir='other', expect=DATA)
        self.assertIn('words.data', self.one_error(result))
        self.write('words.conllup', '# global.columns = ID FORM UPOS MY:TAG\n1\tsoup\tNOUN\tB-X\n'
                   '2\tis\tAUX\tO\n')
        result = self.short('--label=MY:TAG', '--text=FORM', '--dry_run', train='words.conllup',
                            evaluation='words.conllup', model_dir='other')
        self.has(result.stdout, 'class_names: [O, B-X]', '    label_column_name: MY:TAG',
                 '    words_column_name: FORM')

    def test_names_of_the_run_are_enough(self):
        """A run whose command named no tags and whose training file is gone."""
        shutil.copy(sample(self.TRAIN), self.path('train.conll'))
        args = ['--experiment=bert/tagging', '--model_dir=out', '--params_override=task.train_data.'
                'input_path=train.conll,task.train_data.global_batch_size=32,task.train_data.'
                'vocab_file=weights/vocab.txt,task.validation_data.vocab_file=weights/vocab.txt,'
                'task.init_checkpoint=weights,trainer.train_steps=2,task.validation_data.'
                'global_batch_size=32,task.validation_data.input_path=' + sample(self.DEV)]
        trained = e2e.run(['--mode=train_and_eval'] + args, cwd=self.folder)
        self.assertEqual(trained.code, 0, str(trained))
        self.assertNotIn('class_names: [', self.params())
        os.remove(self.path('train.conll'))
        again = e2e.run(['--mode=eval'] + args, cwd=self.folder)
        self.assertEqual(again.code, 0, str(again))
        self.assertEqual(again.stdout, trained.stdout)
        self.assertEqual(self.bare().stdout, trained.stdout)

    def test_a_tenth_of_the_sentences(self):
        trained = self.short()
        for section, n, word in (('train', 540, 'without'), ('validation', 60, 'only')):
            self.assertIn('task.%s_data: %d of 600 sentences, %s those that are held out '
                          '(held_out_share 0.1, held_out_seed 0)' % (section, n, word),
                          trained.stderr)
        self.assertIn('examples 60 ', trained.stderr)
        self.assertNotIn('memorized', trained.stderr)
        self.assertEqual(self.bare().stdout, trained.stdout)
        self.assertIn('examples 150 ', self.bare('--eval=' + sample(self.DEV)).stderr)
        self.assertIn('name it with --predict',
                      self.one_error(self.bare(mode='predict', expect=CONFIG)))

    def test_a_sentence_of_several_rows_is_held_out_as_one(self):
        """Two sections that share no word: each sentence has one word, 200 times."""
        words = weights.words_of(sample('dev.tsv'))[20:40]
        self.write('long.conll', '\n'.join(('%s\t%s\n' % (w, 'AB'[i % 2])) * 200
                                           for i, w in enumerate(words)))
        result = self.short(train='long.conll')
        self.assertIn('task.validation_data: 2 of 20 sentences', result.stderr)
        self.assertIn('examples 6 ', result.stderr)  # 94 words in a row

    def test_refused(self):
        self.write('one.conll', 'a O\nb O\n')
        self.write('none.conll', 'a\nb\n')
        self.write('numbers.jsonl', '{"tokens": ["a"], "ner_tags": [1]}\n')
        self.write('two.conll', 'a O\nb X\n')
        self.refused(DATA, "every word has the same tag 'O'", train='one.conll')
        self.refused(DATA, 'none.conll:1: the word has no label', train='none.conll')
        self.refused(DATA, 'the labels are numbers: name them in the order of their numbers '
                     '(task.class_names)', train='numbers.jsonl')
        self.refused(CONFIG, "--label=0: expected one column of the words' file, its number from 1",
                     '--label=0')
        self.refused(DATA, "no line '# global.columns = ...' before its first word, which would say "
                     'which column is tag', '--label=tag')
        self.refused(CONFIG, '--label=2 contradicts task.train_data.label_column', '--label=2',
                     '--params_override=task.train_data.label_column=1')
        self.refused(DATA, 'sentences are held out (held_out_share 0.1): too few for that',
                     train='two.conll')
        self.refused(DATA, "unknown label 'X'; expected O, B-PART", evaluation='two.conll')
        self.refused(DATA, 'missing.conll', train='missing.conll')
        self.write('table.csv', 'text,label\na,0\nb,1\n')
        self.refused(DATA, 'table.csv is text, not a record file: words with tags are files called',
                     train='table.csv')
        self.refused(DATA, 'train.tsv: 2001 lines and no empty one between sentences',
                     train=sample('train.tsv'), evaluation=sample('dev.tsv'))


class Lengths(Tasks):
    """seq_length is the default's, or what the model and its tokenizer have; a line says so."""
    EXPERIMENT, TRAIN = 'bert/tagging', 'tags_train.conll'

    def length(self, *more):
        result = self.short('--dry_run', '--params_override=task.train_data.epochs=1', *more)
        lengths = {line.split()[1] for line in result.stdout.splitlines() if 'seq_length:' in line}
        self.assertEqual(len(lengths), 1)
        told = [line for line in result.stderr.splitlines() if 'supplies what was not set' in line and
                'seq_length' in line]
        return int(lengths.pop()), told

    def test_positions_and_tokenizer(self):
        words = weights.words_of(sample('dev.tsv'))
        for name, positions, longest, want in (('all', 512, None, 128), ('few', 40, None, 40),
                                               ('said', 512, 24, 24), ('both', 40, 64, 40),
                                               ('none', 512, 10 ** 30, 128)):
            with self.subTest(name):
                weights.write_folder(self.path('weights'), words,
                                     max_position_embeddings=positions)
                with open(self.path('weights/tokenizer_config.json'), 'w',
                          encoding='utf-8') as out:
                    json.dump({'do_lower_case': True, 'model_max_length': longest} if longest else
                              {'do_lower_case': True}, out)
                length, told = self.length()
                self.assertEqual(length, want)
                self.assertEqual(any('seq_length %d' % want in line for line in told), want != 128)
        length, _told = self.length('--config_file=task: {train_data: {seq_length: 16}, '
                                    'validation_data: {seq_length: 16}}')
        self.assertEqual(length, 16)


class Questions(Tasks):
    EXPERIMENT, TRAIN, DEV = 'bert/squad', 'questions_train.json', 'questions_dev.json'
    MORE = '--params_override=%s=0.01' % RATE

    def test_the_sample_data(self):
        trained = self.short(self.MORE, evaluation=sample(self.DEV))
        self.assertIn('= 2 epochs of 335 rows in batches of 48', trained.stderr)
        self.assertRegex(trained.stdout, r'^step 14\nexact_match \S+\nfinal_f1 ')
        self.has(self.params(), 'seq_length: 96', 'validation_interval: 7', 'epochs: 2',
                 'best_checkpoint_eval_metric: final_f1')
        self.assertNotIn('version_2_with_negative: true', self.params())
        shutil.rmtree(self.path('weights'))
        self.assertEqual(self.bare().stdout, trained.stdout)
        self.bare('--predict=' + sample(self.DEV), '--output_path=answers', mode='predict')
        self.assertEqual(len(json.loads(self.read('answers/predictions.json'))), 157)

    def made(self, name, n_articles, unanswered=False, titles=True):
        articles = []
        for a in range(n_articles):
            paragraphs = []
            for p in range(3):
                context = 'the soup %d %d was bland' % (a, p)
                qas = [{'id': '%s-%d-%d' % (name, a, p), 'question': 'what was bland?',
                        'answers': [{'text': 'soup', 'answer_start': 4}]}]
                if unanswered:
                    qas[0]['is_impossible'] = False
                    qas.append({'id': '%s-%d-%d-n' % (name, a, p), 'question': 'what was red?',
                                'answers': [], 'is_impossible': True})
                paragraphs.append({'context': context, 'qas': qas})
            articles.append(dict({'title': 'T%d' % a} if titles else {}, paragraphs=paragraphs))
        self.write(name, json.dumps({'version': 'x', 'data': articles}))

    def test_version_2_from_the_data(self):
        self.made('train.json', 4, unanswered=True)
        self.made('dev.json', 2, unanswered=True)
        trained = self.short(train='train.json', evaluation='dev.json')
        self.assertEqual(self.params().count('version_2_with_negative: true'), 2)
        self.assertIn('has_answer_f1', trained.stdout)
        self.assertEqual(self.bare().stdout, trained.stdout)
        self.refused_in('other', DATA,
                        '--params_override=task.train_data.version_2_with_negative=false,'
                        'task.validation_data.version_2_with_negative=false')
        # words that only look like the key, in a text
        self.made('train.json', 4)
        text = self.read('train.json').replace('what was bland?', r'\"is_impossible\": true, '
                                               r'\"answers\": []')
        self.write('train.json', text)
        result = self.short('--dry_run', train='train.json', model_dir='third')
        self.assertNotIn('version_2_with_negative: true', result.stdout)
        flat = [{'id': '1', 'context': 'a soup', 'question': 'b', 'answers': {
            'text': ['soup'], 'answer_start': [2]}}, {'id': '2', 'context': 'a soup',
                                                      'question': 'c', 'answers': {
                                                          'text': [], 'answer_start': []}}]
        self.write('flat.jsonl', ''.join(json.dumps(row) + '\n' for row in flat))
        with gzip.open(self.path('flat.jsonl.gz'), 'wt') as out:
            out.write(self.read('flat.jsonl'))
        with open(self.path('wide.jsonl'), 'w', encoding='utf-16') as out:
            out.write(self.read('flat.jsonl'))
        for name in ('flat.jsonl', 'flat.jsonl.gz', 'wide.jsonl'):
            result = self.short('--dry_run', train=name, evaluation=name, model_dir='third')
            self.assertIn('version_2_with_negative: true', result.stdout)

    def refused_in(self, model_dir, expect, *more):
        result = self.short(*more, expect=expect, train='train.json', evaluation='dev.json',
                            model_dir=model_dir)
        self.assertIn('version_2', self.one_error(result))

    def test_articles_or_paragraphs_are_held_out_as_one(self):
        trained = self.short(self.MORE)
        self.assertIn('task.train_data: 9 of 10 articles, without those that are held out',
                      trained.stderr)
        self.assertIn('task.validation_data: 1 of 10 articles, only those', trained.stderr)
        self.assertEqual(self.bare().stdout, trained.stdout)
        answered = json.loads(self.read('out/predictions.json'))
        at, = held_out.drawn(10)
        with open(sample(self.TRAIN), encoding='utf-8') as source:
            articles = json.load(source)['data']
        ids = [{qa['id'] for p in a['paragraphs'] for qa in p['qas']} for a in articles]
        self.assertEqual(set(answered), ids[at])
        for titles, n in ((True, 9), (False, 9)):
            self.made('few.json', 3, titles=titles)
            result = self.short('--dry_run', train='few.json', model_dir='few')
            self.assertIn('task.train_data: %d of 9 paragraphs' % (n - 1), result.stderr)
        self.made('many.json', 12, titles=False)
        result = self.short('--dry_run', train='many.json', model_dir='few')
        self.assertIn('task.train_data: 11 of 12 articles', result.stderr)
        self.write('flat.jsonl', ''.join(json.dumps(
            {'id': '%d-%d' % (i, k), 'context': 'the soup %d' % (i % 10), 'question': 'what',
             'answers': {'text': ['soup'], 'answer_start': [4]}}) + '\n'
            for k in range(2) for i in range(10)))
        result = self.short('--dry_run', train='flat.jsonl', model_dir='few')
        self.assertIn('task.validation_data: 1 of 10 articles', result.stderr)
        self.assertIn('task.validation_data: these have 2 of 20 questions', result.stderr)

    def test_refused(self):
        self.made('one.json', 1)
        with open(self.path('one.json'), encoding='utf-8') as source:
            data = json.load(source)
        data['data'][0]['paragraphs'] = data['data'][0]['paragraphs'][:1]
        self.write('one.json', json.dumps(data))
        self.write('bad.json', '{"data": [')
        self.write('empty.json', '')
        self.refused(DATA, 'paragraphs are held out (held_out_share 0.1): too few for that; name '
                     'other data to evaluate on (--eval)', train='one.json')
        self.refused(DATA, 'bad.json', train='bad.json')
        self.refused(DATA, 'empty.json', train='empty.json')
        self.refused(CONFIG, '--text: experiment bert/squad has no key', '--text=context')
        self.refused(DATA, 'tags_dev.conll', evaluation=sample('tags_dev.conll'))
        self.refused(DATA, "train.tsv is text, not a record file: questions are SQuAD's files",
                     train=sample('train.tsv'))


class Pairs(Tasks):
    EXPERIMENT, TRAIN, DEV = 'bert/dual_encoder', 'pairs_train.tsv', 'pairs_dev.tsv'

    def test_the_sample_data(self):
        trained = self.short(evaluation=sample(self.DEV))
        self.assertIn('= 3 epochs of 300 rows in batches of 32', trained.stderr)
        self.has(self.params(), 'left_text_fields: [query]', 'right_text_fields: [answer]',
                 'normalize: true', 'logit_scale: 20.0', 'validation_interval: 10',
                 'initial_learning_rate: 2.0e-05')
        shutil.rmtree(self.path('weights'))
        self.assertEqual(self.bare().stdout, trained.stdout)
        self.bare('--predict=' + sample(self.DEV), '--output_path=pairs.tsv', mode='predict')
        self.assertTrue(self.read('pairs.tsv').startswith('score\tleft_id\tright_id'))
        self.write('one.csv', 'text\nthe soup\nbland\n')
        result = self.bare('--predict=one.csv', '--text=text', '--output_path=one.npy',
                           mode='predict')
        self.assertIn('wrote 2 vectors of 16 numbers to one.npy', result.stderr)

    def test_columns(self):
        for name, head, more, left, right in (
                ('a.csv', 'positive,id,anchor', [], 'anchor', 'positive'),
                ('b.csv', 'sentence1;sentence2', [], 'sentence1', 'sentence2'),
                ('c.csv', 'x,y', ['--text=y,x'], 'y', 'x')):
            cut = ';' if ';' in head else ','
            n = head.count(cut) + 1
            self.write(name, head + '\n' + ''.join(
                cut.join('soup %d %d' % (i, k) for k in range(n)) + '\n' for i in range(40)))
            params = self.short('--dry_run', *more, train=name, evaluation=name).stdout
            self.assertEqual(params.count('left_text_fields: [%s]\n' % left), 2, params)
            self.assertEqual(params.count('right_text_fields: [%s]\n' % right), 2, params)

    def test_a_tenth_is_held_out(self):
        trained = self.short()
        lines = [line for line in trained.stderr.splitlines() if 'held out' in line]
        self.assertEqual(lines, [
            'bert-train: task.%s_data: %d of 300 pairs, %s those that are held out (held_out_share '
            '0.1, held_out_seed 0)' % row for row in (('train', 270, 'without'),
                                                      ('validation', 30, 'only'))])
        self.assertEqual(self.bare().stdout, trained.stdout)
        with open(sample(self.TRAIN), encoding='utf-8') as source:
            rows = [line.rstrip('\n').split('\t') for line in source][1:]
        for more, want in (([], held_out.drawn(300)), (['--params_override=task.validation_data.held_out_'
                                               'seed=7'], held_out.drawn(300, 7))):
            self.bare('--output_path=held.tsv', *more, mode='predict')
            found = [line.split('\t') for line in self.read('held.tsv').splitlines()[1:]]
            self.assertGreater(len(found), 1)
            for _score, left, right, left_text, right_text in found:
                self.assertEqual(left_text, rows[want[int(left)]][0])
                self.assertEqual(right_text, rows[want[int(right)]][1])
        # two files of lines are cut alike: no left side is beside another's right one
        for side, name in enumerate(('left.txt', 'right.txt')):
            self.write(name, ''.join(row[side] + '\n' for row in rows))
        more = ['--params_override=' + ','.join(
            'task.%s_data.%s' % (section, key) for section in ('train', 'validation')
            for key in ('file_type=lines', 'right_input_path=right.txt'))]
        lines = self.short(*more, train='left.txt', model_dir='lines')
        self.assertEqual(lines.stdout, trained.stdout)

    def test_refused(self):
        self.write('a.csv', 'frage,antwort\na,b\n')
        self.refused(CONFIG, "They are called 'frage', 'antwort': name them with --text=LEFT,RIGHT",
                     train='a.csv')
        self.refused(CONFIG, '--text=query: pairs have two sides', '--text=query')
        self.refused(CONFIG, '--text=a,b,c: pairs have two sides', '--text=a,b,c')
        self.refused(DATA, "pairs_train.tsv has no column 'nope'; its columns are 'query', "
                     "'answer'", '--text=query,nope')
        self.refused(CONFIG, "--text=query,query: 'query' appears twice", '--text=query,query')
        self.refused(DATA, 'tags_dev.conll is text, not a record file: call a table .tsv',
                     train=sample('tags_dev.conll'))
        self.refused(CONFIG, '--label: experiment bert/dual_encoder has no key', '--label=query')
        self.refused(CONFIG, '--text=answer,query contradicts task.train_data.left_text_fields',
                     '--text=answer,query',
                     '--params_override=task.train_data.left_text_fields=["query"]')


if __name__ == '__main__':
    e2e.main()
