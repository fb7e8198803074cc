# SPDX-License-Identifier: Apache-2.0
"""Runs in TensorBoard's own Python: {tag: [[step, value]]} of the scalars of a folder, as its accumulator reads it.
usage: read_tensorboard.py FOLDER plugin|old"""
import json
import sys

from tensorboard.backend.event_processing import event_accumulator, plugin_event_accumulator
from tensorboard.util import tensor_util


def read(folder, which):
    module = plugin_event_accumulator if which == 'plugin' else event_accumulator
    accumulator = module.EventAccumulator(folder, size_guidance={module.TENSORS: 0})
    accumulator.Reload()
    return {tag: [[e.step, float(tensor_util.make_ndarray(e.tensor_proto))]
                  for e in accumulator.Tensors(tag)]
            for tag in accumulator.Tags()[module.TENSORS]
            if accumulator.SummaryMetadata(tag).plugin_data.plugin_name == 'scalars'}


print(json.dumps(read(sys.argv[1], sys.argv[2])))
