# SPDX-License-Identifier: Apache-2.0
"""The index of a large input: the same bits with and without it, and no start that believes one which is not of
these bytes: files that were appended to, changed in place, cut or replaced, and indexes that were damaged."""
import json
import os
import shutil
import struct
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'support'))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import e2e  # noqa: E402
import ranks  # noqa: E402
import text_input  # noqa: E402

KNOWN, KEPT, DAMAGED = 'rows are is known from', 'is kept in', 'the index is not used'
QUICK = 'trainer.train_steps=1,trainer.steps_per_loop=1,trainer.validation_interval=0,trainer.checkpoint_interval=1'


class Indexed(text_input.Text):
    def setUp(self):
        super().setUp()
        self.env = {'BERT_TRAIN_INDEX_BYTES': '0', 'XDG_CACHE_HOME': self.path('cache')}
        os.mkdir(self.path('data'))

    def table(self, name, rows):
        """In its folder, in the form that its name says."""
        form = name.rsplit('.', 1)[1]
        with open(self.path('data', name), 'w', encoding='utf-8') as out:
            if form == 'jsonl':
                out.writelines(json.dumps({'sentence': text, 'label': label}) + '\n' for text, label in rows)
            elif form == 'csv':
                out.write('sentence,label\n')
                out.writelines('"%s",%s\n' % (text.replace('"', '""'), label) for text, label in rows)
            else:
                out.write('sentence\tlabel\n')
                out.writelines('%s\t%d\n' % row for row in rows)
        self.settle()
        return 'data/' + name

    @staticmethod
    def settle():
        time.sleep(0.03)  # a start waits for that itself

    def start(self, train='data/train.tsv', validation='data/dev.tsv', more='', **how):
        """Runs; what was said before the first step, without what is said of indexes."""
        more = 'runtime.threads=1' + (',' + more if more else '')
        result = self.text(override=self.tables(train, validation, more), env=self.env, **how)
        before = result.stderr.split('ready for the first step')[0].splitlines()[:-1]
        return result, [line for line in before if KNOWN not in line and KEPT not in line and 'memory: ' not in line]

    def both(self):
        for name, rows in self.rows.items():
            self.table(name + '.tsv', rows)

    def indexes(self, folder='data'):
        return sorted(name for name in os.listdir(self.path(folder)) if 'bert-index' in name)


