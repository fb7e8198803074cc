# SPDX-License-Identifier: Apache-2.0
"""The controller's semantics, run for run as Model Garden's trainer showed them
(docs/model_garden/config.md section 6, goldens/config/run): which checkpoints exist and under which names, what
the state file, info.json, the event files and params.yaml hold, in every mode. Expectations stand
here; where ../shared is present they are also compared with what Model Garden itself left.

Differences on purpose (docs/deviations.md): no operative_config.*.gin files; metrics.jsonl beside
the events; a missing best-checkpoint metric and train_and_validate are refused before any work."""
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'support'))
import e2e  # noqa: E402

LOWER = ('trainer.best_checkpoint_eval_metric=validation_loss,'
         'trainer.best_checkpoint_metric_comp=lower,'
         'trainer.optimizer_config.learning_rate.polynomial.decay_steps=200,'
         'trainer.optimizer_config.learning_rate.polynomial.initial_learning_rate=0.01')
# constant weights: every evaluation ties, so that the first one stays the best
CONSTANT = 'trainer.optimizer_config.learning_rate.polynomial.initial_learning_rate=0.0'
TRAIN_TAGS = ['cls_accuracy', 'training_loss', 'learning_rate', 'steps_per_second']
EVAL_TAGS = ['cls_accuracy', 'validation_loss', 'best_cls_accuracy']
OWN_TAGS = ['f1_macro', 'precision_macro', 'recall_macro', 'log_loss',
            'ece', 'grad_norm', 'examples_per_second', 'input_wait',
            'pr_curve/0', 'pr_curve/1', 'pr_curve/2', 'confusion_matrix']
FIGURES = OWN_TAGS[8:]
VALIDATION_TAGS = OWN_TAGS[:5]


def golden_events(run, folder):
    """[[(step, tag)]] of each event file of a golden run, or None without ../shared."""
    path = e2e.shared('goldens/config/run/%s/events.txt' % run)
    if path is None:
        return None
    files = []
    with open(path, encoding='utf-8') as source:
        for line in source:
            if line.startswith('# '):
                files.append((line[2:].split('/')[0], []))
            found = re.match(r'step (\d+) tag (\S+) ', line)
            if found:
                files[-1][1].append((int(found.group(1)), found.group(2)))
    return [events for where, events in files if where == folder]


def golden_files(run):
    """Names of the checkpoint files of a golden run, or None."""
    path = e2e.shared('goldens/config/run/%s/listing.txt' % run)
    if path is None:
        return None
    with open(path, encoding='utf-8') as source:
        names = [line.split('\t')[0].strip() for line in source]
    return sorted(n for n in names if 'ckpt' in n and not n.startswith('operative'))


