# SPDX-License-Identifier: Apache-2.0
"""Every kind of bad input gets one clear sentence, the exit status of its kind, and leaves nothing
half-written: no crash, no hang, no silence. Each test is one kind; what the sentence must name
is beside it."""
import os
import re
import resource
import shutil
import signal
import struct
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../e2e/support'))
import e2e  # noqa: E402

CONFIG, DATA, RESOURCES, DIVERGED = 2, 3, 4, 6


class BadInput(e2e.Case):
    """refused() runs a job that must fail before it touches model_dir; a dry run of it fails alike,
    unless that cannot be foreseen."""

    def refused(self, code, *words, override='', mode='train_and_eval', n_errors=1, foreseen=True,
                **how):
        dry = None
        if foreseen:
            dry = self.train(expect=None, override=override, mode=mode,
                             **dict(how, more=list(how.get('more', ())) + ['--dry_run']))
        result = self.train(expect=None, override=override, mode=mode, **how)
        if foreseen:
            self.assertEqual((dry.code, dry.errors()), (result.code, result.errors()), 'dry run')
        self.assertEqual(result.code, code, str(result))
        errors = result.errors()
        self.assertEqual(len(errors), n_errors, str(result))
        for word in words:
            self.assertRegex('\n'.join(errors), word, str(result))
        self.assertEqual(result.stdout, '', 'stdout carries results only')
        return result

    def untouched(self, code, *words, **how):
        result = self.refused(code, *words, **how)
        self.assertFalse(os.path.exists(self.path('out')), 'model_dir was made before the refusal')
        return result


class Secrets(BadInput):
    def test_an_override_that_cannot_be_read(self):
        for override in ('task.train_data.input_path=https://me:PASSWORD@h/x?sig=SIGNED',
                         'a=gs://b/c?key=SIGNED,task.x=[', 'a=https://PASSWORD@h/,b=['):
            result = self.untouched(CONFIG, '--params_override=', override=override)
            self.assertNotRegex(result.stderr, 'PASSWORD|SIGNED')


class Files(BadInput):
    def test_missing_training_file(self):
        self.untouched(DATA, r'nowhere\.tf_record', 'no such file',
                       override='task.train_data.input_path=nowhere.tf_record')

    def test_missing_validation_file(self):
        self.untouched(DATA, r'nowhere\.tf_record',
                       override='task.validation_data.input_path=nowhere.tf_record')

    def test_pattern_without_a_match(self):
        self.untouched(DATA, r'nothing\*\.rec', override='task.train_data.input_path=nothing*.rec')

    def test_unreadable_file(self):
        os.chmod(self.path('train.tf_record'), 0)
        if os.geteuid() != 0:
            self.untouched(DATA, r'train\.tf_record', 'ermission')
            return
        # root reads everything: run as nobody, where the build folder lets nobody in
        os.chmod(self.folder, 0o777)
        try:
            e2e.run(['--version'], user=65534, cwd='/')
        except (PermissionError, subprocess.SubprocessError):
            self.skipTest('runs as root, and another user may not read the build folder')
        self.untouched(DATA, r'train\.tf_record', 'ermission', run_how={'user': 65534})

    def test_folder_for_a_file(self):
        os.mkdir(self.path('folder'))
        self.untouched(DATA, 'folder', override='task.train_data.input_path=folder')

    def test_missing_config_file(self):
        self.untouched(CONFIG, r'nowhere\.yaml', files=['nowhere.yaml'])

    def test_folder_for_a_config_file(self):
        os.mkdir(self.path('folder'))
        self.untouched(CONFIG, 'folder', files=['folder'])

    def test_missing_init_checkpoint(self):
        self.untouched(DATA, 'nowhere', override='task.init_checkpoint=nowhere/bert_model.ckpt')

    def test_init_checkpoint_is_an_empty_folder(self):
        os.mkdir(self.path('empty'))
        self.untouched(DATA, 'empty', override='task.init_checkpoint=empty')

    def test_init_checkpoint_is_no_checkpoint(self):
        self.write('x.index', 'this is not a table')
        self.write('x.data-00000-of-00001', 'nor is this one')
        self.untouched(DATA, r'x\.index', override='task.init_checkpoint=x')