class SameBits(Indexed):
    def test_every_form(self):
        """Training and evaluation, two files shuffled, with an index and without."""
        for form in ('tsv', 'csv', 'jsonl'):
            with self.subTest(form):
                half = len(self.rows['train']) // 2
                self.table('t1.' + form, self.rows['train'][:half])
                self.table('t2.' + form, self.rows['train'][half:])
                files = ('data/t*.' + form, self.table('dev.' + form, self.rows['dev']))
                off, said = self.start(*files, 'runtime.data_index=none', model_dir='off' + form)
                self.assertEqual(self.indexes(), [])
                first, said_first = self.start(*files, model_dir='first' + form)
                second, said_second = self.start(*files, model_dir='second' + form)
                self.assertEqual([r.stderr.count(KEPT) for r in (off, first, second)], [0, 2, 0])
                self.assertEqual([r.stderr.count(KNOWN) for r in (off, first, second)], [0, 0, 2])
                self.assertEqual(said, said_first)
                self.assertEqual(said, said_second)
                self.same_run('off' + form, 'first' + form)
                self.same_run('off' + form, 'second' + form)
                for name in self.indexes():
                    os.remove(self.path('data', name))

    def test_files_in_turns(self):
        """The order of several files that take turns, not shuffled."""
        half = len(self.rows['train']) // 3
        self.table('t1.tsv', self.rows['train'][:half])
        self.table('t2.tsv', self.rows['train'][half:])
        keys = 'task.train_data.shuffle_buffer_size=1,task.train_data.cycle_length=2,task.train_data.block_length=3'
        for folder in ('first', 'second'):
            self.start('data/t?.tsv', 'train.tsv', keys, model_dir=folder)
        self.start('data/t?.tsv', 'train.tsv', keys + ',runtime.data_index=none', model_dir='off')
        self.same_run('off', 'second')

    def test_rows_held_out(self):
        self.both()
        keys = ','.join('task.%s.held_out=%s,task.%s.held_out_share=0.25' % (section, what, section)
                        for section, what in (('train_data', 'without'), ('validation_data', 'only')))
        files = ('data/train.tsv', 'data/train.tsv', keys)
        _, said = self.start(*files[:2], keys + ',runtime.data_index=none', model_dir='off')
        self.start(*files, model_dir='first')
        second, said_second = self.start(*files, model_dir='second')
        self.assertEqual(second.stderr.count(KNOWN), 2)
        self.assertEqual(said, said_second)
        self.assertIn('held out of each class', second.stderr)
        self.same_run('off', 'second')
        # other names for the same labels: rows are drawn anew
        third, _ = self.start(*files[:2], keys + ',task.label_names=["1","0"]', model_dir='third')
        self.start(*files[:2], keys + ',task.label_names=["1","0"],runtime.data_index=none', model_dir='third_off')
        self.assertEqual(third.stderr.count(KNOWN) - third.stderr.count(KEPT), 0)
        self.same_run('third_off', 'third')

    def test_a_class_without_a_row_is_told_again(self):
        """Of rows that are held out: whoever starts a second time may not have seen the first one's warning."""
        self.table('train.tsv', self.rows['train'] + [('the dog', 2)])
        keys = 'task.model.num_classes=3,' + ','.join(
            'task.%s.held_out=%s,task.%s.held_out_share=0.25' % (section, what, section)
            for section, what in (('train_data', 'without'), ('validation_data', 'only')))
        files = ('data/train.tsv', 'data/train.tsv', QUICK + ',' + keys)
        runs = [self.start(*files[:2], files[2] + more, model_dir=name)
                for name, more in (('off', ',runtime.data_index=none'), ('first', ''), ('second', ''))]
        self.assertEqual([said for _, said in runs], [runs[0][1]] * 3)
        self.assertEqual(runs[2][0].stderr.count(KNOWN), 2)
        self.assertEqual([r.stderr.count('warning: task.validation_data: class 2 (1 row in all) has no row in this part') +
                          r.stderr.count('warning: task.train_data: class 2 (1 row in all) has no row in this part') for r, _ in runs], [1] * 3)

    def test_goes_on_with_one_that_came_or_went(self):
        self.both()
        self.start(model_dir='straight', more='runtime.data_index=none')
        half = 'trainer.train_steps=10,trainer.optimizer_config.learning_rate.polynomial.decay_steps=20'
        for folder, first, then in (('came', 'none', 'auto'), ('went', 'auto', 'none')):
            self.start(model_dir=folder, more=half + ',runtime.data_index=' + first)
            self.start(model_dir=folder, more='runtime.data_index=auto')
            self.start(model_dir=folder, more='trainer.train_steps=20,runtime.data_index=' + then)
            self.same_values(self.path('straight', 'ckpt-20'), self.path(folder, 'ckpt-20'))


