# SPDX-License-Identifier: Apache-2.0
"""Runs of bert-train as to_mlflow.py and to_wandb.py hand them on: which model_dirs there are below a
folder, and what each says of itself. Needs PyYAML, which both packages bring along."""
import glob
import hashlib
import json
import os
import sys

import yaml

TEXTS = ('params.yaml', 'params_ours.yaml', 'labels.json', 'vocab.txt', 'tokenizer.json', 'report.html',
         'run_facts.json', 'metrics.jsonl', 'best_ckpt/info.json')
TIME = 'wall_time_seconds'
NOT_VALUES = {'kind', 'step', TIME, 'pretrain_step', 'mode', 'stopped'}


class Loader(yaml.SafeLoader):
    """Model Garden's lists that are tuples of Python."""


Loader.add_constructor('tag:yaml.org,2002:python/tuple', lambda loader, node: loader.construct_sequence(node))


def flatten(tree, path=''):
    out = {}
    for key, value in tree.items():
        name = path + str(key)
        out.update(flatten(value, name + '.') if isinstance(value, dict) and value else {name: value})
    return out


class Run:
    def __init__(self, folder, group):
        self.folder, self.group = folder, group
        self.name = os.path.basename(os.path.realpath(folder))
        self.records = self.read_records()
        self.params = {}
        for name in ('params.yaml', 'params_ours.yaml'):
            if os.path.exists(self.path(name)):
                with open(self.path(name), encoding='utf-8') as source:
                    self.params.update(flatten(yaml.load(source, Loader) or {}))
        # of the run, not of the place: a folder that was moved or copied is the same run
        first = json.dumps(self.records[0], sort_keys=True)
        seed = str(self.params.get('task.train_data.seed'))
        self.id = hashlib.sha256((first + seed).encode()).hexdigest()[:32]

    def path(self, name):
        return os.path.join(self.folder, name)

    def read_records(self):
        with open(self.path('metrics.jsonl'), encoding='utf-8') as source:
            lines = source.read().split('\n')
        return [json.loads(line) for line in lines[:-1] if line]  # a run at work may be in its last line

    def values(self):
        """[(step, milliseconds, {name: value})], of training and validation, in order."""
        return [(r['step'], round(r[TIME] * 1000), {
            '%s/%s' % (r['kind'], key): float(value) for key, value in r.items()
            if key not in NOT_VALUES and value is not None})
                for r in self.records if r['kind'] in ('train', 'validation')]

    def results(self):
        """The last record of a run that came to its end, or {}."""
        last = [r for r in self.records if r['kind'] == 'final'][-1:]
        return {k: v for r in last for k, v in r.items() if k not in NOT_VALUES and v is not None}

    def best(self):
        if not os.path.exists(self.path('best_ckpt/info.json')):
            return {}
        with open(self.path('best_ckpt/info.json'), encoding='utf-8') as source:
            return json.load(source)

    def is_over(self):
        return bool(self.results()) and self.records[-1]['kind'] == 'final'

    def began(self):
        return round(self.records[0][TIME] * 1000)

    def ended(self):
        return round(self.records[-1][TIME] * 1000)

    def files(self, checkpoints):
        names = [name for name in TEXTS if os.path.exists(self.path(name))]
        if checkpoints:
            names += sorted(os.path.relpath(p, self.folder) for p in glob.glob(self.path('best_ckpt/*ckpt*'))
                            if os.path.isfile(p))
        return names


def is_run(folder):
    path = os.path.join(folder, 'metrics.jsonl')
    return os.path.isfile(path) and os.path.getsize(path) > 0


def find_runs(folders):
    """A model_dir, or a folder with model_dirs in it (--seeds, a sweep): these are a group."""
    runs = []
    for folder in folders:
        if is_run(folder):
            runs.append(Run(folder, ''))
            continue
        below = sorted(e.path for e in os.scandir(folder) if e.is_dir() and not e.is_symlink() and is_run(e.path))
        if not below:
            sys.exit('%s: error: %s: no metrics.jsonl here or in a folder below: not a model_dir'
                     % (os.path.basename(sys.argv[0]), folder))
        group = os.path.basename(os.path.realpath(folder))
        runs += [Run(path, group) for path in below]
    return runs
