# SPDX-License-Identifier: Apache-2.0
"""What a disk may hold after the power went, by the rules of POSIX and no more: a file's bytes are
there for certain once fsync of the file returned, a name once fsync of its folder did. Of all that
came later any part may be there, each folder's names and each file's writes on their own. The log
that file_faults.c records is played up to some operation; then states are asked for."""
import os
import shutil


class File:
    """The bytes as the program sees them, those that are certain, and the writes in between."""

    def __init__(self):
        self.now = bytearray()
        self.certain = b''
        self.pending = []  # (offset, bytes), or (size, None): cut to that size

    def change(self, offset, data):
        apply(self.now, offset, data)
        self.pending.append((offset, data))

    def sync(self):
        self.certain = bytes(self.now)
        self.pending = []

    def some(self, rng):
        """The certain bytes and some of the pending writes, the last of them perhaps torn."""
        out = bytearray(self.certain)
        for offset, data in self.pending[:rng.randint(0, len(self.pending))]:
            apply(out, offset, data)
        if self.pending and rng.random() < 0.3:
            offset, data = rng.choice(self.pending)
            if data:
                apply(out, offset, data[:rng.randrange(len(data))])
        return bytes(out)


def apply(content, offset, data):
    if data is None:
        del content[offset:]
        content.extend(bytes(offset - len(content)))
        return
    if len(content) < offset:
        content.extend(bytes(offset - len(content)))
    content[offset:offset + len(data)] = data


class Folder:
    """names: {name: File, Folder or link text}; pending: lists of (name, entry or None)."""

    def __init__(self):
        self.now = {}
        self.certain = {}
        self.pending = []

    def change(self, *entries):
        update(self.now, entries)
        self.pending.append(entries)

    def sync(self):
        self.certain = dict(self.now)
        self.pending = []

    def some(self, rng):
        out = dict(self.certain)
        for entries in self.pending:
            if rng.random() < 0.5:
                update(out, entries)
        return out


def update(names, entries):
    for name, entry in entries:
        if entry is None:
            names.pop(name, None)
        else:
            names[name] = entry


class Disk:
    """The folder `root` of a recorded run; what lay there before is not part of it."""

    def __init__(self, root, without=()):
        self.root = root
        self.top = Folder()
        self.inodes = {}
        self.without = without  # kinds of sync that are taken for undone: what a mutation leaves out
        self.said = []  # lines on standard error so far

    def find(self, path):
        """(Folder, name) of a path below the root, or (None, None)."""
        relative = os.path.relpath(path, self.root)
        parts = relative.split('/')
        folder = self.top
        for part in parts[:-1]:
            folder = folder.now.get(part) if isinstance(folder, Folder) else None
        if relative.startswith('..') or not isinstance(folder, Folder):
            return None, None
        return folder, parts[-1]

    def play(self, operation):
        kind, fields, data = operation
        if kind in ('write', 'sync', 'truncate'):
            self.play_fd(kind, fields, data)
        else:
            self.play_name(kind, fields)

    def play_fd(self, kind, fields, data):
        path, inode, value = fields[0], fields[1], int(fields[2])
        if path == '<stderr>':
            self.said.append(data.decode('utf-8', 'replace') if data else '')
            return
        if kind == 'sync' and path not in ('',) and self.sync_folder(path):
            return
        file = self.inodes.get(inode)
        if file is None:
            return
        if kind == 'write':
            file.change(value, data)
        elif kind == 'truncate':
            file.change(value, None)
        elif 'file' not in self.without:
            file.sync()

    def sync_folder(self, path):
        folder, name = self.find(path)
        if os.path.realpath(path) == os.path.realpath(self.root):
            found = self.top
        else:
            found = folder.now.get(name) if folder is not None else None
        if not isinstance(found, Folder):
            return False
        if 'folder' not in self.without:
            found.sync()
        return True

    def play_name(self, kind, fields):
        path, inode, other, where = fields
        folder, name = self.find(os.path.join(where, path))
        if folder is None and kind != 'symlink':
            return
        if kind == 'create':
            file = File()
            self.inodes[inode] = file
            folder.change((name, file))
        elif kind == 'mkdir':
            folder.change((name, Folder()))
        elif kind in ('unlink', 'rmdir'):
            folder.change((name, None))
        elif kind in ('rename', 'link'):
            self.play_two(kind, folder, name, os.path.join(where, other))
        elif kind == 'symlink':
            folder, name = self.find(os.path.join(where, other))
            if folder is not None:
                folder.change((name, path))

    def play_two(self, kind, folder, name, other):
        entry = folder.now.get(name)
        target, new = self.find(other)
        if target is None or entry is None:
            return
        if kind == 'link':
            target.change((new, entry))
        elif target is folder:
            folder.change((name, None), (new, entry))
        else:
            target.change((new, entry))
            folder.change((name, None))

    # states after the cut

    def write(self, to, names_of, bytes_of):
        """Lays a state down in the folder `to`, in place of what is there."""
        def lay(folder, path):
            for name, entry in names_of(folder).items():
                there = os.path.join(path, name)
                if isinstance(entry, Folder):
                    os.makedirs(there, exist_ok=True)
                    lay(entry, there)
                elif isinstance(entry, File):
                    with open(there, 'wb') as out:
                        out.write(bytes_of(entry))
                else:
                    os.symlink(entry, there)
        for name in set(self.top.now) | set(self.top.certain):
            shutil.rmtree(os.path.join(to, name), ignore_errors=True)
        lay(self.top, to)

    def states(self, rng, n_random):
        """(name, names_of, bytes_of) of the corners, then of states in between."""
        def now_names(folder):
            return folder.now

        def certain_names(folder):
            return folder.certain

        yield 'only what is certain', certain_names, lambda f: f.certain
        yield 'all names, certain bytes', now_names, lambda f: f.certain
        yield 'certain names, all bytes', certain_names, lambda f: bytes(f.now)
        yield 'all of it', now_names, lambda f: bytes(f.now)
        for i in range(n_random):
            yield 'in between %d' % i, lambda f: f.some(rng), lambda f: f.some(rng)


def read_record(path):
    """[(kind, fields, data)]"""
    with open(path, 'rb') as source:
        log = source.read()
    at = 0
    operations = []
    while at < len(log):
        end = log.index(b'\n', at)
        kind, *fields = log[at:end].decode().split('\t')
        at = end + 1
        data = None
        if kind in ('write', 'sync', 'truncate'):
            n_bytes = int(fields[3])
            data = log[at:at + n_bytes]
            at += n_bytes
        operations.append((kind, fields, data))
    return operations
