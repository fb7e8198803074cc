# SPDX-License-Identifier: Apache-2.0
"""What MLflow and W&B hold, by their own packages. Reads a question as JSON from standard input, prints
the answer as JSON."""
import glob
import json
import os
import struct
import sys


def ask_mlflow(question):
    import mlflow
    client = mlflow.MlflowClient(question['uri'])
    experiment = client.get_experiment_by_name(question['experiment'])
    out = []
    for run in client.search_runs([experiment.experiment_id]):
        run_id = run.info.run_id
        out.append({
            'name': run.info.run_name, 'status': run.info.status, 'tags': run.data.tags, 'params': run.data.params,
            'curves': {name: [[m.step, m.value, m.timestamp] for m in client.get_metric_history(run_id, name)]
                       for name in run.data.metrics},
            'files': sorted(f.path for f in client.list_artifacts(run_id))})
    return {'runs': sorted(out, key=lambda run: run['name'])}


def messages(path):
    """Of a .wandb file, a log of LevelDB's after seven bytes: blocks of 32 KB, in them pieces of messages
    that begin with a checksum, a length and 1 (whole), 2, 3 or 4 (first, middle, last). The package
    reads it with a program of its own that has no door for others."""
    with open(path, 'rb') as source:
        data = source.read()
    assert data[:4] == b':W&B', data[:8]
    at, message = 7, b''
    while at + 7 <= len(data):
        left = 32768 - at % 32768
        if left < 7:
            at += left
            continue
        n, kind = struct.unpack_from('<HB', data, at + 4)
        if kind == 0:
            at += left
            continue
        message += data[at + 7:at + 7 + n]
        at += 7 + n
        if kind in (1, 4):
            yield message
            message = b''


def read_session(path):
    """What wandb itself would upload."""
    from wandb.proto import wandb_internal_pb2
    out = {'id': '', 'group': '', 'project': '', 'config': {}, 'rows': [], 'summary': {}, 'files': [], 'exit': None}
    for data in messages(path):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        kind = record.WhichOneof('record_type')
        if kind == 'run':
            out.update(id=record.run.run_id, group=record.run.run_group, project=record.run.project)
            for item in record.run.config.update:
                out['config'][item.key or '.'.join(item.nested_key)] = json.loads(item.value_json)
        elif kind == 'history':
            out['rows'].append({item.key or '.'.join(item.nested_key): json.loads(item.value_json)
                                for item in record.history.item})
        elif kind == 'summary':
            for item in record.summary.update:
                out['summary'][item.key or '.'.join(item.nested_key)] = json.loads(item.value_json)
        elif kind == 'artifact':
            out['files'] = sorted(entry.path for entry in record.artifact.manifest.contents)
        elif kind == 'exit':
            out['exit'] = record.exit.exit_code
    return out


def ask_wandb(question):
    paths = sorted(glob.glob(os.path.join(question['folder'], 'wandb', 'offline-run-*', '*.wandb')))
    return {'sessions': [read_session(path) for path in paths]}


ASKED = json.load(sys.stdin)
print(json.dumps({'mlflow': ask_mlflow, 'wandb': ask_wandb}[ASKED['what']](ASKED)))
