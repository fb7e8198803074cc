# SPDX-License-Identifier: Apache-2.0
"""Runs the cases of a folder: each NAME.sh is a script that is run by bash in a fresh folder which
holds a tiny job (model.yaml, run.yaml, train.tf_record, eval.tf_record); the programs are on PATH,
$SRC is the repository. Beside it stands what must come out:

    NAME.exit          exit status (without the file: 0)
    NAME.stdout.exact  standard output, byte for byte      (without .stdout.*: empty)
    NAME.stdout.glob   ... or line by line: * is any text in a line, a line ... is any lines
    NAME.stderr.glob   standard error likewise             (without the file: not looked at)

usage: run_cases.py FOLDER [--update] [NAME...]
--update rewrites .exit and .stdout.exact, and writes expectations where a case has none at all;
look at the difference before you commit it."""
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../e2e/support'))
import e2e  # noqa: E402


def read(path):
    with open(path, encoding='utf-8') as source:
        return source.read()


def write(path, text):
    with open(path, 'w', encoding='utf-8') as out:
        out.write(text)


def glob_regex(pattern):
    """... alone on a line: any number of lines. *: anything within one."""
    parts = []
    for line in pattern.splitlines():
        if line == '...':
            parts.append(r'(?:.*\n)*?')
        else:
            parts.append('.*'.join(re.escape(piece) for piece in line.split('*')) + r'\n')
    return re.compile(''.join(parts))


def run_case(script, job):
    folder = tempfile.mkdtemp(prefix='bt-cli-')
    try:
        shutil.copytree(job, folder, dirs_exist_ok=True)
        env = dict(os.environ, PATH=e2e.BUILD + os.pathsep + os.environ.get('PATH', ''),
                   SRC=e2e.SOURCE, PYTHON=sys.executable, LC_ALL='C.UTF-8')
        done = subprocess.run(['bash', script], cwd=folder, env=env, timeout=e2e.TIMEOUT,
                              stdin=subprocess.DEVNULL, capture_output=True, check=False)
    except subprocess.TimeoutExpired:
        return 'timeout', '', ''
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return (str(done.returncode), done.stdout.decode('utf-8', 'replace'),
            done.stderr.decode('utf-8', 'replace'))


def differences(stem, code, out, err):
    found = []
    want = read(stem + '.exit').strip() if os.path.exists(stem + '.exit') else '0'
    if code != want:
        found.append('exit status is %s, expected %s' % (code, want))
    if os.path.exists(stem + '.stdout.glob'):
        if not glob_regex(read(stem + '.stdout.glob')).fullmatch(out):
            found.append('stdout does not match %s.stdout.glob' % os.path.basename(stem))
    else:
        exact = stem + '.stdout.exact'
        if out != (read(exact) if os.path.exists(exact) else ''):
            found.append('stdout differs from %s' % os.path.basename(exact))
    if os.path.exists(stem + '.stderr.glob'):
        if not glob_regex(read(stem + '.stderr.glob')).fullmatch(err):
            found.append('stderr does not match %s.stderr.glob' % os.path.basename(stem))
    for word in e2e.SANITIZER_WORDS:
        if word in err:
            found.append('a sanitizer spoke')
    return found


def update(stem, code, out, err):
    is_new = not any(os.path.exists(stem + end) for end in
                     ('.exit', '.stdout.exact', '.stdout.glob', '.stderr.glob'))
    if code != '0':
        write(stem + '.exit', code + '\n')
    elif os.path.exists(stem + '.exit'):
        os.unlink(stem + '.exit')
    if not os.path.exists(stem + '.stdout.glob'):
        if out != '':
            write(stem + '.stdout.exact', out)
        elif os.path.exists(stem + '.stdout.exact'):
            os.unlink(stem + '.stdout.exact')
    if is_new:
        write(stem + '.stderr.glob', err.replace(e2e.SOURCE, '*'))


def main():
    words = [a for a in sys.argv[1:] if not a.startswith('--')]
    is_update = '--update' in sys.argv
    folder, chosen = words[0], words[1:]
    if not os.path.exists(e2e.program()):
        print('SKIPPED: there is no %s: build it first' % e2e.program())
        sys.exit(77)
    job = tempfile.mkdtemp(prefix='bt-cli-job-')
    write(os.path.join(job, 'model.yaml'), e2e.TINY_MODEL)
    write(os.path.join(job, 'run.yaml'), e2e.TINY_RUN)
    e2e.write_records(os.path.join(job, 'train.tf_record'), e2e.make_rows(64, seed=7))
    e2e.write_records(os.path.join(job, 'eval.tf_record'), e2e.make_rows(20, seed=8))
    n_failed = n_run = 0
    for name in sorted(os.listdir(folder)):
        if not name.endswith('.sh') or chosen and name[:-3] not in chosen:
            continue
        stem = os.path.join(folder, name[:-3])
        code, out, err = run_case(os.path.abspath(stem + '.sh'), job)
        n_run += 1
        if is_update:
            update(stem, code, out, err)
        for what in differences(stem, code, out, err):
            print('FAILED %s: %s\n--- exit %s\n--- stdout\n%s--- stderr\n%s'
                  % (name, what, code, out[-4000:], err[-4000:]))
            n_failed += 1
    shutil.rmtree(job, ignore_errors=True)
    print('%d cases, %d failures' % (n_run, n_failed))
    sys.exit(1 if n_failed or n_run == 0 else 0)


if __name__ == '__main__':
    main()