class Records(BadInput):
    def rows(self, *rows, **how):
        good = e2e.make_rows(6, seed=3, **how)
        e2e.write_records(self.path('train.tf_record'), good + list(rows))

    def damaged(self, change):
        path = self.path('train.tf_record')
        with open(path, 'rb') as source:
            data = bytearray(source.read())
        data = change(data)
        with open(path, 'wb') as out:
            out.write(data)

    def test_empty_file(self):
        self.write('train.tf_record', '')
        self.untouched(DATA, r'train\.tf_record', 'no record|empty')

    def test_empty_validation_file(self):
        self.write('eval.tf_record', '')
        self.untouched(DATA, r'eval\.tf_record')

    def test_fewer_rows_than_a_batch_that_drops_the_remainder(self):
        self.untouched(CONFIG, r'validation_data', r'\b20\b', r'\b100\b', 'drop_remainder',
                       override='task.validation_data.global_batch_size=100,'
                                'task.validation_data.drop_remainder=true')

    def test_not_a_record_file(self):
        self.write('train.tf_record', 'sentence\tlabel\nA fine film\t1\n' * 50)
        self.untouched(DATA, r'train\.tf_record is text, not a record file', r'\.tsv')

    def test_damaged_length(self):
        def change(data):
            data[2] ^= 0x40
            return data
        self.damaged(change)
        self.untouched(DATA, r'train\.tf_record', 'record 0')

    def test_damaged_value(self):
        def change(data):
            data[60] ^= 0x01
            return data
        self.damaged(change)
        self.untouched(DATA, r'train\.tf_record', 'record 0', 'crc|checksum')

    def test_damaged_value_later(self):
        def change(data):
            data[-20] ^= 0x01
            return data
        self.damaged(change)
        self.refused(DATA, r'train\.tf_record', 'record 63', 'crc|checksum', mode='train',
                     override='task.train_data.shuffle_buffer_size=1')

    def test_cut_file(self):
        self.damaged(lambda data: data[:-30])
        self.untouched(DATA, r'train\.tf_record', 'record 63')

    def test_other_sequence_length(self):
        e2e.write_records(self.path('train.tf_record'), e2e.make_rows(6, seq_length=12))
        self.untouched(DATA, r'train\.tf_record', r'\b12\b', r'\b16\b', 'seq_length')

    def test_other_sequence_length_in_validation(self):
        e2e.write_records(self.path('eval.tf_record'), e2e.make_rows(6, seq_length=24))
        self.untouched(DATA, r'eval\.tf_record', r'\b24\b', r'\b16\b', 'seq_length')

    def test_token_id_beyond_the_vocabulary(self):
        self.untouched(DATA, r'train\.tf_record', 'input_ids', 'vocab_size is 6',
                       override='task.model.encoder.bert.vocab_size=6')

    def test_one_token_id_beyond_the_vocabulary(self):
        row = e2e.make_rows(1)[0]
        row['input_ids'][1] = 100
        self.rows(row)
        self.refused(DATA, 'record 6', 'input_ids', r'\b100\b', mode='train')

    def test_negative_token_id(self):
        row = e2e.make_rows(1)[0]
        row['input_ids'][1] = -1
        self.rows(row)
        self.refused(DATA, 'record 6', 'input_ids', '-1', mode='train')

    def test_label_beyond_the_classes(self):
        self.rows(dict(e2e.make_rows(1)[0], label_ids=[3]))
        self.refused(DATA, 'record 6', 'label_ids', r'\b3\b', mode='train')

    def test_negative_label(self):
        self.rows(dict(e2e.make_rows(1)[0], label_ids=[-1]))
        self.refused(DATA, 'record 6', 'label_ids', '-1', mode='train')

    def test_label_of_the_wrong_type(self):
        rows = [dict(row, label_ids=[1.5]) for row in e2e.make_rows(6)]
        e2e.write_records(self.path('train.tf_record'), rows)
        self.untouched(DATA, 'label_ids', 'float')

    def test_class_for_a_regression(self):
        self.untouched(DATA, 'label_ids', 'int64',
                       override='task.model.num_classes=1,task.train_data.label_type=float,'
                                'task.validation_data.label_type=float,'
                                'trainer.best_checkpoint_eval_metric=validation_loss')

    def test_missing_label(self):
        rows = e2e.make_rows(6)
        for row in rows:
            del row['label_ids']
        e2e.write_records(self.path('train.tf_record'), rows)
        self.untouched(DATA, 'label_ids')

    def test_record_is_no_example(self):
        with open(self.path('train.tf_record'), 'wb') as out:
            for _ in range(4):
                out.write(e2e.frame(b'\x0a\xff\xff\xff\xff\x7f{"text": "hello"}'))
        self.untouched(DATA, r'train\.tf_record', 'record 0')