class Short(Indexed):
    def test_the_short_command(self):
        """--train alone: what it decides by the labels, the rows it holds out and its weights."""
        self.table('t.csv', [(text, ('no', 'yes')[label]) for text, label in self.rows['train']])
        words = ['--experiment=bert/sentence_prediction', '--mode=train_and_eval', '--config_file=model.yaml', '--train=data/t.csv',
                 '--params_override=runtime.threads=1,task.model.num_classes=2,trainer.train_steps=3,trainer.steps_per_loop=3,trainer.summary_interval=3,'
                 'task.train_data.seq_length=16,task.validation_data.seq_length=16,task.train_data.vocab_file=%s,'
                 'task.validation_data.vocab_file=%s' % (text_input.VOCAB, text_input.VOCAB)]

        def go(folder, more=''):
            result = e2e.run(words[:-1] + [words[-1] + more, '--model_dir=' + folder], cwd=self.folder, env=self.env)
            self.assertEqual(result.code, 0, str(result))
            return result.stderr.split('ready for')[0].replace(',runtime.data_index=none', '')
        off = go('off', ',runtime.data_index=none')
        self.assertEqual(self.indexes(), [])
        first = go('first')
        self.assertEqual(first.count(KEPT), 2)
        before = self.indexes()
        second = go('second')
        self.assertEqual((second.count(KNOWN), second.count(KEPT), self.indexes()), (2, 0, before))
        self.assertEqual([line for line in off.splitlines() if 'memory' not in line and 'bert-train: ' in line][:3],
                         [line for line in second.splitlines() if KNOWN not in line and 'memory' not in line and 'bert-train: ' in line][:3])
        self.same_values(self.path('off', 'ckpt-3'), self.path('second', 'ckpt-3'))
        # a third label in the file: what is decided is decided anew
        with open(self.path('data/t.csv'), 'a', encoding='utf-8') as out:
            out.write('the dog,maybe\n')
        words[-1] = words[-1].replace('task.model.num_classes=2,', '')
        result = e2e.run(words + ['--model_dir=third'], cwd=self.folder, env=self.env)
        self.assertNotIn(KNOWN, result.stderr)
        self.assertIn('maybe', result.stderr)

    def test_of_several_processes_the_first_one_keeps_it(self):
        """Also what the short command learned before they know of each other. No index can lie beside this file, and
        each process has a cache of its own."""
        name = 'x' * 245 + '.csv'
        self.table(name, [(text, ('no', 'yes')[label]) for text, label in self.rows['train']])
        self.write('classless.yaml', e2e.TINY_MODEL.replace('    num_classes: 3\n', ''))
        words = ['--experiment=bert/sentence_prediction', '--mode=train', '--config_file=classless.yaml', '--train=data/' + name, '--model_dir=together',
                 '--params_override=runtime.threads=1,runtime.distribution_strategy=multi_worker_mirrored,trainer.train_steps=2,'
                 'trainer.steps_per_loop=2,task.train_data.seq_length=16,task.train_data.vocab_file=' + text_input.VOCAB]
        job = ranks.Job(e2e.program(), cwd=self.folder)
        self.addCleanup(job.kill)
        addresses = ranks.addresses_of(2)
        for rank in range(2):
            job.start({**ranks.tf_config(addresses, rank), **self.env, 'XDG_CACHE_HOME': self.path('cache%d' % rank)}, *words)
        for code, out, err in job.end():
            self.assertEqual(code, 0, out + err)
        self.assertEqual(len(os.listdir(self.path('cache0/bert-train/index'))), 2)
        self.assertFalse(os.path.exists(self.path('cache1')))

    def test_an_empty_place_is_refused(self):
        self.table('t.csv', [(text, str(label)) for text, label in self.rows['train']])
        result = e2e.run(['--experiment=bert/sentence_prediction', '--config_file=model.yaml', '--train=data/t.csv', '--mode=train',
                          '--model_dir=run', '--params_override=runtime.data_index=""'], cwd=self.folder, env=self.env)
        self.assertEqual(result.code, 2, str(result))
        self.assertIn('expected auto, none or a folder', result.stderr)

    def test_a_command_that_only_looks_keeps_none(self):
        self.table('t.csv', [(text, ('no', 'yes')[label]) for text, label in self.rows['train']])
        result = e2e.run(['config', 'print', '--experiment=bert/sentence_prediction', '--config_file=model.yaml', '--train=data/t.csv',
                          '--params_override=task.train_data.vocab_file=%s,task.validation_data.vocab_file=%s' % (
                              text_input.VOCAB, text_input.VOCAB)],
                         cwd=self.folder, env=self.env)
        self.assertEqual(result.code, 0, str(result))
        self.assertIn('num_classes', result.stdout)
        self.assertEqual((os.listdir(self.path('data')), os.path.exists(self.path('cache'))), (['t.csv'], False))

    def test_a_dry_run_of_a_sweep_keeps_none(self):
        """It looks at the labels as the sweep would."""
        self.table('t.csv', [(text, ('no', 'yes')[label]) for text, label in self.rows['train']])
        words = ['sweep', '--experiment=bert/sentence_prediction', '--config_file=model.yaml', '--train=data/t.csv', '--model_dir=swept',
                 '--seeds=2', '--metric=cls_accuracy', '--goal=max', '--params_override=trainer.train_steps=3,task.train_data.vocab_file=%s,'
                 'task.validation_data.vocab_file=%s' % (text_input.VOCAB, text_input.VOCAB)]
        sixteen = ',task.train_data.seq_length=16,task.validation_data.seq_length=16,task.model.num_classes=2'
        result = e2e.run(words[:-1] + [words[-1] + sixteen, '--dry_run'], cwd=self.folder, env=self.env)
        self.assertEqual((result.code, result.stdout.count('--train=data/t.csv')), (0, 2), str(result))
        self.assertNotIn('--dry_run', result.stdout)
        self.assertEqual((os.listdir(self.path('data')), os.path.exists(self.path('cache'))), (['t.csv'], False))


