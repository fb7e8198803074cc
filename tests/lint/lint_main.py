# SPDX-License-Identifier: Apache-2.0
"""What the checks of a source tree have in common: their command line and how they report."""
import pathlib


def run(name, argv, check_tree, self_test):
    """The exit status of `NAME.py [--self-test | ROOT]`; check_tree(root) gives the problems as lines."""
    if "--self-test" in argv:
        return self_test()
    root = pathlib.Path(argv[1] if len(argv) > 1 else pathlib.Path(__file__).parents[2])
    problems = check_tree(root)
    for problem in problems:
        print(problem)
    print(f"{name}: {len(problems)} problems")
    return 1 if problems else 0
