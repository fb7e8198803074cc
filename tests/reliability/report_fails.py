# SPDX-License-Identifier: Apache-2.0
"""A report that cannot be written is no reason to lose a run: its results are printed and kept, the exit
code is that of the failure, and either command makes the report then. Of --seeds the same command does."""
import errno
import os
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'support'))
import compare  # noqa: E402
import faults  # noqa: E402
from jobs import e2e  # noqa: E402


class ReportFails(faults.FaultCase):
    def test_no_room_for_the_report(self):
        self.assertEqual(self.run_job('sentence', 'straight').code, 0)
        whole = self.suffer('sentence')
        self.assertEqual(whole.code, 0)
        places = [i + 1 for i, (_call, path) in enumerate(self.operations()) if 'report.html' in path]
        self.assertGreater(len(places), 2)
        for k in places:
            result = self.suffer('sentence', at=k, action='errno', ERRNO=errno.ENOSPC)
            self.assertIn(result.code, (0, 4), str(result))
            self.assertEqual(result.stdout, whole.stdout, self.operations()[k - 1])
            if result.code == 4:
                self.assertIn('bert-train report victim makes the report again', self.one_error(result))
                self.assertFalse(os.path.exists(self.path('victim', 'report.html')))
                self.assertEqual(e2e.run(['report', 'victim'], cwd=self.folder).code, 0)
            self.assertEqual(compare.differences(self.path('straight'), self.path('victim')), [])

    def test_no_room_for_reports_of_seeds(self):
        """Later seeds are trained all the same, the values of all are printed, and the command made again makes
        the reports alone."""
        how = ('sentence', 'trainer.train_steps=20')
        seeds = dict(more_args=['--seeds=1,2'])
        whole = self.suffer(*how, **seeds)
        self.assertEqual(whole.code, 0, str(whole))
        made = [(i + 1, path) for i, (_call, path) in enumerate(self.operations()) if 'report.html' in path]
        shutil.copytree(self.path('victim'), self.path('straight'), symlinks=True)
        places = [next(at for at, path in made if folder in path) for folder in ('seed_1/', 'seed_2/', 'victim/report')]
        for k in places:
            result = self.suffer(*how, at=k, action='errno', ERRNO=errno.ENOSPC, **seeds)
            self.assertEqual(result.code, 4, str(result))
            self.assertEqual(result.stdout, whole.stdout)
            self.assertIn('the same command makes the reports again', self.one_error(result))
            again = self.run_job(how[0], 'victim', how[1], more=seeds['more_args'])
            self.assertEqual((again.code, again.stdout), (0, whole.stdout), str(again))
            self.assertNotIn('saved checkpoint', again.stderr)
            self.assertEqual(compare.differences(self.path('straight'), self.path('victim')), [])


if __name__ == '__main__':
    e2e.main()
