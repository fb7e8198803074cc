# SPDX-License-Identifier: Apache-2.0
"""The four programs started with descriptors 0 to 2 closed, alone and together: files hold what they
hold otherwise, and nothing of the log. Before, lines of the log stood in metrics.jsonl and events."""
import os
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'support'))
import jobs  # noqa: E402
from jobs import e2e  # noqa: E402


def close(which):
    def before():
        for fd in range(3):
            if which >> fd & 1:
                os.close(fd)
    return before


class ClosedFiles(e2e.Case):
    def each(self, args, name, out):
        """Runs the program with none closed, then with each set of them; the files must be equal."""
        result = e2e.run(args, name=name, cwd=self.folder)
        self.assertEqual(result.code, 0, str(result))
        want = e2e.read_tree(self.path(out))
        for which in (1, 2, 4, 6, 7):
            shutil.rmtree(self.path(out))
            result = e2e.run(args, name=name, cwd=self.folder, before=close(which))
            self.assertEqual(result.code, 0, '%d: %s' % (which, result))
            yield want, e2e.read_tree(self.path(out)), which

    def test_train(self):
        jobs.make(self.folder)
        args = jobs.args('sentence', 'out', 'trainer.train_steps=20')
        for want, got, which in self.each(args, 'bert-train', 'out'):
            for name in want:
                if 'tfevents' not in name:
                    self.assertIn(name, got, which)
            for name in ('params.yaml', 'ckpt-20.index', 'best_ckpt/info.json'):
                self.assertEqual(want.get(name), got.get(name), (which, name))
            self.assertEqual([(r['kind'], r['step']) for r in e2e.read_jsonl(self.path('out'))],
                             [('train', 5), ('train', 10), ('train', 15), ('train', 20),
                              ('validation', 20), ('final', 20)], which)
            for folder in ('train', 'validation'):
                self.assertTrue(e2e.read_event_folder(self.path('out', folder)), which)

    def test_tools(self):
        jobs.make(self.folder)
        self.write('words.txt', 'ban bin\n')
        self.train(files=('model.yaml', 'sentence.yaml'), model_dir='model',
                   override='trainer.train_steps=5')
        rows = [
            (['--fine_tuning_task_type=classification', '--classification_task_name=SST-2',
              '--input_data_dir=sst', '--vocab_file=vocab.txt', '--max_seq_length=16',
              '--train_data_output_path=out/t.rec', '--eval_data_output_path=out/d.rec',
              '--meta_data_file_path=out/m'], 'create-finetuning-data')]
        os.makedirs(self.path('sst'))
        for part in ('train', 'dev'):
            shutil.copy(self.path(part + '.tsv'), self.path('sst', part + '.tsv'))
        for args, name in rows:
            for want, got, which in self.each(args, name, 'out'):
                self.assertEqual(want, got, which)
        for args, name in ((['--vocab_file=vocab.txt', 'words.txt'], 'bert-tokenize'),
                           (['list', 'model/ckpt-5'], 'bert-checkpoint')):
            for which in range(8):
                result = e2e.run(args, name=name, cwd=self.folder, before=close(which))
                self.assertEqual(result.code, 0, '%d: %s' % (which, result))
                self.assertEqual(result.stdout != '', which & 2 == 0)


if __name__ == '__main__':
    e2e.main()
