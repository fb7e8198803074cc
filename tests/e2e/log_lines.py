# SPDX-License-Identifier: Apache-2.0
"""Lines on standard error: JSON whose events have the fields that docs/guide/logs.md promises, times
in text, and what a terminal shows (a real one: a pseudo-terminal, at several widths)."""
import datetime
import fcntl
import json
import os
import pty
import re
import signal
import struct
import sys
import termios
import unicodedata

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'support'))
import e2e  # noqa: E402

TIME = re.compile(r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z')
TYPES = {'integer': int, 'number': (int, float, type(None)), 'string': str}


def promised():
    """{event: {field: type}} of the page; those that all events have under None."""
    events = {None: {}}
    with open(os.path.join(e2e.SOURCE, 'docs/guide/logs.md'), encoding='utf-8') as page:
        rows = [line.strip('|\n ').split('|') for line in page if line.startswith('| ')]
    for row in rows:
        name, what = row[0].strip(), row[1].strip()
        if what in TYPES:
            events[None][name] = TYPES[what]
        elif name not in ('field', 'event', '---'):
            pairs = [pair.split(':') for pair in what.split(',') if ':' in pair]
            events[name] = {field.strip(): TYPES[kind.strip()] for field, kind in pairs}
    return events


class Json(e2e.Case):
    def check(self, text, events):
        """All lines parse and are what the page says; returns them."""
        lines = [json.loads(line) for line in text.splitlines()]
        for line in lines:
            self.assertIn(line['event'], events)
            for field, kind in {**events[None], **events[line['event']]}.items():
                self.assertIn(field, line, line)
                self.assertIsInstance(line[field], kind, line)
                self.assertNotIsInstance(line[field], bool, line)
            self.assertRegex(line['time'], '^%s$' % TIME.pattern)
        return lines

    def test_events_are_as_promised(self):
        events = promised()
        self.assertGreater(len(events), 12)
        before = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=1)
        first = self.check(self.train(more=['--log_format=json']).stderr, events)
        again = self.check(self.train(mode='eval', more=['--log_format=json']).stderr, events)
        after = datetime.datetime.now(datetime.timezone.utc)
        seen = [line['event'] for line in first + again]
        for event in ('stage', 'ready', 'first_step', 'train', 'evaluation', 'best', 'checkpoint', 'restored', 'end'):
            self.assertIn(event, seen)
        self.assertEqual([line['event'] for line in first].count('end'), 1)
        self.assertEqual((first[-1]['event'], first[-1]['exit_code']), ('end', 0))
        at = datetime.datetime.fromisoformat(first[0]['time'].replace('Z', '+00:00'))
        self.assertTrue(before <= at <= after, first[0])
        # the same numbers as in the records
        records = [r for r in e2e.read_jsonl(self.path('out')) if r.get('kind') == 'train']
        self.assertGreater(len(records), 1)
        told = [line for line in first if line['event'] == 'train']
        self.assertEqual([(r['step'], r['training_loss']) for r in records],
                         [(t['step'], t['training_loss']) for t in told])
        saved = [line['path'] for line in first if line['event'] == 'checkpoint']
        for path in saved[-1:]:
            self.assertTrue(os.path.exists(self.path(path + '.index')), path)

    def test_errors_say_where(self):
        events = promised()
        self.write('bad.yaml', 'trainer:\n  train_steps: many\n')
        result = self.train(expect=2, files=['model.yaml', 'run.yaml', 'bad.yaml'], more=['--log_format=json'])
        lines = self.check(result.stderr, events)
        errors = [line for line in lines if line['event'] == 'error']
        self.assertEqual((errors[0]['file'], errors[0]['line'], errors[0]['key']),
                         ('bad.yaml', 2, 'trainer.train_steps'))
        self.assertEqual(lines[-1]['exit_code'], 2)
        result = self.train(expect=3, override='task.train_data.input_path=none.tf_record', more=['--log_format=json'])
        lines = self.check(result.stderr, events)
        error = [line for line in lines if line['event'] == 'error'][-1]
        self.assertEqual((error['exit_code'], error['key']), (3, 'task.train_data.input_path'))

    def test_a_stop(self):
        seen = lambda: os.path.exists(self.path('out/metrics.jsonl'))  # noqa: E731
        result = self.train(expect=75, mode='train', more=['--log_format=json'],
                            override='trainer.train_steps=1000000',
                            run_how={'stop_when': (seen, signal.SIGTERM)})
        lines = self.check(result.stderr, promised())
        self.assertIn('stop', [line['event'] for line in lines])
        stopped = [line for line in lines if line['event'] == 'stopped']
        self.assertEqual([line['exit_code'] for line in stopped], [75])
        self.assertEqual(lines[-1]['exit_code'], 75)

    def test_text_that_is_not_utf8(self):
        result = self.train(expect=None, override='task.train_data.input_path=d\udce9', more=['--log_format=json'])
        self.assertNotEqual(result.code, 0)
        self.check(result.stderr, promised())


