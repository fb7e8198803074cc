# SPDX-License-Identifier: Apache-2.0
"""What junitparser and prometheus_client read in a file; asked by ci.py (ecosystem.ask)."""
import json
import sys


def junit(path):
    import junitparser
    (suite,) = junitparser.JUnitXml.fromfile(path)
    said = {name: getattr(suite, name) for name in ('tests', 'failures', 'errors', 'skipped')}
    cases = [[case.name, [type(r).__name__ for r in case.result], ''.join(r.message or '' for r in case.result)]
             for case in suite]
    suite.update_statistics()  # counts its cases: must come to what the file says
    counted = {name: getattr(suite, name) for name in said}
    assert counted == said, (counted, said)
    return dict(said, cases=cases, properties=[p.name for p in suite.properties()])


def prometheus(path):
    from prometheus_client.parser import text_string_to_metric_families
    with open(path, encoding='utf-8') as source:
        families = list(text_string_to_metric_families(source.read()))
    return {'types': {f.name: f.type for f in families},
            'samples': [[s.name, s.labels, s.value] for f in families for s in f.samples]}


question = json.load(sys.stdin)
print(json.dumps({'junit': junit, 'prometheus': prometheus}[question['what']](question['path'])))