class Checkpoints(BadInput):
    def pretrained(self):
        """A small checkpoint to start from: made by a short run of the program itself."""
        self.train(mode='train', model_dir='pre', override='trainer.train_steps=1')

    def test_vocabulary_of_another_size(self):
        self.pretrained()
        self.untouched(CONFIG, 'embeddings', r'\b100\b', r'\b120\b',
                       override='task.init_checkpoint=pre,task.model.encoder.bert.vocab_size=120')

    def test_fewer_layers_than_the_model(self):
        self.pretrained()
        self.untouched(CONFIG, r'has 2 ', r'has 3 ', 'layer',
                       override='task.init_checkpoint=pre,task.model.encoder.bert.num_layers=3')

    def test_other_hidden_size(self):
        self.pretrained()
        self.untouched(CONFIG, r'\b32\b', r'\b64\b',
                       override='task.init_checkpoint=pre,task.model.encoder.bert.hidden_size=64')

    def test_state_file_names_a_missing_checkpoint(self):
        self.train(mode='train', override='trainer.train_steps=5')
        for name in ('ckpt-5.index', 'ckpt-5.data-00000-of-00001'):
            os.unlink(self.path('out', name))
        self.refused(DATA, 'ckpt-5', mode='train')

    def test_state_file_names_a_cut_checkpoint(self):
        self.train(mode='train', override='trainer.train_steps=5')
        data = self.path('out', 'ckpt-5.data-00000-of-00001')
        os.truncate(data, os.path.getsize(data) // 2)
        before = sorted(os.listdir(self.path('out')))
        self.refused(DATA, 'ckpt-5', mode='train')
        self.assertEqual(sorted(os.listdir(self.path('out'))), before)

    def test_checkpoint_with_a_flipped_bit(self):
        self.train(mode='train', override='trainer.train_steps=5')
        path = self.path('out', 'ckpt-5.data-00000-of-00001')
        with open(path, 'r+b') as out:
            out.seek(5000)
            byte = out.read(1)
            out.seek(5000)
            out.write(bytes([byte[0] ^ 4]))
        self.refused(DATA, 'ckpt-5', 'crc|checksum', mode='train')

    def test_cut_index(self):
        self.train(mode='train', override='trainer.train_steps=5')
        index = self.path('out', 'ckpt-5.index')
        os.truncate(index, os.path.getsize(index) // 2)
        self.refused(DATA, 'ckpt-5', mode='train')

    def test_damaged_state_file(self):
        self.train(mode='train', override='trainer.train_steps=5')
        self.write('out/checkpoint', 'model_checkpoint_path "ckpt-5\n\0\0')
        result = self.train(mode='train', override='trainer.train_steps=10')
        self.assertRegex(result.stderr, 'checkpoint:1: .*ckpt-5, the newest whole checkpoint')

    def test_checkpoint_of_another_model(self):
        self.train(mode='train', override='trainer.train_steps=5')
        result = self.train(expect=None, mode='train',
                            override='task.model.encoder.bert.hidden_size=64')
        self.assertIn(result.code, (CONFIG, DATA), str(result))
        self.one_error(result)

    def test_damaged_info_json(self):
        self.train(override='trainer.train_steps=5')
        self.write('out/best_ckpt/info.json', '{"cls_accuracy": ')
        result = self.train(override='trainer.train_steps=10')
        self.assertRegex(result.stderr, r'info\.json did not belong to best_ckpt-\d+ .*written again')


class Settings(BadInput):
    def wrong(self, override, *words):
        key = override.split('=')[0]
        return self.untouched(CONFIG, re.escape(key.split('.')[-1]), *words, override=override)

    def test_sequence_beyond_the_positions(self):
        self.untouched(CONFIG, 'seq_length', r'\b16\b', r'\b8\b', n_errors=2,  # both data sections
                       override='task.model.encoder.bert.max_position_embeddings=8')

    def test_heads_that_do_not_divide(self):
        self.wrong('task.model.encoder.bert.num_attention_heads=5', r'\b5\b', r'\b32\b')

    def test_zero_heads(self):
        self.wrong('task.model.encoder.bert.num_attention_heads=0')

    def test_negative_steps(self):
        self.wrong('trainer.train_steps=-1', '-1')

    def test_zero_batch(self):
        self.wrong('task.train_data.global_batch_size=0')

    def test_negative_batch(self):
        self.wrong('task.validation_data.global_batch_size=-4', '-4')

    def test_zero_steps_per_loop(self):
        self.wrong('trainer.steps_per_loop=0')

    def test_dropout_above_one(self):
        self.wrong('task.model.encoder.bert.dropout_rate=1.5', r'1\.5')

    def test_attention_dropout_above_one(self):
        self.wrong('task.model.encoder.bert.attention_dropout_rate=2.0')

    def test_zero_classes(self):
        self.wrong('task.model.num_classes=0')

    def test_zero_layers(self):
        self.wrong('task.model.encoder.bert.num_layers=-1')

    def test_text_for_a_number(self):
        self.wrong('trainer.train_steps=many', 'many')

    def test_unknown_activation(self):
        self.wrong('task.model.encoder.bert.hidden_activation=gelv', 'gelv')

    def test_unknown_metric(self):
        self.wrong('task.metric_type=acuracy', 'accuracy')

    def test_metric_that_the_evaluation_lacks(self):
        self.wrong('trainer.best_checkpoint_eval_metric=nope', 'cls_accuracy')

    def test_unknown_key_with_the_nearest(self):
        self.wrong('trainer.train_step=5', 'train_steps')

    def test_endless_evaluation(self):
        self.wrong('task.validation_data.is_training=true')

    def test_training_data_that_ends(self):
        self.refused(DATA, 'is_training', mode='train', override='task.train_data.is_training=false')

    def test_many_at_once(self):
        self.untouched(CONFIG, 'train_steps', 'steps_per_loop', 'dropout_rate', n_errors=3,
                       override='trainer.train_steps=-1,trainer.steps_per_loop=0,'
                                'task.model.encoder.bert.dropout_rate=7.0')


class Sizes(BadInput):
    def test_vocabulary_beyond_memory(self):
        result = self.train(expect=None, override='task.model.encoder.bert.vocab_size=1000000000000')
        self.assertIn(result.code, (CONFIG, RESOURCES), str(result))
        self.one_error(result)

    def test_product_beyond_counting(self):
        big = 4611686018427387904
        result = self.train(expect=None, override='task.model.encoder.bert.vocab_size=%d' % big)
        self.assertIn(result.code, (CONFIG, RESOURCES), str(result))
        self.one_error(result)
        self.assertFalse(os.path.exists(self.path('out')))

    def test_intermediate_size_beyond_memory(self):
        result = self.train(expect=None,
                            override='task.model.encoder.bert.intermediate_size=1000000000000')
        self.assertIn(result.code, (CONFIG, RESOURCES), str(result))
        self.one_error(result)

    def test_batch_beyond_memory(self):
        result = self.train(expect=None, override='task.train_data.global_batch_size=1000000000000')
        self.assertIn(result.code, (CONFIG, RESOURCES), str(result))
        self.one_error(result)

    def test_number_beyond_64_bits(self):
        self.untouched(CONFIG, 'train_steps', override='trainer.train_steps=99999999999999999999')

    def test_record_length_beyond_memory(self):
        head = struct.pack('<Q', 1 << 60)
        self.write('train.tf_record', head + struct.pack('<I', e2e.masked_crc(head)) + b'x' * 100)
        self.untouched(DATA, r'train\.tf_record')

    def test_yaml_100000_levels_deep(self):
        self.write('deep.yaml', '[' * 100000)
        self.untouched(CONFIG, r'deep\.yaml', files=['deep.yaml'])
        self.write('deep.yaml', '{a: ' * 100000 + '1' + '}' * 100000)
        self.untouched(CONFIG, r'deep\.yaml', files=['deep.yaml'])

    def test_yaml_block_levels(self):
        self.write('deep.yaml', ''.join(' ' * i + 'a:\n' for i in range(3000)))
        self.untouched(CONFIG, r'deep\.yaml', files=['deep.yaml'])

    def test_yaml_alias_bomb(self):
        lines = ['a0: &a0 [x, x, x, x, x, x, x, x, x]']
        for i in range(1, 12):
            lines.append('a%d: &a%d [%s]' % (i, i, ', '.join(['*a%d' % (i - 1)] * 9)))
        self.write('bomb.yaml', '\n'.join(lines) + '\n')
        self.untouched(CONFIG, r'bomb\.yaml', files=['bomb.yaml'])

    def test_override_100000_levels_deep(self):
        self.untouched(CONFIG, override='.'.join(['a'] * 20000) + '=1')
        self.untouched(CONFIG, override='{a: ' * 20000 + '1' + '}' * 20000)


class Disk(BadInput):
    def test_model_dir_below_a_file(self):
        self.write('file', 'I am no folder')
        self.refused(RESOURCES, 'file', model_dir='file/out')
        with open(self.path('file'), encoding='utf-8') as source:
            self.assertEqual(source.read(), 'I am no folder')

    def test_model_dir_is_a_file(self):
        self.write('file', 'I am no folder')
        self.refused(RESOURCES, 'file', model_dir='file')

    def test_unwritable_model_dir(self):
        self.refused(RESOURCES, '/proc/', model_dir='/proc/bert-train-cannot-write-here',
                     foreseen=False)  # not even by its permissions

    def limited(self, n_bytes):
        """A file-size limit: a write beyond it fails like one on a full disk."""
        def before():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, n_bytes))
        return before

    def test_full_disk_at_the_first_checkpoint(self):
        result = self.refused(RESOURCES, 'ckpt-5', mode='train',
                              run_how={'before': self.limited(60000)}, foreseen=False)
        self.consistent(result)
        self.assertEqual(e2e.read_state_file(self.path('out'))[0], None)

    def test_full_disk_later_keeps_what_was_saved(self):
        self.train(mode='train', override='trainer.train_steps=5')
        kept = e2e.read_bundle(self.path('out', 'ckpt-5'))
        result = self.refused(RESOURCES, 'ckpt-', mode='train',
                              run_how={'before': self.limited(60000)}, foreseen=False)
        self.consistent(result)
        self.assertEqual(e2e.read_state_file(self.path('out'))[0], 'ckpt-5')
        again = e2e.read_bundle(self.path('out', 'ckpt-5'))
        self.assertEqual({k: t.raw for k, t in kept.items()}, {k: t.raw for k, t in again.items()})
        self.train(mode='train')  # with room again, the same command continues
        self.assertEqual(e2e.read_state_file(self.path('out'))[0], 'ckpt-20')

    def consistent(self, result):
        """Nothing half-written: no temporary, no index without its data."""
        names = os.listdir(self.path('out'))
        for name in names:
            self.assertNotRegex(name, r'tmp|temp|~$', str(result))
            if name.endswith('.index'):
                self.assertIn(name[:-len('.index')] + '.data-00000-of-00001', names)

    def on_a_disk_of(self, size, check):
        folder = self.path('small')
        os.mkdir(folder)
        mounted = os.geteuid() == 0 and shutil.which('mount') is not None and subprocess.run(
            ['mount', '-t', 'tmpfs', '-o', 'size=' + size, 'tmpfs', folder],
            stderr=subprocess.DEVNULL, check=False).returncode == 0
        if not mounted:
            self.skipTest('cannot mount a small tmpfs here')
        try:
            check()
        finally:
            subprocess.run(['umount', folder], check=True)

    def test_a_disk_without_room(self):
        def check():
            self.refused(RESOURCES, 'no room in small/out: a checkpoint takes', mode='train',
                         model_dir='small/out')
            self.assertEqual(e2e.read_state_file(self.path('small/out'))[0], None)
        self.on_a_disk_of('128k', check)

    def test_a_really_full_disk(self):
        def check():
            self.refused(RESOURCES, 'No space left', mode='train', model_dir='small/out',
                         foreseen=False)
            self.assertIsNotNone(e2e.read_state_file(self.path('small/out'))[0])  # the first is kept
        self.on_a_disk_of('400k', check)

    def test_results_on_a_full_device(self):
        with open('/dev/full', 'wb') as full:
            child = subprocess.run([e2e.program()] + self.args(more=['--dry_run']), check=False,
                                   cwd=self.folder, stdout=full, stderr=subprocess.PIPE,
                                   timeout=e2e.TIMEOUT)
        self.assertEqual(child.returncode, RESOURCES, child.stderr)