class Run(e2e.Case):
    def steps_and_tags(self, folder, own=False):
        """Without our own metrics, which Model Garden has not; own: with them."""
        return [[(step, tag) for step, tag, _value in events if own or tag not in OWN_TAGS]
                for events in e2e.read_event_folder(self.path('out', folder))]

    def checkpoint_files(self):
        found = []
        for where, _folders, names in os.walk(self.path('out')):
            at = os.path.relpath(where, self.path('out'))
            found += [os.path.normpath(os.path.join(at, n)) for n in names]
        return sorted(n for n in found if 'ckpt' in n)

    def check(self, latest, steps, train, validation, best=None, golden=None, golden_adds=()):
        """latest and steps: of ckpt-*; train, validation: [[(step, tag)]]; best: best_ckpt-N.
        golden_adds: validation events of the golden run that are left out on purpose."""
        out = self.path('out')
        self.assertEqual(e2e.read_state_file(out),
                         (latest, ['ckpt-%d' % s for s in steps]))
        for step in steps:
            values = e2e.read_bundle(self.path('out', 'ckpt-%d' % step))
            self.assertEqual(values['global_step' + e2e.SUFFIX].integer(), step)
            if step > 0:  # no update, no optimizer: Model Garden's ckpt-0 has none either
                self.assertEqual(values['optimizer/iter' + e2e.SUFFIX].integer(), step)
        if best is not None:
            self.assertEqual(e2e.read_state_file(self.path('out/best_ckpt')), (best, [best]))
        self.assertEqual(self.steps_and_tags('train'), train)
        self.assertEqual(self.steps_and_tags('validation'), validation)
        if golden is not None and golden_files(golden) is not None:
            self.assertEqual(self.checkpoint_files(), golden_files(golden))
            if os.path.exists(e2e.shared('goldens/config/run/%s' % golden) + '/events.txt'):
                self.assertEqual(train, [f for f in golden_events(golden, 'train') if f])
                self.assertEqual(validation + list(golden_adds),
                                 golden_events(golden, 'validation'))
            self.same_keys(golden)

    def same_keys(self, golden):
        """Our newest checkpoint has the tensors and shapes that Model Garden's has."""
        path = e2e.shared('goldens/config/run/%s/list_variables.txt' % golden)
        latest = e2e.read_state_file(self.path('out'))[0]
        if path is None or latest is None:
            return
        with open(path, encoding='utf-8') as source:
            want = {k: [int(d) for d in re.findall(r'\d+', dims)]
                    for k, _tab, dims in (line.partition('\t') for line in source)
                    if k.endswith(e2e.SUFFIX)}
        got = {k: t.shape for k, t in e2e.read_bundle(self.path('out', latest)).items()
               if k.endswith(e2e.SUFFIX)}
        self.assertEqual(got, want)

    def info(self):
        with open(self.path('out/best_ckpt/info.json'), encoding='utf-8') as source:
            text = source.read()
        self.assertTrue(text.startswith('{\n    "'))
        self.assertTrue(text.endswith('\n}\n'))
        return json.loads(text)

    def same_params_yaml(self, golden):
        path = e2e.shared('goldens/config/run/%s/params.yaml' % golden)
        if path is None:
            return
        with open(path, 'rb') as want, open(self.path('out/params.yaml'), 'rb') as got:
            self.assertEqual(got.read().decode(), want.read().decode())


def train_events(*steps):
    return [(s, t) for s in steps for t in TRAIN_TAGS]


def eval_events(*steps, tags=None):
    return [(s, t) for s in steps for t in (tags or EVAL_TAGS)]


