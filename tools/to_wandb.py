#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Puts runs of bert-train into Weights & Biases, by its own package: curves, configuration, results
and files. Again, it adds what has come since, to the same run.

usage: to_wandb.py [--project NAME] [--mode offline|online] [--dir FOLDER] [--checkpoints] MODEL_DIR...
MODEL_DIR may hold several runs (--seeds, a sweep): they are a group. offline (the default) writes
FOLDER/wandb/offline-run-*, which `wandb sync --append` uploads; what was handed over is noted in
FOLDER/wandb/bert-train-ID.json. --checkpoints: the best checkpoint as well. Exit 2: no such run; 4:
wandb is not installed."""
import argparse
import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
try:
    import wandb
except ImportError as problem:
    print('to_wandb: error: %s: pip install wandb' % problem, file=sys.stderr)
    sys.exit(4)
import tracked_runs  # noqa: E402


def by_step(run):
    """W&B has one row a step: what training and validation said of it, together."""
    rows = {}
    for step, _, values in run.values():
        rows.setdefault(step, {}).update(values)
    return sorted(rows.items())


def read_note(path):
    try:
        with open(path, encoding='utf-8') as source:
            return json.load(source)
    except FileNotFoundError:
        return {'last_step': -1, 'is_over': False}


def write_note(path, note):
    with open(path + '.tmp', 'w', encoding='utf-8') as out:
        json.dump(note, out)
    os.replace(path + '.tmp', path)


def hand_over(run, args):
    note_path = os.path.join(args.dir, 'wandb', 'bert-train-%s.json' % run.id)
    note = read_note(note_path)
    # a step whose validation has not been written yet is whole once a later one is there
    rows = [row for row in by_step(run) if row[0] > note['last_step']]
    if not run.is_over():
        rows = rows[:-1]
    now = {'last_step': max([step for step, _ in rows] + [note['last_step']]), 'is_over': run.is_over()}
    if now == note:
        return 0
    session = wandb.init(project=args.project, id=run.id, name=run.name, group=run.group or None, dir=args.dir,
                         mode=args.mode, resume='allow' if args.mode == 'online' else None, config=run.params,
                         settings=wandb.Settings(console='off', disable_git=True, x_disable_stats=True))
    for step, values in rows:
        session.log(values, step=step)
    if run.is_over():
        session.summary.update({'final/' + k: v for k, v in run.results().items()})
        session.summary.update({'best/' + k: v for k, v in run.best().items()})
    artifact = wandb.Artifact('run-' + run.id, type='bert-train-run')
    for name in run.files(args.checkpoints):
        artifact.add_file(run.path(name), name=name)
    session.log_artifact(artifact)
    session.finish()
    write_note(note_path, now)
    return len(rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n')[0])
    parser.add_argument('--project', default='bert-train')
    parser.add_argument('--mode', choices=('offline', 'online'), default='offline')
    parser.add_argument('--dir', default='.')
    parser.add_argument('--checkpoints', action='store_true')
    parser.add_argument('model_dir', nargs='+')
    args = parser.parse_args()
    runs = tracked_runs.find_runs(args.model_dir)
    os.makedirs(os.path.join(args.dir, 'wandb'), exist_ok=True)
    for run in runs:
        print('%s: run %s, %d steps added' % (run.folder, run.id, hand_over(run, args)))


if __name__ == '__main__':
    main()
