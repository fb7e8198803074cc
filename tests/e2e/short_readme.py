# SPDX-License-Identifier: Apache-2.0
"""The short commands of the README, as they stand there: with a folder called FOLDER and the sample
data in data/ each of them runs, in the README's order."""
import os
import re
import shlex
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'support'))
import e2e  # noqa: E402
import weights  # noqa: E402


def commands():
    """[(words)] of the section on one's own data, which is the first after the two commands."""
    with open(os.path.join(e2e.SOURCE, 'README.md'), encoding='utf-8') as source:
        sections = re.split(r'^## ', source.read(), flags=re.M)
    titles = [section.split('\n')[0] for section in sections]
    at = titles.index('Your own data')
    blocks = re.findall(r'^    (bert-train (?:.*\\\n)*.*)', sections[at], re.M)
    return titles, [shlex.split(block.replace('\\\n', ' ')) for block in blocks]


class Readme(e2e.Case):
    def test_every_command_runs(self):
        titles, all_words = commands()
        self.assertEqual(titles[1:3], ['Five minutes', 'Your own data'])
        tasks = [w for words in all_words for w in words if w.startswith('--experiment')]
        self.assertEqual(tasks, ['--experiment=bert/' + name for name in (
            'sentence_prediction', 'tagging', 'squad', 'dual_encoder')])
        weights.write_folder(self.path('FOLDER'), weights.words_of(
            *[os.path.join(e2e.SOURCE, 'data', name) for name in ('train.tsv', 'dev.tsv')]))
        os.symlink(os.path.join(e2e.SOURCE, 'data'), self.path('data'))
        outputs = 0
        for words in all_words:
            with self.subTest(' '.join(words)):
                result = e2e.run(words[1:], cwd=self.folder)
                self.assertEqual(result.code, 0, str(result))
                self.assertNotIn('warning: unknown', result.stderr)
                for word in words:
                    if word.startswith('--output_path='):
                        self.assertTrue(os.path.exists(self.path(word.split('=')[1])))
                        outputs += 1
        self.assertEqual((len(all_words), outputs), (9, 4))


if __name__ == '__main__':
    e2e.main()
