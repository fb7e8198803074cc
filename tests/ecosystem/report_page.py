# SPDX-License-Identifier: Apache-2.0
"""report.html as others see it: html5lib reads it without a parse error; Chromium shows it light and
dark, narrow and wide, without a word on its console, a request or anything that sticks out; every text
has a contrast of 4.5; the keyboard gets everywhere; axe and the tree of a screen reader find nothing
missing. The cheap twin: tests/e2e/report.py."""
import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'support'))
import browser  # noqa: E402
import ecosystem  # noqa: E402

sys.path.insert(0, os.path.join(ecosystem.HERE, '../../reliability/support'))
import jobs  # noqa: E402
from jobs import e2e  # noqa: E402

HOSTILE = ('</script><script>alert(1)</script>', '"><img src=http://127.0.0.1:9/x onerror=alert(1)>',
           '\u202e turned', '<iframe src="http://127.0.0.1:9/">', '&lt;b&gt; \u05e9\u05dc\u05d5\u05dd')

# Least contrast of a text to what is behind it, with the text; shades are those that are drawn.
CONTRAST = """(() => {
  const canvas = document.createElement('canvas'); canvas.width = canvas.height = 1;
  const pen = canvas.getContext('2d', {willReadFrequently: true});
  const rgba = c => { pen.clearRect(0,0,1,1); pen.fillStyle = c; pen.fillRect(0,0,1,1);
                      return [...pen.getImageData(0,0,1,1).data]; };
  const light = c => c.slice(0,3).map(v => v/255).map(v => v <= .03928 ? v/12.92 : ((v+.055)/1.055)**2.4)
                      .reduce((s, v, i) => s + v * [.2126,.7152,.0722][i], 0);
  const ground = e => { for (; e; e = e.parentElement) { const c = rgba(getComputedStyle(e).backgroundColor);
                        if (c[3] === 255) return c; } return [255,255,255,255]; };
  let worst = [99, ''];
  document.querySelectorAll('details').forEach(d => d.open = true);
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const e = walk.currentNode.parentElement, text = walk.currentNode.data.trim();
    if (!text || !e.getClientRects().length || ['TITLE','DESC'].includes(e.tagName.toUpperCase())) continue;
    const style = getComputedStyle(e);
    const ink = rgba(e instanceof SVGElement ? style.fill : style.color);
    const a = light(ink), b = light(ground(e));
    const ratio = (Math.max(a,b)+.05)/(Math.min(a,b)+.05);
    if (ratio < worst[0]) worst = [ratio, text];
  }
  return worst; })()"""
STICKS_OUT = """document.documentElement.scrollWidth - window.innerWidth"""
FOCUSABLE = """[...document.querySelectorAll('a[href],summary,[tabindex="0"]')].filter(e => e.checkVisibility()).length"""
FOCUSED = """(() => { const e = document.activeElement, s = getComputedStyle(e);
  return [e.tagName + ' ' + e.textContent.trim().slice(0, 30), s.outlineStyle]; })()"""


@ecosystem.needs('page')
@unittest.skipUnless(browser.program(), 'no chromium (Debian: chromium)')
class ReportPage(e2e.Case):
    @classmethod
    def setUpClass(cls):
        cls.browser = browser.Browser()
        cls.addClassCleanup(cls.browser.close)

    def setUp(self):
        super().setUp()
        jobs.make(self.folder)
        with open(self.path('dev.tsv'), 'a', encoding='utf-8') as out:
            out.write(''.join('%s\t%d\n' % (text, i) for text in HOSTILE for i in range(2)))
        self.pages = []
        for task in jobs.TASKS:
            result = e2e.run(jobs.args(task, task, 'trainer.train_steps=40'), cwd=self.folder)
            self.assertEqual(result.code, 0, str(result))
            self.pages.append(self.path(task, 'report.html'))
        self.pages.append(self.path('all.html'))
        result = e2e.run(['report', *jobs.TASKS, 'sentence', '--output_path=all.html'], cwd=self.folder)
        self.assertEqual(result.code, 0, str(result))

    def test_pages(self):
        answer = ecosystem.ask('page', 'html_judge.py', {'pages': self.pages})
        self.assertEqual(answer['errors'], dict.fromkeys(self.pages))
        for path in self.pages:
            with self.subTest(page=os.path.relpath(path, self.folder)):
                self.look(path)
                self.use_keys(path)
                self.hear(path)
                self.ask_axe(path, answer['axe'])

    def look(self, path):
        for width in (360, 1400):
            for dark in (False, True):
                self.browser.open(path, width=width, dark=dark)
                self.assertLessEqual(self.browser.script(STICKS_OUT), 0, width)
                ratio, text = self.browser.script(CONTRAST)
                self.assertGreaterEqual(ratio, 4.5, text)
        asked = [p['request']['url'] for m, p in self.browser.events if m == 'Network.requestWillBeSent']
        self.assertEqual(asked, ['file://' + path])
        said = [p for m, p in self.browser.events if m in (
            'Runtime.consoleAPICalled', 'Log.entryAdded', 'Runtime.exceptionThrown', 'Page.javascriptDialogOpening')]
        self.assertEqual(said, [])

    def use_keys(self, path):
        """Tab goes through all that can be used, the way to the content first, and shows where it is."""
        self.browser.open(path)
        places = []
        for _ in range(self.browser.script(FOCUSABLE)):
            self.browser.press('Tab', 9)
            place, outline = self.browser.script(FOCUSED)
            self.assertNotEqual(outline, 'none', place)
            places.append(place)
        self.assertEqual(places[0], 'A To the content')
        self.assertGreater(len(places), 5)
        self.browser.script("document.querySelector('summary').focus()")
        self.browser.press('Enter', 13)
        self.assertTrue(self.browser.script("document.querySelector('details').open"))

    def hear(self, path):
        self.browser.open(path)
        tree = self.browser.tree()
        roles = [role for role, _ in tree]
        self.assertEqual(roles.count('main'), 1)
        for role in ('heading', 'table', 'image', 'link', 'rowheader', 'columnheader', 'region'):
            self.assertIn(role, roles)
            self.assertEqual([t for t in tree if t[0] == role and not t[1].strip()], [], role)

    def ask_axe(self, path, axe):
        if axe is None:
            print('without axe: %s' % path)
            return
        with open(axe, encoding='utf-8') as source:
            script = source.read()
        self.browser.open(path)
        self.browser.script(script + ';0')
        found = self.browser.script(
            'axe.run({runOnly: ["wcag2a", "wcag2aa", "wcag21aa", "best-practice"]}).then(r => '
            'r.violations.map(v => v.id + ": " + v.nodes.slice(0, 3).map(n => n.html).join(" | ")))')
        self.assertEqual(found, [])


if __name__ == '__main__':
    e2e.main()
