#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes a Python wheel of the built programs: `pip install` puts them beside `python`, and that is all it does: there
is no Python in it. Standard library only; the same programs give the same bytes.

usage: make_wheel.py BUILD_FOLDER OUTPUT_FOLDER

The wheel is tagged for the machine it was made on (linux_x86_64): its programs want the libraries of that system.
`auditwheel repair` puts these into it, and tags it for every distribution as old as this one or newer
(docs/guide/install.md).
"""

import base64
import hashlib
import os
import platform
import re
import subprocess
import sys
import tempfile
import zipfile

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROGRAMS = ('bert-train', 'create-finetuning-data', 'bert-tokenize', 'bert-checkpoint')
WHEN = (2026, 1, 1, 0, 0, 0)  # of every file in it

METADATA = '''Metadata-Version: 2.1
Name: bert-train
Version: %s
Summary: Fine-tunes BERT as TensorFlow Model Garden does, natively
License: Apache-2.0
Classifier: Environment :: Console
Classifier: License :: OSI Approved :: Apache Software License
Classifier: Operating System :: POSIX :: Linux
Classifier: Programming Language :: C
Classifier: Topic :: Scientific/Engineering :: Artificial Intelligence
Requires-Python: >=3.7
Description-Content-Type: text/markdown

%s'''


def read(path, mode='rb'):
    with open(path, mode) as source:
        return source.read()


def project_version():
    found = re.search(rb'project\(bert-train VERSION (\S+)', read(os.path.join(SOURCE, 'CMakeLists.txt')))
    return found.group(1).decode()


def stripped(program):
    """The program's bytes without symbols, which nobody needs to run it."""
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, 'program')
        subprocess.run(['strip', '-o', out, program], check=True)
        return read(out)


def add(wheel, record, name, data, mode=0o644):
    info = zipfile.ZipInfo(name, WHEN)
    info.external_attr = (0o100000 | mode) << 16
    info.compress_type = zipfile.ZIP_DEFLATED
    wheel.writestr(info, data)
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b'=').decode()
    record.append('%s,sha256=%s,%d' % (name, digest, len(data)))


def main(build, out):
    version = project_version()
    base = 'bert_train-%s' % version
    tag = 'py3-none-linux_%s' % platform.machine()
    info = base + '.dist-info/'
    readme = read(os.path.join(SOURCE, 'README.md')).decode()
    bom = os.path.join(build, 'bert-train.cdx.json')
    record = []
    os.makedirs(out, exist_ok=True)
    path = os.path.join(out, '%s-%s.whl' % (base, tag))
    with zipfile.ZipFile(path + '.new', 'w') as wheel:
        for program in PROGRAMS:
            add(wheel, record, '%s.data/scripts/%s' % (base, program), stripped(os.path.join(build, program)), 0o755)
        add(wheel, record, info + 'METADATA', (METADATA % (version, readme)).encode())
        add(wheel, record, info + 'WHEEL', ('Wheel-Version: 1.0\nGenerator: bert-train make_wheel\n'
                                            'Root-Is-Purelib: false\nTag: %s\n' % tag).encode())
        add(wheel, record, info + 'licenses/LICENSE', read(os.path.join(SOURCE, 'LICENSE')))
        if os.path.exists(bom):
            add(wheel, record, info + 'sboms/bert-train.cdx.json', read(bom))
        record.append(info + 'RECORD,,')
        entry = zipfile.ZipInfo(info + 'RECORD', WHEN)
        entry.external_attr = 0o100644 << 16
        wheel.writestr(entry, '\n'.join(record) + '\n')
    os.replace(path + '.new', path)
    print(path)


if __name__ == '__main__':
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
