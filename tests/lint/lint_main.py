# SPDX-License-Identifier: Apache-2.0
"""What the checks of a source tree have in common: their command line and how they report."""
import pathlib
import tempfile


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


def check_samples(check_tree, samples):
    """The problems of a tree made of these samples: path from the root -> text."""
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        for name, text in samples.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text, encoding="utf-8")
        return check_tree(root)


def test_samples(check_tree, bad, good):
    """The exit status of a self-test: each bad sample has a problem, and no good one has."""
    found = check_samples(check_tree, {**bad, **good})
    missed = [name for name in bad if not any(p.startswith(name + ":") for p in found)]
    wrong = [p for p in found if any(p.startswith(name + ":") for name in good)]
    if missed or wrong:
        print("self-test failed: not found:", missed, "wrongly found:", wrong)
        return 1
    print(f"self-test: {len(bad)} bad samples found, {len(good)} good ones passed")
    return 0