class Modes(Run):
    def test_train_and_eval(self):  # 1
        self.train()
        self.same_params_yaml('1-train_and_eval')
        shutil.rmtree(self.path('out'))
        self.train(override=CONSTANT)
        self.check('ckpt-20', [5, 15, 20], [train_events(5, 10, 15, 20)], [eval_events(10, 20)],
                   best='best_ckpt-2', golden='1-train_and_eval')
        info = self.info()
        self.assertEqual(list(info), ['cls_accuracy', 'validation_loss', *VALIDATION_TAGS,
                                      'best_ckpt_global_step'])
        self.assertEqual([tag for _step, tag in self.steps_and_tags('validation', own=True)[0]],
                         2 * [*FIGURES, 'cls_accuracy', 'validation_loss', *VALIDATION_TAGS,
                              'best_cls_accuracy'])
        self.assertEqual(info['best_ckpt_global_step'], 10.0)

    def test_rerun_of_a_finished_run(self):  # 3
        self.train(override=CONSTANT)
        before = self.checkpoint_files()
        self.train(override=CONSTANT)
        self.assertEqual(self.checkpoint_files(), before)
        self.check('ckpt-20', [5, 15, 20], [train_events(5, 10, 15, 20)], [eval_events(10, 20)],
                   best='best_ckpt-2', golden='3-rerun-of-finished')

    def test_eval(self):  # 4
        self.train(override=CONSTANT)
        os.unlink(self.path('out/params.yaml'))
        result = self.train(mode='eval', override=CONSTANT)
        self.assertFalse(os.path.exists(self.path('out/params.yaml')), 'eval writes no params.yaml')
        self.check('ckpt-20', [5, 15, 20], [train_events(5, 10, 15, 20)],
                   [eval_events(10, 20)], best='best_ckpt-2', golden='4-mode-eval',
                   golden_adds=[eval_events(20)])  # the same evaluation again
        self.assertRegex(result.stdout, r'(?m)^step 20$')
        self.assertRegex(result.stdout, r'(?m)^cls_accuracy 0\.\d+$')

    def test_continuous_eval(self):  # 5
        self.train(override=CONSTANT)
        self.train(mode='continuous_eval',
                   override=CONSTANT + ',trainer.continuous_eval_timeout=0')
        self.check('ckpt-20', [5, 15, 20], [train_events(5, 10, 15, 20)],
                   [eval_events(10, 20)], best='best_ckpt-2',
                   golden='5-mode-continuous_eval', golden_adds=[eval_events(20)])

    def test_train(self):  # 6
        self.train(mode='train', override='trainer.best_checkpoint_export_subdir=null')
        self.same_params_yaml('6-mode-train')
        self.check('ckpt-20', [5, 15, 20], [train_events(5, 10, 15, 20)], [],
                   golden='6-mode-train')
        names = [re.sub(r'^events.out.tfevents.*v2$', 'events', n) for n in os.listdir(self.path('out'))]
        self.assertEqual(sorted(names), sorted(
            ['checkpoint', 'events', 'events', 'labels.json', 'metrics.jsonl', 'params.yaml', 'report.html', 'run_facts.json', 'train'] +
            ['ckpt-%d.%s' % (s, end) for s in (5, 15, 20)
             for end in ('index', 'data-00000-of-00001')]))

    def test_train_and_validate_is_refused(self):  # 7
        result = self.train(expect=2, mode='train_and_validate')
        self.assertIn('train_and_validate', self.one_error(result))
        self.assertFalse(os.path.exists(self.path('out')))

    def test_train_and_post_eval(self):  # 8
        self.train(mode='train_and_post_eval')
        self.same_params_yaml('8-mode-train_and_post_eval')
        self.check('ckpt-20', [5, 15, 20], [train_events(5, 10, 15, 20)], [eval_events(20)],
                   best='best_ckpt-4', golden='8-mode-train_and_post_eval')
        self.assertEqual(self.info()['best_ckpt_global_step'], 20.0)

    def test_eval_of_an_empty_folder(self):  # 9
        result = self.train(mode='eval')
        self.assertRegex(result.stderr, 'warning: no checkpoint in --model_dir out: .* never trained')
        self.assertEqual(e2e.read_state_file(self.path('out')), (None, []))
        self.assertEqual(e2e.read_state_file(self.path('out/best_ckpt')),
                         ('best_ckpt-1', ['best_ckpt-1']))
        self.assertEqual(self.steps_and_tags('train'), [])
        self.assertEqual(self.steps_and_tags('validation'), [eval_events(0)])
        self.assertEqual(self.info()['best_ckpt_global_step'], 0.0)
        keys = {k for k in e2e.read_bundle(self.path('out/best_ckpt/best_ckpt-1'))}
        self.assertFalse([k for k in keys if 'OPTIMIZER_SLOT' in k])
        path = e2e.shared('goldens/config/run/9-mode-eval-empty-dir/list_variables-best.txt')
        if path is not None:
            with open(path, encoding='utf-8') as source:
                want = {line.split()[0] for line in source if e2e.SUFFIX in line}
            self.assertEqual({k for k in keys if k.endswith(e2e.SUFFIX)}, want)

    def test_more_layers_than_the_model_has(self):
        self.train(mode='train')
        layers = 'task.model.encoder.bert.num_layers'
        self.assertIn(layers + ': 2 -> 1', self.one_error(self.train(
            mode='train', override=layers + '=1', expect=2)))
        for mode in ('eval', 'train', 'predict'):
            line = self.one_error(self.train(
                mode=mode, override=layers + '=1', expect=3,
                more=['--allow_changed=' + layers] if mode == 'train' else []))
            self.assertRegex(line, 'ckpt-20: it holds 2 transformer layers, the configuration says 1')

    def test_predict_is_refused(self):
        self.one_error(self.train(expect=2, mode='predict'))


