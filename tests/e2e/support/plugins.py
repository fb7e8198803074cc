# SPDX-License-Identifier: Apache-2.0
"""Plug-ins that tools/get_pjrt.sh has fetched, and an environment in which there is none."""
import os

# half the time that the CPU plug-in takes to compile
QUICK = '--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true'
FILES = {
    'cpu': 'cpu/xla_plugins/xla_cpu_pjrt/xla_cpu_pjrt.so',
    'cuda': 'cuda13/jax_plugins/xla_cuda13/xla_cuda_plugin.so',
    'tpu': 'tpu/libtpu/libtpu.so',
}


def fetched(kind):
    """Its path, or None."""
    folder = os.environ.get('BERT_TRAIN_PJRT_DIR') or os.path.join(
        os.environ.get('XDG_CACHE_HOME') or os.path.expanduser('~/.cache'), 'bert-train', 'pjrt')
    path = os.path.join(folder, FILES[kind])
    return path if os.path.exists(path) else None


def none_here(home):
    """Variables with which no plug-in is found but below /usr."""
    return {'HOME': home, 'PATH': home, 'XDG_CACHE_HOME': '', 'BERT_TRAIN_PJRT_DIR': '',
            'PYTHONPATH': '', 'VIRTUAL_ENV': '', 'CONDA_PREFIX': '', 'TPU_LIBRARY_PATH': '',
            'PJRT_NAMES_AND_LIBRARY_PATHS': ''}
