# SPDX-License-Identifier: Apache-2.0
"""Compares two model_dirs that must have come to the same: a run that was disturbed and continued,
and one that nothing disturbed. Everything is compared but times: the latest checkpoint's values and
step, the best checkpoint's, info.json, every record of metrics.jsonl, every event, the other files,
and that nothing is left over."""
import json
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../../e2e/support'))
import e2e  # noqa: E402

BEST = 'best_ckpt'


def is_time(name):
    return 'second' in name or name in ('input_wait', 'exchange_wait', 'time')


def is_same(a, b):
    return a == b or (a != a and b != b)  # NaN


def differences(straight, other, kept=False, best=BEST):
    """Sentences, none when all is the same. kept: the same checkpoints are there as well (a stop
    that saved leaves one more)."""
    out = []
    out += checkpoint_differences(straight, other, 'latest')
    if kept and e2e.read_state_file(straight) != e2e.read_state_file(other):
        out.append('kept %s, not %s' % (e2e.read_state_file(other), e2e.read_state_file(straight)))
    out += best_differences(os.path.join(straight, best), os.path.join(other, best))
    out += record_differences(straight, other)
    out += event_differences(straight, other)
    out += file_differences(straight, other)
    return out


def steps_of(tensors):
    return [t.integer() for k, t in sorted(tensors.items()) if k.startswith('global_step')]


def checkpoint_differences(a, b, what, same_name=True):
    name_a, name_b = e2e.read_state_file(a)[0], e2e.read_state_file(b)[0]
    if (name_a is None) != (name_b is None) or (same_name and name_a != name_b):
        return ['%s checkpoint %s, not %s' % (what, name_b, name_a)]
    if name_a is None:
        return []
    try:
        got = e2e.read_bundle(os.path.join(b, name_b))
    except Exception as problem:  # whatever it is, the checkpoint cannot be read
        return ['%s checkpoint %s cannot be read: %r' % (what, name_b, problem)]
    want = e2e.read_bundle(os.path.join(a, name_a))
    if steps_of(got) != steps_of(want):
        return ['%s checkpoint of step %s, not %s' % (what, steps_of(got), steps_of(want))]
    floats = {k for k, t in want.items() if t.dtype == 1}
    if floats != {k for k, t in got.items() if t.dtype == 1}:
        return ['%s checkpoint has other tensors' % what]
    differ = [k for k in floats if want[k].raw != got[k].raw]
    return ['%s checkpoint: %d tensors differ, e.g. %s' % (what, len(differ), min(differ))] \
        if differ else []


def read_text(path):
    try:
        with open(path, encoding='utf-8') as source:
            return source.read()
    except FileNotFoundError:
        return None


def best_differences(a, b):
    out = checkpoint_differences(a, b, 'best', same_name=False)
    infos = [read_text(os.path.join(folder, 'info.json')) for folder in (a, b)]
    if infos[0] != infos[1]:
        out.append('info.json %s, not %s' % tuple(' '.join(str(i).split()) for i in reversed(infos)))
    return out


def records(model_dir):
    """[((kind, step), values without times)]; a line that is not a record is ('torn', line)."""
    text = read_text(os.path.join(model_dir, 'metrics.jsonl'))
    out = []
    for line in (text or '').splitlines(keepends=True):
        try:
            record = json.loads(line)
            assert line.endswith('\n')
            key = (record['kind'], record['step'])
        except (ValueError, KeyError, TypeError, AssertionError):
            out.append((('torn', line[-60:]), {}))
            continue
        out.append((key, {k: v for k, v in record.items() if not is_time(k)}))
    return out


def record_differences(a, b):
    want, got = records(a), records(b)
    keys_a, keys_b = [k for k, _ in want], [k for k, _ in got]
    if keys_a != keys_b:
        missing = sorted(set(keys_a) - set(keys_b), key=str)
        added = sorted(set(keys_b) - set(keys_a), key=str)
        twice = sorted({k for k in keys_b if keys_b.count(k) > keys_a.count(k) > 0}, key=str)
        return ['metrics.jsonl: missing %s, added %s, twice %s%s' % (
            missing, added, twice, '' if missing or added or twice else ', another order')]
    return ['metrics.jsonl: %s is %s, not %s' % (key, other, values)
            for (key, values), (_, other) in zip(want, got) if values != other][:4]


def event_folders(model_dir):
    return sorted({os.path.relpath(where, model_dir) for where, _, names in os.walk(model_dir)
                   if any('tfevents' in n for n in names)})


def events(model_dir, folder):
    """{(step, tag): [values, in all files]}, read as whole files of whole records."""
    out = {}
    path = os.path.join(model_dir, folder)
    for name in sorted(os.listdir(path)):
        if 'tfevents' in name:
            for step, tag, value in e2e.read_events(os.path.join(path, name)):
                out.setdefault((step, tag), []).append(value)
    return out


def event_differences(a, b):
    if event_folders(a) != event_folders(b):
        return ['events in %s, not in %s' % (event_folders(b), event_folders(a))]
    out = []
    for folder in event_folders(a):
        try:
            got = events(b, folder)
        except Exception as problem:  # torn, damaged: for the reader it is the same
            out.append('%s: events cannot be read: %r' % (folder, problem))
            continue
        want = events(a, folder)
        if set(want) != set(got):
            out.append('%s: events missing %s, added %s' % (
                folder, sorted(set(want) - set(got))[:4], sorted(set(got) - set(want))[:4]))
        for key in sorted(set(want) & set(got)):
            same = is_time(key[1]) or all(map(is_same, want[key], got[key]))
            if len(want[key]) != len(got[key]) or not same:
                out.append('%s: event %s is %s, not %s' % (folder, key, got[key], want[key]))
    return out[:8]


def file_names(model_dir):
    """Relative paths, numbers of checkpoints and events' times taken out."""
    names = set()
    for where, _, files in os.walk(model_dir):
        for name in files:
            path = os.path.relpath(os.path.join(where, name), model_dir)
            path = re.sub(r'(events\.out\.tfevents)\..*', r'\1', path)
            names.add(re.sub(r'ckpt-\d+(\.index|\.data-00000-of-00001)$', r'ckpt-N\1', path))
    return names


def file_differences(a, b):
    want, got = file_names(a), file_names(b)
    out = []
    if got - want:
        out.append('left over: %s' % sorted(got - want))
    if want - got:
        out.append('not there: %s' % sorted(want - got))
    for name in ('params.yaml', 'params_ours.yaml', 'labels.json', 'eval_details.json'):
        if read_text(os.path.join(a, name)) != read_text(os.path.join(b, name)):
            out.append('%s differs' % name)
    facts = [read_text(os.path.join(folder, 'run_facts.json')) for folder in (a, b)]
    facts = [re.sub(r'"command": "(\\.|[^"\\])*"', '', text or '') for text in facts]  # names the folder
    if facts[0] != facts[1]:
        out.append('run_facts.json differs')
    return out