class Times(e2e.Case):
    def lines(self, *more, env=None):
        result = self.train(mode='train', override='trainer.train_steps=2', model_dir='m%d' % len(os.listdir(self.folder)),
                            more=list(more), run_how={'env': env or {}})
        lines = result.stderr.splitlines()
        self.assertGreater(len(lines), 3)
        return lines

    def test_flag_and_variable(self):
        auto = {'BERT_TRAIN_LOG_TIMES': 'auto'}
        for lines in (self.lines(env=auto), self.lines('--log_times=auto'), self.lines('--log_times=on')):
            for line in lines:
                self.assertRegex(line, '^%s bert-train: ' % TIME.pattern)
        for lines in (self.lines(), self.lines('--log_times=off', env=auto)):
            for line in lines:
                self.assertTrue(line.startswith('bert-train: '), line)

    def test_errors_of_flags(self):
        result = e2e.run(['--no_such_flag'], env={'BERT_TRAIN_LOG_TIMES': 'auto'})
        self.assertRegex(result.stderr, '^%s bert-train: error: ' % TIME.pattern)

    def test_wrong_variable(self):
        lines = self.lines(env={'BERT_TRAIN_LOG_TIMES': 'yes'})
        self.assertIn('warning: BERT_TRAIN_LOG_TIMES=yes: expected auto, on or off', lines[0])


def columns(text):
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in 'WF' else 1 for c in text)


def on_terminal(command, width, cwd, env):
    """Runs it with a pseudo-terminal of that width as standard error; what it wrote there."""
    pid, fd = pty.fork()
    if pid == 0:
        try:
            fcntl.ioctl(2, termios.TIOCSWINSZ, struct.pack('HHHH', 24, width, 0, 0))
            os.chdir(cwd)
            os.execve(command[0], command, dict(os.environ, **env))
        finally:
            os._exit(127)
    said = b''
    while True:
        try:
            piece = os.read(fd, 65536)
        except OSError:  # the other end is closed
            break
        if not piece:
            break
        said += piece
    os.close(fd)
    _pid, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status), said.decode('utf-8')


class Terminal(e2e.Case):
    def show(self, width, term='xterm', **env):
        args = self.args(mode='train', model_dir='t%d%s' % (width, term), override='trainer.train_steps=2')
        code, said = on_terminal([e2e.program()] + args, width, self.folder,
                                 dict(env, TERM=term, BERT_TRAIN_LOG_TIMES='auto'))
        self.assertEqual(code, 0, said)
        return said

    def drawn(self, said):
        """The texts of the line that is redrawn: what an erasure ends."""
        return [piece.split('\n')[-1] for piece in said.split('\r\x1b[K')[:-1]]

    def test_the_line_fits(self):
        for width in (120, 80, 60, 40, 12, 1):
            drawn = self.drawn(self.show(width))
            self.assertIn('reading the data'[:width - 1 or 1], drawn)
            for text in drawn:
                self.assertLess(columns(text), max(width, 2), text)

    def test_only_what_is_needed_is_sent(self):
        """No colours, no other sequences, and no times."""
        said = self.show(80)
        self.assertEqual(set(re.findall(r'\x1b[^A-Za-z]*[A-Za-z]', said)), {'\x1b[K'})
        self.assertNotRegex(said, TIME)
        self.assertIn('bert-train: ready for the first step after', said)

    def test_terminals_that_only_print(self):
        for term in ('dumb', ''):
            self.assertNotIn('\x1b', self.show(80, term=term))

    def test_plain_lines_in_files(self):
        result = self.train(mode='train')
        self.assertNotIn('\x1b', result.stderr)
        self.assertNotIn('\r', result.stderr)
        self.assertNotIn('reading the data', result.stderr)


if __name__ == '__main__':
    e2e.main()