class Records(Indexed):
    def setUp(self):
        super().setUp()
        self.rows = e2e.make_rows(64, seed=7)
        self.shards(self.rows)
        self.keys = 'task.train_data.input_path="data/t*.rec",task.validation_data.input_path=data/dev.rec'

    def shards(self, rows):
        for i in range(3):
            e2e.write_records(self.path('data/t%d.rec' % i), rows[i::3])
        e2e.write_records(self.path('data/dev.rec'), e2e.make_rows(20, seed=8))
        self.settle()

    def go(self, model_dir, more=''):
        return self.train(override='runtime.threads=1,' + self.keys + more, model_dir=model_dir, run_how={'env': self.env})

    def test_the_same_bits(self):
        self.go('off', ',runtime.data_index=none')
        results = [self.go('first'), self.go('second')]
        self.assertEqual([(r.stderr.count(KEPT), r.stderr.count(KNOWN)) for r in results], [(2, 0), (0, 2)])
        for folder in ('first', 'second'):
            self.same_run('off', folder)

    def test_changed_ones_are_read_anew(self):
        self.go('before')
        self.shards(self.rows[:20] + self.rows[25:])  # another number in each
        result = self.go('after')
        self.assertEqual((result.stderr.count(KEPT), result.stderr.count(KNOWN)), (2, 0))
        self.go('fresh', ',runtime.data_index=none')
        self.same_run('fresh', 'after')

    def test_a_record_that_is_damaged_later_is_told(self):
        """Read anew, and its own checksum is wrong."""
        self.go('before')
        path = self.path('data/t1.rec')
        with open(path, 'rb+') as out:
            out.seek(200)
            out.write(b'\xff')
        self.assertIn('t1.rec', self.one_error(self.train(expect=3, override=self.keys, model_dir='after',
                                                          run_how={'env': self.env})))


class Changed(Indexed):
    """A start after a change is that of a fresh folder."""
    def setUp(self):
        super().setUp()
        self.both()
        self.start(more=QUICK, model_dir='before')

    def check(self, name, known):
        result, said = self.start(more=QUICK, model_dir=name)
        _, fresh = self.start(more=QUICK + ',runtime.data_index=none', model_dir=name + '_off')
        self.assertEqual(result.stderr.count(KNOWN), known, str(result))
        self.assertEqual(said, fresh)
        self.same_values(self.path(name, 'ckpt-1'), self.path(name + '_off', 'ckpt-1'))
        again, _ = self.start(more=QUICK, model_dir=name + '_again')
        self.assertEqual(again.stderr.count(KNOWN), 2, str(again))

    def test_rows_more(self):
        with open(self.path('data/train.tsv'), 'a', encoding='utf-8') as out:
            out.write('the dog\t1\n')
        self.check('more', 1)

    def test_cut(self):
        with open(self.path('data/train.tsv'), 'rb+') as out:
            text = out.read()
            out.truncate(text.rindex(b'\n', 0, -1) + 1)
        self.check('cut', 1)

    def test_in_place_with_size_and_times_put_back(self):
        path = self.path('data/train.tsv')
        state = os.stat(path)
        with open(path, 'rb+') as out:
            text = out.read()
            first = text.index(b'\n') + 1
            rows = text[first:].split(b'\n')
            out.seek(first)  # the same rows in another order: all lengths move
            out.write(b'\n'.join(rows[-2::-1] + [b'']))
        os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
        self.assertEqual(os.stat(path).st_size, state.st_size)
        self.check('inplace', 1)

    def test_replaced_by_others_of_the_same_size(self):
        path = self.path('data/train.tsv')
        with open(path, 'rb') as source:
            text = source.read()
        self.write('data/new', text.replace(b'the', b'dog'))
        os.utime(self.path('data/new'), ns=(os.stat(path).st_atime_ns, os.stat(path).st_mtime_ns))
        os.replace(self.path('data/new'), path)
        self.check('replaced', 1)

    def test_a_copy_of_the_same_bytes(self):
        """Read once for its checksum, and then known as it is."""
        shutil.copy(self.path('data/train.tsv'), self.path('data/copy'))
        os.replace(self.path('data/copy'), self.path('data/train.tsv'))
        self.settle()
        self.check('copy', 2)
        self.assertNotIn(KEPT, self.start(more=QUICK, model_dir='last')[0].stderr)


