#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Puts runs of bert-train into MLflow, by MLflow's own package: curves, configuration, results and
files. Again, it adds what has come since: no run and no value is there twice.

usage: to_mlflow.py [--experiment NAME] [--tracking_uri URI] [--checkpoints] MODEL_DIR...
MODEL_DIR may hold several runs (--seeds, a sweep). Without --tracking_uri MLflow's own rules count
(MLFLOW_TRACKING_URI, else its default). --checkpoints: the best checkpoint as well. Exit 2: no
such run; 4: MLflow is not installed."""
import argparse
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
try:
    import mlflow
    from mlflow.entities import Metric, Param, RunTag
except ImportError as problem:
    print('to_mlflow: error: %s: pip install mlflow' % problem, file=sys.stderr)
    sys.exit(4)
import tracked_runs  # noqa: E402

ID = 'bert_train.run'
VALUES_A_CALL, PARAMS_A_CALL = 1000, 100  # what a server takes
LONGEST_PARAM = 6000


def find_or_make(client, experiment_id, run):
    found = client.search_runs([experiment_id], "tags.`%s` = '%s'" % (ID, run.id))
    if found:
        return found[0].info.run_id
    tags = {ID: run.id, 'mlflow.source.name': 'bert-train', 'mlflow.source.type': 'LOCAL'}
    if run.group:
        tags['bert_train.group'] = run.group
    name = '%s/%s' % (run.group, run.name) if run.group else run.name
    return client.create_run(experiment_id, start_time=run.began(), tags=tags, run_name=name).info.run_id


def known(client, run_id, names):
    """What is there of these curves: {(name, step)}."""
    return {(name, m.step) for name in names for m in client.get_metric_history(run_id, name)}


def log_values(client, run_id, run):
    rows = run.values()
    there = known(client, run_id, sorted({name for _, _, values in rows for name in values}))
    metrics = [Metric(name, value, time, step) for step, time, values in rows
               for name, value in values.items() if (name, step) not in there]
    if run.is_over():
        step = run.records[-1]['step']
        for kind, values in (('final', run.results()), ('best', run.best())):
            names = ['%s/%s' % (kind, name) for name in values]
            done = known(client, run_id, names)
            metrics += [Metric('%s/%s' % (kind, name), float(value), run.ended(), step)
                        for name, value in values.items() if ('%s/%s' % (kind, name), step) not in done]
    for i in range(0, len(metrics), VALUES_A_CALL):
        client.log_batch(run_id, metrics=metrics[i:i + VALUES_A_CALL])
    return len(metrics)


def log_params(client, run_id, run):
    """MLflow keeps a parameter as it is for ever: of a run that went on with another one, the first."""
    there = client.get_run(run_id).data.params
    params = [Param(key, str(value)[:LONGEST_PARAM]) for key, value in run.params.items() if key not in there]
    for i in range(0, len(params), PARAMS_A_CALL):
        client.log_batch(run_id, params=params[i:i + PARAMS_A_CALL])
    changed = {key: str(value)[:LONGEST_PARAM] for key, value in run.params.items()
               if key in there and there[key] != str(value)[:LONGEST_PARAM]}
    client.log_batch(run_id, tags=[RunTag('now.' + key, value) for key, value in changed.items()])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n')[0])
    parser.add_argument('--experiment', default='bert-train')
    parser.add_argument('--tracking_uri')
    parser.add_argument('--checkpoints', action='store_true')
    parser.add_argument('model_dir', nargs='+')
    args = parser.parse_args()
    if args.tracking_uri:
        mlflow.set_tracking_uri(args.tracking_uri)
    runs = tracked_runs.find_runs(args.model_dir)
    client = mlflow.MlflowClient()
    experiment = client.get_experiment_by_name(args.experiment)
    experiment_id = experiment.experiment_id if experiment else client.create_experiment(args.experiment)
    for run in runs:
        run_id = find_or_make(client, experiment_id, run)
        log_params(client, run_id, run)
        n = log_values(client, run_id, run)
        for name in run.files(args.checkpoints):
            client.log_artifact(run_id, run.path(name), os.path.dirname(name) or None)
        if run.is_over():
            client.set_terminated(run_id, 'FINISHED', end_time=run.ended())
        print('%s: run %s, %d values added' % (run.folder, run_id, n))


if __name__ == '__main__':
    main()
