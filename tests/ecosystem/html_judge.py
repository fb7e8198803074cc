# SPDX-License-Identifier: Apache-2.0
"""Reads pages as html5lib does, strictly: the first parse error of each, or null. Where axe's script is."""
import json
import os
import sys

import html5lib

try:
    import axe_playwright_python
    AXE = os.path.join(os.path.dirname(axe_playwright_python.__file__), 'axe.min.js')
except ImportError:
    AXE = None


def error_of(path):
    parser = html5lib.HTMLParser(strict=True)
    with open(path, 'rb') as source:
        try:
            parser.parse(source, transport_encoding='utf-8')
        except html5lib.html5parser.ParseError as problem:
            return repr(problem)
    return None


question = json.load(sys.stdin)
print(json.dumps({'errors': {path: error_of(path) for path in question['pages']}, 'axe': AXE}))