class Unseen(Indexed):
    """A change that the file's state does not tell, as one through a mapping that was there before: the index is made to
    know the new state, and is sound. The row that is read is not the one that it names."""

    def believe(self, name, path, before):
        """The index of that file, its state put in place of the one from before."""
        def state(st):
            return b'file %d %d %d %d.%09d %d.%09d' % (st.st_dev, st.st_ino, st.st_size, st.st_mtime_ns // 10**9, st.st_mtime_ns % 10**9,
                                                      st.st_ctime_ns // 10**9, st.st_ctime_ns % 10**9)
        then, now = state(before), state(os.stat(path))
        self.assertEqual(len(then), len(now))
        index = self.path('data', next(n for n in self.indexes() if name in n))
        with open(index, 'rb') as source:
            whole = bytearray(source.read())
        self.assertEqual(whole.count(then), 1)
        whole = bytearray(whole.replace(then, now))
        n_facts = struct.unpack('<Q', whole[24:32])[0]
        whole[56:60] = struct.pack('<I', e2e.crc32c(whole[72:72 + n_facts]))
        whole[68:72] = struct.pack('<I', e2e.crc32c(whole[:68]))
        with open(index, 'wb') as out:
            out.write(whole)

    def test_a_text(self):
        self.both()
        path, before = self.path('data/train.tsv'), os.stat(self.path('data/train.tsv'))
        self.start(more=QUICK, model_dir='before')
        with open(path, 'rb+') as out:
            text = out.read()
            out.seek(0)
            out.write(text.replace(b'the', b'dog'))
        self.believe('train', path, before)
        more = 'trainer.train_steps=20,trainer.validation_interval=0'
        result = self.text(expect=3, override=self.tables('data/train.tsv', 'data/dev.tsv', more), env=self.env, model_dir='after')
        said = self.one_error(result)
        self.assertIn(KNOWN, result.stderr)
        self.assertRegex(said, r'data/train\.tsv:\d+:1: this is not what the index was made of')
        self.assertIn('remove data/.train.tsv.bert-index-', said)

    def test_a_record(self):
        """Whose own checksum is right."""
        rows = e2e.make_rows(64, seed=7)
        path = self.path('data/t.rec')
        e2e.write_records(path, rows)
        e2e.write_records(self.path('data/dev.rec'), e2e.make_rows(20, seed=8))
        self.settle()
        before = os.stat(path)
        how = {'override': 'task.train_data.input_path=data/t.rec,task.validation_data.input_path=data/dev.rec', 'run_how': {'env': self.env}}
        self.train(model_dir='before', **how)
        with open(path, 'rb') as source:
            frames = source.read()
        n = 16 + struct.unpack('<Q', frames[:8])[0]
        other = next(at for at in range(n, len(frames) - n, n) if frames[at:at + n] != frames[:n])
        self.assertEqual(len(frames) % n, 0)  # all of one length
        with open(path, 'rb+') as out:
            out.write(frames[other:other + n])
        self.believe('t.rec', path, before)
        result = self.train(expect=3, model_dir='after', **how)
        self.assertIn(KNOWN, result.stderr)
        self.assertRegex(self.one_error(result), r'data/t\.rec: record 0 at byte 0: this is not what the index was made of')


class Damaged(Indexed):
    def test_each_region(self):
        """Told, and made again; never believed."""
        self.both()
        _, said = self.start(more=QUICK, model_dir='before')
        name = next(n for n in self.indexes() if 'train' in n)
        with open(self.path('data', name), 'rb') as source:
            whole = source.read()
        step = 1 if e2e.LONG else 37
        places = list(range(0, 72, 1 if e2e.LONG else 9)) + list(range(72, len(whole), step)) + [len(whole) - 1]
        for at in places:
            self.write('data/' + name, whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1:])
            result = self.text(override=self.tables('data/train.tsv', 'data/dev.tsv', QUICK), env=self.env,
                               model_dir='dry', more=['--dry_run'])
            # zeros at the end of the header are checked, too
            self.assertIn(DAMAGED, result.stderr, 'byte %d' % at)
            self.assertEqual(result.stderr.count(KNOWN), 1)
        for n in (0, 1, 71, 72, 200, len(whole) - 1):
            self.write('data/' + name, whole[:n])
            result, said_now = self.start(more=QUICK, model_dir='cut%d' % n)
            self.assertIn(DAMAGED, result.stderr)
            self.assertEqual([line for line in said_now if DAMAGED not in line], said)
        with open(self.path('data', name), 'rb') as source:
            self.assertEqual(source.read()[:8], whole[:8])
        self.assertEqual(self.start(more=QUICK, model_dir='after')[0].stderr.count(KNOWN), 2)

    def test_one_that_answers_another_question(self):
        """Under the name of this one."""
        self.both()
        self.start(more=QUICK, model_dir='before')
        train, dev = sorted(self.indexes(), key=lambda name: 'train' not in name)
        shutil.copy(self.path('data', dev), self.path('data', train))
        result, _ = self.start(more=QUICK, model_dir='after')
        self.assertEqual((result.stderr.count(KNOWN), result.stderr.count(KEPT)), (1, 1))


