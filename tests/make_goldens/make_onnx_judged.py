#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/goldens/onnx/judged.json: digests of the ONNX files of tests/unit/export/onnx_cases.c that the real
onnx.checker takes (full_check, strict inference of shapes) and for which ONNX Runtime computes what the engine here does
(float32: 1e-5; float16 and int8: what tests/ecosystem/onnx_judge.py allows).
Needs: pip install onnx onnxruntime numpy (made with 1.23.2, 1.32.0).
Usage: make_onnx_judged.py BUILD/tests/unit/export/write_onnx_cases"""
import json
import os
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, '../ecosystem'), os.path.join(HERE, '../unit/export')]

import onnx # noqa: E402
import onnxruntime # noqa: E402
from onnx_judge import judge_cases # noqa: E402


def main():
    with tempfile.TemporaryDirectory() as folder:
        digests, faults, largest = judge_cases(sys.argv[1], folder)
    print('largest differences:', {key: '%.2g' % value for key, value in largest.items()})
    if faults:
        sys.exit('not written:\n' + '\n'.join(faults))
    with open(os.path.join(HERE, '../goldens/onnx/judged.json'), 'w', encoding='utf-8') as out:
        json.dump({'onnx': onnx.__version__, 'onnxruntime': onnxruntime.__version__, 'digests': digests}, out, indent=1,
                  sort_keys=True)
        out.write('\n')


if __name__ == '__main__':
    main()