class Rules(Run):
    def test_best_is_lower(self):  # 10 and 11
        tags = ['cls_accuracy', 'validation_loss', 'best_validation_loss']
        self.train(override=LOWER)
        first = self.info()
        self.train(override=LOWER + ',trainer.train_steps=50')
        self.same_params_yaml('11-best-lower-continued-to-50')
        self.check('ckpt-50', [15, 20, 30, 40, 50],
                   [train_events(5, 10, 15, 20), train_events(25, 30, 35, 40, 45, 50)],
                   [eval_events(10, 20, tags=tags), eval_events(30, 40, 50, tags=tags)])
        values = [r for r in e2e.read_jsonl(self.path('out')) if r['kind'] == 'validation']
        losses = [r['validation_loss'] for r in values]
        self.assertEqual(len(losses), 5)
        self.assertAlmostEqual(self.info()['validation_loss'], min(losses), places=6)
        self.assertLessEqual(self.info()['validation_loss'], first['validation_loss'])
        for i, record in enumerate(values):
            self.assertAlmostEqual(record['best_validation_loss'], min(losses[:i + 1]), places=6)

    def test_resume_at_5(self):  # 2b, but for evaluations: they stand at multiples
        self.train(override=CONSTANT + ',trainer.train_steps=10')
        for name in ('ckpt-10.index', 'ckpt-10.data-00000-of-00001'):
            os.unlink(self.path('out', name))
        state = ('model_checkpoint_path: "ckpt-5"\nall_model_checkpoint_paths: "ckpt-5"\n'
                 'all_model_checkpoint_timestamps: 1795408431.2990448\n'
                 'last_preserved_timestamp: 1795408425.1160274\n')
        self.write('out/checkpoint', state)
        self.train(override=CONSTANT)
        self.check('ckpt-20', [5, 15, 20], [train_events(5), train_events(10, 15, 20)],
                   [[], eval_events(10, 20)], best='best_ckpt-2')  # each step stands once
        with open(self.path('out/checkpoint'), encoding='utf-8') as source:
            self.assertIn('last_preserved_timestamp: 1795408425.1160274\n', source.read())

    def test_no_steps(self):  # 12
        self.train(override='trainer.train_steps=0')
        self.same_params_yaml('12-train-steps-0')
        self.check('ckpt-0', [0], [], [], golden='12-train-steps-0')

    def test_validation_steps(self):  # 13
        tags = ['cls_accuracy', 'validation_loss', 'steps_per_second', 'best_validation_loss']
        result = self.train(override=LOWER + ',trainer.validation_steps=10')
        self.same_params_yaml('13-sync-checkpointing-validation_steps-10')
        events = self.steps_and_tags('validation')
        self.assertEqual([sorted(events[0])], [sorted(eval_events(10, 20, tags=tags))])
        self.assertRegex(result.stderr, r'ended after 3 of 10 batches')

    def test_best_is_not_a_number(self):
        """Equal labels have no correlation: NaN, written as Python's json writes it. The first
        number is better, also for the next run and for one that Model Garden began."""
        override = ('task.model.num_classes=1,task.metric_type=pearson_spearman_corr,'
                    'task.train_data.label_type=float,task.validation_data.label_type=float,'
                    'trainer.best_checkpoint_eval_metric=pearson_spearman_corr')
        rows = e2e.make_rows(20, n_classes=1)
        e2e.write_records(self.path('train.tf_record'), rows)
        e2e.write_records(self.path('eval.tf_record'), [dict(r, label_ids=[2.5]) for r in rows])
        self.train(override=override)
        self.assertTrue(math.isnan(self.info()['pearson_spearman_corr']))
        self.assertEqual(self.info()['best_ckpt_global_step'], 10.0)  # the second ties
        with open(self.path('out/best_ckpt/info.json'), encoding='utf-8') as source:
            self.assertIn(': NaN,', source.read())
        for record in e2e.read_jsonl(self.path('out')):
            if record['kind'] == 'validation':
                self.assertIsNone(record['pearson_spearman_corr'])
        e2e.write_records(self.path('eval.tf_record'), rows)
        self.train(override=override + ',trainer.train_steps=30')
        self.assertTrue(math.isfinite(self.info()['pearson_spearman_corr']))
        self.assertEqual(self.info()['best_ckpt_global_step'], 30.0)

    def test_missing_best_metric(self):  # 14: refused at once
        result = self.train(expect=2, override='trainer.best_checkpoint_eval_metric=nope')
        self.assertIn("'nope'", self.one_error(result))

    def test_recovery_fails(self):  # 15
        result = self.train(expect=6, mode='train',
                            override='trainer.loss_upper_bound=0.5,trainer.recovery_max_trials=1')
        self.one_error(result)
        self.assertEqual(e2e.read_state_file(self.path('out')), ('ckpt-5', ['ckpt-5']))
        self.assertRegex(result.stderr, r'recovered the model')

    def test_no_checkpoints_with_an_average(self):  # 16
        self.train(mode='train', override='trainer.checkpoint_interval=0,'
                                          'trainer.optimizer_config.ema.average_decay=0.9')
        self.same_params_yaml('16-ema-checkpoint_interval-0')
        self.check(None, [], [train_events(5, 10, 15, 20)], [],
                   golden='16-ema-checkpoint_interval-0')

    def test_max_to_keep(self):
        self.train(mode='train', override='trainer.max_to_keep=2,trainer.checkpoint_interval=5')
        self.check('ckpt-20', [15, 20], [train_events(5, 10, 15, 20)], [])
        self.assertEqual(self.checkpoint_files(), sorted(
            'ckpt-%d.%s' % (s, end) for s in (15, 20) for end in ('index', 'data-00000-of-00001')))

    def test_uneven_chunks(self):
        """An evaluation boundary shortens a chunk; chunks count from the current step."""
        self.train(override=CONSTANT + ',trainer.steps_per_loop=4,trainer.summary_interval=4')
        self.check('ckpt-20', [4, 14, 20], [train_events(4, 8, 10, 14, 18, 20)],
                   [eval_events(10, 20)], best='best_ckpt-2')

    def test_average_is_used_for_evaluation_and_put_back(self):
        ema = 'trainer.optimizer_config.ema.average_decay=0.9,trainer.max_to_keep=100'
        self.train(override=ema)
        self.train(mode='train', model_dir='plain', override=ema)
        self.same_values(self.path('out/ckpt-20'), self.path('plain/ckpt-20'))
        best = e2e.read_bundle(self.path('out/best_ckpt',
                                         e2e.read_state_file(self.path('out/best_ckpt'))[0]))
        self.assertTrue([k for k in best if '/average/' in k or k.endswith('average')])

    def test_an_evaluation_by_itself_saves_all_of_the_best(self):
        """It has weights alone (or averages), and what it saves is read while it is written: what a training saves that
        evaluates at that step. So does one that waits for more."""
        def best_of(folder):
            folder = self.path(folder, 'best_ckpt')
            return os.path.join(folder, e2e.read_state_file(folder)[0])
        for name, keys in (('plain', ''), ('ema', ',trainer.optimizer_config.ema.average_decay=0.9')):
            override = 'trainer.validation_interval=20,trainer.continuous_eval_timeout=0' + keys
            self.train(override=override, model_dir=name)
            for mode in ('eval', 'continuous_eval'):
                folder = '%s-%s' % (name, mode)
                self.train(mode='train', override=override, model_dir=folder)
                told = self.train(mode=mode, override=override, model_dir=folder)
                self.assertIn('best cls_accuracy so far', told.stderr)
                self.same_values(best_of(name), best_of(folder))
                again = self.train(mode=mode, override=override, model_dir=folder)
                self.assertNotIn('best cls_accuracy so far', again.stderr)
                self.same_values(best_of(name), best_of(folder))

    def test_the_best_is_saved_though_its_checkpoint_goes_meanwhile(self):
        """As a training removes old ones while an evaluation runs beside it."""
        rows = e2e.make_rows(200)
        e2e.write_records(self.path('eval.tf_record'), rows * 100)
        self.train(mode='train')
        words = [e2e.program()] + self.args(mode='eval')
        with subprocess.Popen(words, cwd=self.folder, stderr=subprocess.PIPE, text=True) as child:
            try:
                for line in child.stderr:
                    if 'restored step 20' in line:
                        for name in ('ckpt-20.index', 'ckpt-20.data-00000-of-00001'):
                            os.rename(self.path('out', name), self.path(name))
                        break
                told = child.stderr.read()
            except BaseException:  # which would wait for it else
                child.kill()
                raise
        self.assertEqual(child.returncode, 0, told)
        best = self.path('out/best_ckpt')
        self.same_values(os.path.join(best, e2e.read_state_file(best)[0]), self.path('ckpt-20'))


