#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes which libraries the programs were built with, as CycloneDX 1.5. Standard library only.

usage: make_sbom.py OUT.json VERSION MODULE=VERSION... (names as pkg-config knows them)
"""

import json
import sys
import uuid

# pkg-config's name -> the project's name, its licence (SPDX), and how it is tied to the programs
LIBRARIES = {
    'yaml-0.1': ('libyaml', 'MIT'),
    'jansson': ('jansson', 'MIT'),
    'libprotobuf-c': ('protobuf-c', 'BSD-2-Clause'),
    'libpcre2-8': ('pcre2', 'BSD-3-Clause'),
    'libcurl': ('curl', 'curl'),
    'libcrypto': ('openssl', 'Apache-2.0'),
    'libarchive': ('libarchive', 'BSD-2-Clause'),
    'expat': ('expat', 'MIT'),
    'zlib': ('zlib', 'Zlib'),
}
# Not linked, but loaded when a run asks for them; whichever version is there.
LOADED = {'openblas': 'BSD-3-Clause', 'openmpi': 'BSD-3-Clause'}


def component(name, licence, version=None):
    row = {'type': 'library', 'bom-ref': name, 'name': name, 'licenses': [{'license': {'id': licence}}],
           'scope': 'required' if version else 'optional'}
    if version:
        row.update({'version': version, 'purl': 'pkg:generic/%s@%s' % (name, version)})
    return row


def main(out, version, *modules):
    rows = []
    for module in modules:
        pkg_config, _, found = module.partition('=')
        name, licence = LIBRARIES[pkg_config]  # an unknown one: say here what it is
        rows.append(component(name, licence, found))
    rows += [component(name, licence) for name, licence in LOADED.items()]
    rows.sort(key=lambda row: row['name'])
    program = {'type': 'application', 'bom-ref': 'bert-train', 'name': 'bert-train', 'version': version,
               'licenses': [{'license': {'id': 'Apache-2.0'}}]}
    # a number that follows from the content, so that two builds are alike
    number = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps([program, rows], sort_keys=True))
    bom = {'bomFormat': 'CycloneDX', 'specVersion': '1.5', 'serialNumber': 'urn:uuid:%s' % number, 'version': 1,
           'metadata': {'component': program}, 'components': rows,
           'dependencies': [{'ref': 'bert-train', 'dependsOn': [row['bom-ref'] for row in rows]}]}
    with open(out, 'w', encoding='utf-8') as target:
        json.dump(bom, target, indent=2)
        target.write('\n')


if __name__ == '__main__':
    main(*sys.argv[1:])
