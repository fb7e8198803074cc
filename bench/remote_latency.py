#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Training from gs:// against training from local files, with added latency: the same job with its
data (and with --model_dir also its model_dir) in a store over loopback that waits before each answer.
Runs take turns; the shortest of each kind counts. Exit 1 when the store costs more than 5 %.

usage: python3 bench/remote_latency.py [--latency=0.02] [--runs=3] [--steps=3000] [--model_dir]
(BT_BUILD_DIR names the build, build/release by default)"""
import argparse
import os
import shutil
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, 'tests/remote/support'))
import remote_case  # noqa: E402
import store_server  # noqa: E402
from remote_case import e2e  # noqa: E402

MODEL = e2e.TINY_MODEL.replace('hidden_size: 32', 'hidden_size: 128').replace(
    'intermediate_size: 64', 'intermediate_size: 512')


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--latency', type=float, default=0.02)
    parser.add_argument('--runs', type=int, default=3)
    parser.add_argument('--steps', type=int, default=3000)
    parser.add_argument('--model_dir', action='store_true')
    options = parser.parse_args()
    folder = tempfile.mkdtemp(prefix='bt-bench-')
    with store_server.Server() as server:
        server.store.latency = options.latency
        for name, n in (('train.tf_record', 20000), ('eval.tf_record', 100)):
            path = os.path.join(folder, name)
            e2e.write_records(path, e2e.make_rows(n))
            with open(path, 'rb') as source:
                data = source.read()
            store_server.crc32c(data)  # Python takes its time: not while the job waits
            server.store.put('bucket', 'data/' + name, data)
        for name, text in (('model.yaml', MODEL), ('run.yaml', e2e.TINY_RUN)):
            with open(os.path.join(folder, name), 'w', encoding='utf-8') as out:
                out.write(text)
        best = {'local': 1e9, 'gs': 1e9}
        for i in range(options.runs):
            for kind in best:
                best[kind] = min(best[kind], run(kind, i, folder, server, options))
                print('%-5s %.3f s' % (kind, best[kind]), flush=True)
    shutil.rmtree(folder)
    ratio = best['gs'] / best['local']
    print('latency %g s, %d steps: local %.3f s, gs:// %.3f s, ratio %.4f'
          % (options.latency, options.steps, best['local'], best['gs'], ratio))
    return 0 if ratio <= 1.05 else 1


def run(kind, i, folder, server, options):
    data = 'gs://bucket/data' if kind == 'gs' else folder
    remote_dir = kind == 'gs' and options.model_dir
    out = 'gs://bucket/out%d' % i if remote_dir else os.path.join(folder, 'out-%s-%d' % (kind, i))
    env = dict(remote_case.CLEAN, STORAGE_EMULATOR_HOST=server.url)
    began = time.monotonic()
    done = e2e.run(['--experiment=bert/sentence_prediction', '--mode=train', '--model_dir=' + out,
                    '--config_file=model.yaml', '--config_file=run.yaml',
                    '--params_override=task.train_data.input_path=%s/train.tf_record,'
                    'task.validation_data.input_path=%s/eval.tf_record,trainer.train_steps=%d,'
                    'task.train_data.global_batch_size=32,trainer.steps_per_loop=100,trainer.summary_interval=100,'
                    'trainer.checkpoint_interval=1000' % (data, data, options.steps)],
                   cwd=folder, env=env, timeout=600)
    assert done.code == 0, str(done)
    return time.monotonic() - began


if __name__ == '__main__':
    sys.exit(main())