class Numbers(Run):
    def test_metrics_jsonl(self):
        self.train(override=CONSTANT)
        records = e2e.read_jsonl(self.path('out'))
        self.assertEqual([(r['kind'], r['step']) for r in records],
                         [('train', 5), ('train', 10), ('validation', 10), ('train', 15),
                          ('train', 20), ('validation', 20), ('final', 20)])
        for record in records:
            if record['kind'] == 'train':
                for name in TRAIN_TAGS + ['examples_per_second', 'tokens_per_second', 'grad_norm']:
                    self.assertIsInstance(record[name], float, name)
                self.assertGreater(record['grad_norm'], 0)
            else:
                for name in EVAL_TAGS:
                    self.assertIsInstance(record[name], float, name)
        events = {(s, t): v for s, t, v in e2e.read_event_folder(self.path('out/train'))[0]}
        for record in records:
            if record['kind'] == 'train':
                got = events[(record['step'], 'training_loss')]
                self.assertAlmostEqual(got, record['training_loss'], places=6)

    def test_learning_rate_is_the_next_one(self):
        self.train(mode='train')
        rates = [r['learning_rate'] for r in e2e.read_jsonl(self.path('out'))
                 if r['kind'] == 'train']
        for got, want in zip(rates, [0.00075, 0.0005, 0.00025, 0.0]):
            self.assertAlmostEqual(got, want, places=9)

    def test_two_runs_give_the_same_bits(self):
        self.train(mode='train')
        result = self.train(mode='train', model_dir='again')
        self.same_values(self.path('out/ckpt-20'), self.path('again/ckpt-20'))
        self.assertRegex(result.stderr, r'seed \d+')

    def test_another_seed_gives_other_bits(self):
        self.train(mode='train')
        self.train(mode='train', model_dir='again', override='task.train_data.seed=5')
        a = e2e.trained_values(self.path('out/ckpt-20'))
        b = e2e.trained_values(self.path('again/ckpt-20'))
        self.assertNotEqual(a, b)

    def test_it_learns(self):
        rate = 'trainer.optimizer_config.learning_rate.polynomial.'
        e2e.write_records(self.path('train.tf_record'), e2e.make_rows(1500, seed=1, vocab=14))
        e2e.write_records(self.path('eval.tf_record'), e2e.make_rows(200, seed=2, vocab=14))
        result = self.train(override='trainer.train_steps=400,trainer.steps_per_loop=100,'
                                     'trainer.summary_interval=100,trainer.validation_interval=400,'
                                     'task.train_data.global_batch_size=16,' + rate +
                                     'initial_learning_rate=0.001,' + rate + 'decay_steps=400,'
                                     'trainer.optimizer_config.warmup.polynomial.warmup_steps=40')
        accuracy = float(re.search(r'(?m)^cls_accuracy (\S+)$', result.stdout).group(1))
        self.assertGreater(accuracy, 0.9, str(result))

    def test_steps_from_epochs(self):
        result = self.train(
            mode='train', override='trainer.train_steps=0,task.train_data.epochs=2,'
            'trainer.optimizer_config.learning_rate.polynomial.decay_steps=null,'
            'trainer.optimizer_config.warmup.polynomial.warmup_steps=null')
        self.assertEqual(e2e.read_state_file(self.path('out'))[0], 'ckpt-32')  # 2 * 64 / 4
        self.assertRegex(result.stderr, r'train_steps: 32')
        self.assertRegex(result.stderr, r'warmup_steps: 3\b')
        with open(self.path('out/params.yaml'), encoding='utf-8') as source:
            text = source.read()
        self.assertIn('warmup_steps: null', text)
        self.assertIn('train_steps: 0', text)

    def test_all_predictions_of_one_class_are_noticed(self):
        e2e.write_records(self.path('eval.tf_record'),
                          [dict(r, label_ids=[1]) for r in e2e.make_rows(20)])
        e2e.write_records(self.path('train.tf_record'),
                          [dict(r, label_ids=[1]) for r in e2e.make_rows(64)])
        result = self.train(override='trainer.optimizer_config.learning_rate.polynomial.'
                                     'initial_learning_rate=0.01')
        self.assertRegex(result.stderr, r'step 20: all 20 predictions are class 1')
        last = [r for r in e2e.read_jsonl(self.path('out')) if r['kind'] == 'validation'][-1]
        self.assertEqual(last['predicted_classes'], 1)
        e2e.write_records(self.path('eval.tf_record'), e2e.make_rows(1))
        result = self.train(mode='eval')  # of one example there is nothing to say
        self.assertNotIn('predictions are class', result.stderr)

    def test_regression(self):
        for name, n, seed in (('train', 64, 1), ('eval', 20, 2)):
            e2e.write_records(self.path(name + '.tf_record'),
                              e2e.make_rows(n, seed=seed, n_classes=1))
        self.train(override='task.model.num_classes=1,task.metric_type=pearson_spearman_corr,'
                            'task.train_data.label_type=float,task.validation_data.label_type=float,'
                            'trainer.best_checkpoint_eval_metric=pearson_spearman_corr')
        tags = {t for events in self.steps_and_tags('validation') for _s, t in events}
        self.assertIn('pearson_spearman_corr', tags)
        self.assertIn('validation_loss', tags)

    def test_json_log(self):
        result = self.train(mode='train', more=['--log_format=json'])
        lines = result.stderr.splitlines()
        self.assertGreater(len(lines), 4)
        for line in lines:
            self.assertIsInstance(json.loads(line), dict)


class Signals(Run):
    def test_continuous_eval_stops_when_asked(self):
        self.train(mode='train', override='trainer.train_steps=5')
        result = self.train(expect=128 + signal.SIGTERM, mode='continuous_eval',
                            run_how={'when_said': ('waiting for a new checkpoint', subprocess.Popen.terminate)})
        self.assertNotIn('error', result.stderr)
        self.assertIn('stopped by SIGTERM while waiting for a new checkpoint', result.stderr)

    def test_continuous_train_and_eval(self):
        self.train(mode='train', model_dir='pre', override='trainer.train_steps=5')
        self.train(mode='continuous_train_and_eval',
                   override='task.init_checkpoint=pre,trainer.continuous_eval_timeout=0')
        with open(self.path('out/metrics-5.json'), encoding='utf-8') as source:
            metrics = json.load(source)
        self.assertIsInstance(metrics['cls_accuracy'], str)
        self.assertTrue(os.path.isdir(self.path('out/best_ckpt_5')))
        self.assertEqual(e2e.read_state_file(self.path('out')), (None, []))
        tags = {t for events in self.steps_and_tags('eval') for _s, t in events}
        self.assertIn('out_sentence_prediction/cls_accuracy', tags)


if __name__ == '__main__':
    e2e.main()
