# SPDX-License-Identifier: Apache-2.0
"""A report as Python's html.parser reads it, and what must hold for each of them: elements that close
in order, ids that are there once, nothing that is fetched or run, tables with heads, drawings with
names. Judges of others: tests/ecosystem/report.py."""
import html.parser

VOID = {'meta', 'wbr', 'br', 'link', 'img', 'input'}


class Node:
    def __init__(self, name, attributes, parent):
        self.name = name
        self.attributes = attributes
        self.parent = parent
        self.children = []  # nodes and texts

    def text(self):
        return ''.join(c if isinstance(c, str) else c.text() for c in self.children)

    def all(self, name=None, **attributes):
        """Nodes below it of that name, with these attributes."""
        out = []
        for child in self.children:
            if isinstance(child, Node):
                if name in (None, child.name) and all(
                        child.attributes.get(k.rstrip('_')) == v for k, v in attributes.items()):
                    out.append(child)
                out += child.all(name, **attributes)
        return out

    def value(self):
        """The exact number of a cell, where it shows a rounded one."""
        data = self.all('data')
        return data[0].attributes['value'] if len(data) == 1 else self.text()


class Page(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.problems = []
        self.root = self.at = Node('', {}, None)
        self.feed(text)
        self.close()
        if self.at is not self.root:
            self.problems.append('<%s> is never closed' % self.at.name)
        self.check()

    def handle_starttag(self, tag, attrs):
        names = [k for k, _ in attrs]
        if len(set(names)) < len(names):
            self.problems.append('<%s> has an attribute twice' % tag)
        node = Node(tag, dict(attrs), self.at)
        self.at.children.append(node)
        if tag not in VOID:
            self.at = node

    def handle_startendtag(self, tag, attrs):
        self.at.children.append(Node(tag, dict(attrs), self.at))

    def handle_endtag(self, tag):
        if self.at.name != tag:
            self.problems.append('</%s> inside <%s>' % (tag, self.at.name))
            return
        self.at = self.at.parent

    def handle_data(self, data):
        self.at.children.append(data)

    def handle_comment(self, data):
        self.problems.append('a comment: %s' % data[:40])

    def handle_pi(self, data):
        self.problems.append('a processing instruction: %s' % data[:40])

    def check(self):
        nodes = self.root.all()
        ids = [n.attributes['id'] for n in nodes if 'id' in n.attributes]
        self.problems += ['the id %s is there twice' % i for i in set(ids) if ids.count(i) > 1]
        for node in nodes:
            self.check_node(node, set(ids))
        headings = [int(n.name[1]) for n in nodes if n.name in ('h1', 'h2', 'h3', 'h4')]
        if headings[:1] != [1] or headings.count(1) != 1:
            self.problems.append('headings do not begin with the only h1: %s' % headings)
        self.problems += ['h%d after h%d' % (b, a) for a, b in zip(headings, headings[1:]) if b > a + 1]
        if len(self.root.all('main')) != 1 or not self.root.all('html', lang='en'):
            self.problems.append('one main and a language are expected')

    def check_node(self, node, ids):
        for key, value in node.attributes.items():
            if key in ('src', 'href', 'action', 'srcset', 'data', 'poster', 'xlink:href'):
                if not (value or '').startswith('#') or value[1:] not in ids:
                    self.problems.append('<%s %s="%s"> leads nowhere or away' % (node.name, key, value))
            if key.startswith('on') or 'javascript:' in (value or ''):
                self.problems.append('<%s %s>' % (node.name, key))
            if key == 'aria-labelledby' and not set(value.split()) <= ids:
                self.problems.append('%s is labelled by what is not there' % node.name)
        if node.name in ('script', 'link', 'iframe', 'object', 'embed', 'img', 'base', 'form'):
            self.problems.append('<%s>' % node.name)
        if node.name == 'th' and 'scope' not in node.attributes:
            self.problems.append('a head without a scope: %s' % node.text())
        if node.name == 'table' and not (node.all('caption') and node.all('th', scope='col')):
            self.problems.append('a table without caption or heads')
        if node.name == 'svg' and node.attributes.get('aria-hidden') != 'true' and not (
                node.attributes.get('role') == 'img' and node.all('title')):
            self.problems.append('a drawing without a name')
        if node.name == 'style' and ('url(' in node.text() or '@import' in node.text()):
            self.problems.append('a style that fetches')

    def table(self, caption):
        """Its rows, the heads first: lists of texts, numbers exact."""
        for table in self.root.all('table'):
            if table.all('caption')[0].text() == caption:
                return [[c.value() for c in row.children if isinstance(c, Node)]
                        for row in table.all('tr')]
        raise AssertionError('no table "%s": %s' % (
            caption, [t.all('caption')[0].text() for t in self.root.all('table')]))

    def sections(self):
        return [n.attributes['id'] for n in self.root.all('h2')]


def read(path):
    with open(path, encoding='utf-8') as source:
        return Page(source.read())