class Numbers(BadInput):
    def test_rate_without_measure(self):
        result = self.refused(
            DIVERGED, 'step', 'row', mode='train',
            override='trainer.optimizer_config.learning_rate.polynomial.initial_learning_rate=1.0e+30,'
                     'trainer.loss_upper_bound=1.0e+38', foreseen=False)
        self.assertRegex(self.one_error(result), r'rows? \d+ to \d+')

    def test_loss_above_the_bound(self):
        self.refused(DIVERGED, 'loss_upper_bound', mode='train',
                     override='trainer.loss_upper_bound=0.0001', foreseen=False)

    def test_checkpoint_that_holds_nan(self):
        self.train(mode='train', override='trainer.train_steps=5')
        self.poison(self.path('out', 'ckpt-5'))
        result = self.refused(DATA, 'ckpt-5', 'beta holds nan', mode='train', foreseen=False)
        self.assertEqual(e2e.read_state_file(self.path('out'))[0], 'ckpt-5', str(result))

    def poison(self, prefix):
        """Writes NaN into a variable and mends its checksum."""
        tensors = e2e.read_bundle(prefix)
        key = next(k for k in sorted(tensors)
                   if 'OPTIMIZER_SLOT' not in k and k.endswith('/beta' + e2e.SUFFIX))
        raw = tensors[key].raw
        bad = struct.pack('<f', float('nan')) + raw[4:]
        with open(prefix + '.data-00000-of-00001', 'rb') as source:
            data = source.read()
        at = data.find(raw)
        self.assertGreaterEqual(at, 0)
        with open(prefix + '.data-00000-of-00001', 'wb') as out:
            out.write(data[:at] + bad + data[at + len(raw):])
        e2e.replace_checksum(prefix + '.index', key, e2e.masked_crc(bad))


if __name__ == '__main__':
    e2e.main()
