# SPDX-License-Identifier: Apache-2.0
"""Mutated YAML, override strings and flags through the program: whatever comes in, it ends by
itself with exit status 0 or 2 (3 for files that are not there), prints errors in their form, and a
refusal prints nothing on standard output. A seed that fails is printed and can be given again:
fuzz_config.py SEED. BT_LONG_TESTS=1 runs many more rounds."""
import os
import random
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'support'))
import e2e  # noqa: E402

ROUNDS = 6000 if e2e.LONG else (120 if e2e.SANITIZED else 400)
PIECES = [':', ': ', '- ', '{', '}', '[', ']', ',', '=', '.', '\n', '\n  ', '\t', '"', "'", '&a ',
          '*a', '<<: ', '!!python/tuple ', '!!binary ', '|', '>', '%', '#', '---\n', '...\n', '?',
          'null', '~', 'yes', '1e3', '1.5e3', '-.inf', '.nan', '0x7f', '1:30', '010', '[0]', '[1]',
          '99999999999999999999', '-1', '0', "''", 'trainer', 'task', 'runtime', 'bert', 'albert',
          'type', 'model', 'encoder', 'train_steps', 'optimizer_config', 'ema', 'learning_rate',
          'input_path', '\x00', '\xff', '\u00e9', '\U0001f600', '\ud7ff', '/', '\\', '${X}', '//']
OVERRIDES = ['trainer.train_steps=5,task.model.num_classes=2',
             'task.train_data.input_path=a,b,trainer.optimizer_config.learning_rate.type=cosine',
             "task.model={num_classes: 3, encoder: {type: bert}}", 'override.yaml',
             'trainer:\n  train_steps: 7\n', 'a[0]=1,a[1]=2', 'runtime.tpu=x,trainer.max_to_keep=null',
             'trainer.optimizer_config.ema.average_decay=0.9,task.init_checkpoint=/x/y']


def mutate(rng, text):
    for _ in range(rng.randint(1, 6)):
        at = rng.randint(0, len(text))
        to = min(len(text), at + rng.randint(0, 12))
        kind = rng.randrange(6)
        if kind == 0:
            text = text[:at] + rng.choice(PIECES) + text[at:]
        elif kind == 1:
            text = text[:at] + text[to:]
        elif kind == 2:
            text = text[:at] + text[at:to] * rng.choice((2, 3, 50)) + text[to:]
        elif kind == 3:
            text = text[:at] + rng.choice(PIECES) + text[to:]
        elif kind == 4:
            text = text[:at] + chr(rng.choice((0x80, 0x9f, 0xad, 0x3000, 0xfeff, 0xfffe))) + text[at:]
        else:
            other = rng.randint(0, len(text))
            text = text[:at] + text[other:other + 40] + text[at:]
    return text


class Fuzz(e2e.Case):
    def one(self, seed):
        rng = random.Random(seed)
        yaml = mutate(rng, rng.choice((e2e.TINY_RUN, e2e.TINY_MODEL, e2e.TINY_MODEL + e2e.TINY_RUN)))
        data = yaml.encode('utf-8', 'surrogatepass')
        if rng.random() < 0.1:
            data = bytearray(data)
            data[rng.randrange(len(data))] = rng.randrange(256)
        self.write('fuzz.yaml', bytes(data))
        override = mutate(rng, rng.choice(OVERRIDES)).replace('\x00', '') if rng.random() < 0.5 else ''
        files = ['fuzz.yaml'] if rng.random() < 0.5 else ['model.yaml', 'fuzz.yaml']
        if rng.random() < 0.1:
            files.append(mutate(rng, 'trainer: {train_steps: 11}').replace('\x00', ''))
        more = ['--dry_run']
        if rng.random() < 0.1:
            more.append(mutate(rng, '--params_override=x=1').replace('\x00', ''))
        args = [a.encode('utf-8', 'surrogatepass') for a in
                self.args(mode=rng.choice(('train', 'eval', 'train_and_eval')), files=files,
                          override=override, more=more)]
        result = self.run_bytes(args)
        with self.subTest(seed=seed):
            self.assertIn(result.code, (0, 2, 3, 4), str(result))
            if result.code != 0:
                self.assertGreater(len(result.errors()), 0, str(result))
                self.assertEqual(result.stdout, '', str(result))
            self.assertFalse(os.path.exists(self.path('out')), 'a dry run made something')

    def run_bytes(self, args):
        return e2e.run(args, cwd=self.folder, timeout=60)

    def test_mutations(self):
        for seed in range(ROUNDS):
            self.one(seed)

    def test_what_dry_run_prints_is_read_again(self):
        """The printed parameters are a configuration that gives the same parameters."""
        first = self.train(mode='train', more=['--dry_run']).stdout
        self.write('printed.yaml', first)
        again = self.train(mode='train', files=['printed.yaml'], more=['--dry_run']).stdout
        self.assertEqual(again, first)


if __name__ == '__main__':
    if len(sys.argv) > 1 and sys.argv[1].isdigit():
        chosen = int(sys.argv.pop())
        Fuzz.test_mutations = lambda self: self.one(chosen)
    e2e.main()