class Places(Indexed):
    def test_where(self):
        self.both()
        self.start(more=QUICK + ',runtime.data_index=none', model_dir='off')
        self.text(override=self.tables('data/train.tsv', 'data/dev.tsv', QUICK), env=self.env, model_dir='dry',
                  more=['--dry_run'])
        self.assertEqual((self.indexes(), os.path.exists(self.path('cache'))), ([], False))
        self.start(more=QUICK + ',runtime.data_index=kept', model_dir='kept')
        self.assertEqual((self.indexes(), len(self.indexes('kept'))), ([], 2))
        self.assertEqual(self.start(more=QUICK + ',runtime.data_index=kept', model_dir='k')[0].stderr.count(KNOWN), 2)
        self.assertTrue(all(name.startswith('.train.tsv.bert-index-') or name.startswith('.dev.tsv.bert-index-')
                            for name in (self.start(more=QUICK, model_dir='beside'), self.indexes())[1]))
        self.assertEqual(len(self.indexes()), 2)

    def test_a_small_input_leaves_nothing(self):
        self.both()
        del self.env['BERT_TRAIN_INDEX_BYTES']
        self.start(more=QUICK, model_dir='small')
        self.assertEqual((self.indexes(), os.path.exists(self.path('cache'))), ([], False))

    def test_in_the_cache_where_none_can_lie_beside(self):
        """A hidden name that would be too long stands for a folder that may not be written."""
        name = 'x' * 245 + '.tsv'
        self.table(name, self.rows['train'])
        files = ('data/' + name, 'dev.tsv', QUICK)
        first, _ = self.start(*files, model_dir='first')
        self.assertIn(KEPT + ' ' + self.path('cache/bert-train/index/'), first.stderr)
        self.assertEqual(self.indexes(), [])
        self.assertIn(KNOWN + ' ' + self.path('cache/bert-train/index/'), self.start(*files, model_dir='second')[0].stderr)
        os.chmod(self.path('cache/bert-train/index'), 0o777)  # anybody may have put it there
        third, _ = self.start(*files, model_dir='third')
        self.assertIn('cannot be kept', third.stderr)
        self.assertNotIn(KNOWN + ' ' + self.path('cache'), third.stderr)

    def test_a_place_that_cannot_be(self):
        """A file in the way, a folder that cannot be made or written: told, and the run is that without an index."""
        self.both()
        self.start(more=QUICK + ',runtime.data_index=none', model_dir='off')
        self.write('in_the_way', 'x')
        for i, place in enumerate(('in_the_way', 'in_the_way/below', 'data/train.tsv', '/proc/self/index', '/dev/null')):
            result, _ = self.start(more=QUICK + ',runtime.data_index=' + place, model_dir='run%d' % i)
            self.assertEqual((result.stderr.count('cannot be kept for the next start: '), result.stderr.count(KEPT)), (2, 0), str(result))
            self.same_values(self.path('off', 'ckpt-1'), self.path('run%d' % i, 'ckpt-1'))
        self.assertEqual((self.indexes(), os.path.exists(self.path('cache'))), ([], False))
        with open(self.path('in_the_way'), encoding='utf-8') as kept:
            self.assertEqual(kept.read(), 'x')

    def test_several_at_once(self):
        self.both()
        command = [e2e.program()] + self.args(
            override=self.tables('data/train.tsv', 'data/dev.tsv', QUICK), files=('model.yaml', 'run.yaml', 'text.yaml'))
        runs = []
        for i in range(4):
            words = [w if not w.startswith('--model_dir') else '--model_dir=at_once%d' % i for w in command]
            runs.append(subprocess.Popen(words, cwd=self.folder, env=dict(os.environ, **self.env),
                                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        self.assertEqual([run.wait(e2e.TIMEOUT) for run in runs], [0] * 4)
        self.assertEqual(len(os.listdir(self.path('data'))), 4)
        self.assertEqual(self.start(more=QUICK, model_dir='after')[0].stderr.count(KNOWN), 2)
        for i in range(4):
            self.same_values(self.path('at_once%d' % i, 'ckpt-1'), self.path('after', 'ckpt-1'))


if __name__ == '__main__':
    e2e.main()
