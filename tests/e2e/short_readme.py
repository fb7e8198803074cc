# SPDX-License-Identifier: Apache-2.0
"""The short commands of README.md and docs/guide/your_data.md, as they stand there: with a folder called
FOLDER and the sample data in data/ each of them runs, in the order of the page."""
import os
import re
import shlex
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'support'))
import e2e  # noqa: E402
import weights  # noqa: E402


def commands(page, heading):
    """[(words)] of the section of that heading in a page."""
    with open(os.path.join(e2e.SOURCE, *page), encoding='utf-8') as source:
        sections = re.split(r'^#+ ', source.read(), flags=re.M)
    section = next(section for section in sections if section.split('\n')[0] == heading)
    blocks = re.findall(r'^    (bert-train (?:.*\\\n)*.*)', section, re.M)
    return [shlex.split(block.replace('\\\n', ' ')) for block in blocks]


class Readme(e2e.Case):
    def run_all(self, all_words):
        """Runs them in a folder with FOLDER and data/; how many outputs were asked for, and are there."""
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
        return outputs

    def test_the_commands_of_the_readme(self):
        all_words = commands(('README.md',), 'Your own data')
        self.assertEqual((len(all_words), self.run_all(all_words)), (2, 1))

    def test_the_commands_of_the_guide(self):
        all_words = commands(('docs', 'guide', 'your_data.md'), 'Your own data')
        tasks = [w for words in all_words for w in words if w.startswith('--experiment')]
        self.assertEqual(tasks, ['--experiment=bert/' + name for name in (
            'sentence_prediction', 'tagging', 'squad', 'dual_encoder')])
        self.assertEqual((len(all_words), self.run_all(all_words)), (9, 4))

    def test_the_two_commands_are_there(self):
        with open(os.path.join(e2e.SOURCE, 'README.md'), encoding='utf-8') as source:
            code = re.findall(r'^    (.*)', source.read(), re.M)
        self.assertTrue(code[0].endswith(' && tools/quickstart.sh'), code[0])
        self.assertEqual(code[1], 'tests/run.sh')
        for name in ('tools/quickstart.sh', 'tests/run.sh'):
            self.assertTrue(os.access(os.path.join(e2e.SOURCE, name), os.X_OK), name)


if __name__ == '__main__':
    e2e.main()
