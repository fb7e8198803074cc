#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Counts what ctest ran, test by test inside cmocka programs too, and says why anything was skipped.

usage: count_results.py JUNIT.xml... | count_results.py --self-test
Prints a line for each skip and each failure, how many were skipped for which kind of reason and how to get
what is missing, the slowest tests, what the failed ones said last, then "N passed, N failed, N skipped";
exit 1 when something failed or nothing ran at all.
"""
import collections
import re
import sys
import tempfile
import xml.etree.ElementTree as xml

RAN = re.compile(r"^\[==========\].*?(\d+) test\(s\) run\.", re.MULTILINE)
OK = re.compile(r"\[  PASSED  \] (\d+) test\(s\)\.")
BAD = re.compile(r"\[  FAILED  \] (\d+) test\(s\), listed below")
REASON = re.compile(r"SKIPPED: (.*)")

SAID_LAST = 25  # lines of a failed test that are told again, at the end, where a long log is read
SLOWEST = 8  # tests

# What a reason says, what kind it is, how to have the test run; the first that fits counts.
KINDS = (
    (r"BT_LONG_TESTS", "long tests", "BT_LONG_TESTS=1 tests/run.sh runs them too"),
    (r"BT_ECOSYSTEM", "no environments of other programs (gigabytes)", "tools/ecosystem.sh FOLDER makes them and runs these"),
    (r"TensorFlow", "no TensorFlow and Model Garden", "BT_TF_PYTHON names a python that has them"),
    (r"goldens|\.\./shared|BT_SHARED_DIR|GLUE data|data folder|of Model Garden", "goldens with texts of others",
     "they may not be redistributed; BT_SHARED_DIR names a folder that has them"),
    (r"plug-in|get_pjrt", "no PJRT plug-in",
     "tools/get_pjrt.sh cpu (cuda13 and tpu for those that only compile), then again"),
    (r"there is a [GT]PU|such a device", "for machines without a device", "nothing is missing"),
    (r"weights|MiniLM", "no weights of MiniLM", "tools/get_minilm.sh downloads them"),
    (r"could not be installed|no network|PyYAML|numpy|fake-gcs-server", "no Python packages of the tests",
     "they are installed by themselves where there is a network"),
    (r"is not installed|(there is no|no program) (python3|openssl|ldd|gcc|readelf)|mpirun|no unshare",
     "no program of Debian's", "tools/install_packages.sh all installs it"),
    (r"built without", "built without a library", "tools/install_packages.sh build, then again"),
    (r"sanitize|optimised build|release build|heap of their own", "not for this kind of build",
     "tests/run.sh --preset=release (or dev, for those of sanitizers)"),
    (r"IPv6|/dev/full|root|mount|tmpfs|kernels of our own|control word|processor|this machine",
     "this machine cannot", "another machine, or root in a container"),
)


def summary_of(reasons):
    """Lines: how many tests were skipped for each kind of reason, and what helps."""
    counts = collections.Counter()
    for reason in reasons:
        kind = next(((what, advice) for words, what, advice in KINDS if re.search(words, reason)), None)
        counts[kind or (reason, "")] += 1
    return [f"  {n} skipped: {what}" + (f": {advice}" if advice else "")
            for (what, advice), n in sorted(counts.items(), key=lambda item: (-item[1], item[0]))]


def count_case(case):
    """(passed, failed, skipped, lines to print) of one <testcase>."""
    name = case.get("name")
    text = "".join(case.itertext())
    reasons = REASON.findall(text)
    lines = [f"SKIPPED: {name}: {reason}" for reason in reasons]
    if case.find("skipped") is not None or case.get("status") in ("notrun", "disabled"):
        if not reasons:
            reason = case.find("skipped")
            reason = reason.get("message") if reason is not None else case.get("status")
            lines.append(f"SKIPPED: {name}: {reason}")
        # a program that was not found is not a skip
        failed = "Unable to find" in text or "NOT_AVAILABLE" in " ".join(lines)
        return (0, 1, 0, [f"FAILED: {name}: it could not be run"]) if failed else (0, 0, 1, lines)
    ran = sum(int(n) for n in RAN.findall(text))
    failed = sum(int(n) for n in BAD.findall(text))
    passed = sum(int(n) for n in OK.findall(text))
    is_red = case.get("status") == "fail" or case.find("failure") is not None
    if ran == 0:
        return (0, 1, 0, lines + [f"FAILED: {name}"]) if is_red else (1, 0, 0, lines)
    if is_red and failed == 0:
        failed = 1  # a crash, a leak, a time-out
        passed = min(passed, ran)
    if is_red:
        lines.append(f"FAILED: {name}")
    skipped = max(0, ran - passed - failed) if not is_red else len(reasons)
    return passed, failed, skipped, lines


def last_words(case):
    """Lines: what a failed test said before it ended, each with a mark that .ci/run looks for."""
    said = [line for line in "".join(case.itertext()).splitlines() if line.strip()]
    return [f"FAILED| {line}" for line in [f"{case.get('name')} ({case.get('time')} s) said last:"] + said[-SAID_LAST:]]


def count_files(paths):
    """(sums, lines for skips and failures, last words of failures, [(seconds, name)])."""
    total = [0, 0, 0]
    lines, words, times = [], [], []
    for path in paths:
        for case in xml.parse(path).getroot().iter("testcase"):
            *counts, more = count_case(case)
            total = [a + b for a, b in zip(total, counts)]
            lines += more
            words += last_words(case) if counts[1] else []
            times.append((float(case.get("time") or 0), case.get("name")))
    return total, lines, words, times


def slowest_of(times):
    """A line: where the time went."""
    slow = sorted(times, key=lambda item: (-item[0], item[1]))[:SLOWEST]
    return "Slowest: " + ", ".join(f"{name} {seconds:.0f} s" for seconds, name in slow)


def self_test():
    sample = """<testsuite>
<testcase name="a" status="run"><system-out>[==========] Running 3 test(s).
SKIPPED: no data
[  SKIPPED ] x
[==========] 3 test(s) run.
[  PASSED  ] 2 test(s).
[  SKIPPED ] 1 test(s), listed below:</system-out></testcase>
<testcase name="b" status="fail"><failure/><system-out>[==========] 4 test(s) run.
[  PASSED  ] 3 test(s).
[  FAILED  ] 1 test(s), listed below:</system-out></testcase>
<testcase name="c" status="fail" time="7.5"><failure/><system-out>Segmentation fault</system-out></testcase>
<testcase name="d" status="notrun"><skipped message="SKIP_RETURN_CODE=77"/><system-out>SKIPPED: why
</system-out></testcase>
<testcase name="e" status="run"><system-out>fine</system-out></testcase>
<testcase name="f" status="fail"><failure/><system-out>[==========] 2 test(s) run.
[  PASSED  ] 2 test(s).
LeakSanitizer</system-out></testcase>
<testcase name="g" status="notrun"><skipped message="Unable to find executable: x"/>
<system-out>Unable to find executable: x</system-out></testcase>
</testsuite>"""
    with tempfile.NamedTemporaryFile("w", suffix=".xml") as file:
        file.write(sample)
        file.flush()
        total, lines, words, times = count_files([file.name])
    told = summary_of(["no ../shared: SST-2 is not here", "Model Garden's goldens are not here", "odd"])
    # a: 2 passed 1 skipped; b: 3 and 1 failed; c: 1 failed; d: 1 skipped; e: 1; f: 2 and 1; g: 1
    ok = total == [8, 4, 2] and "SKIPPED: a: no data" in lines and "FAILED: f" in lines and len(told) == 2 and \
        told[0].startswith("  2 skipped: goldens") and told[1] == "  1 skipped: odd" and \
        "FAILED| c (7.5 s) said last:" in words and "FAILED| Segmentation fault" in words and \
        len([line for line in words if "said last" in line]) == 4 and slowest_of(times).startswith("Slowest: c 8 s, a 0 s")
    print("self-test:", "passed" if ok else f"failed: {total} {lines}")
    return 0 if ok else 1


def main(argv):
    if "--self-test" in argv:
        return self_test()
    (passed, failed, skipped), lines, words, times = count_files(argv[1:])
    for line in lines:
        print(line)
    reasons = [line.split(": ", 2)[2] for line in lines if line.startswith("SKIPPED: ")]
    if reasons:
        print("Skipped, by reason:", *summary_of(reasons), sep="\n")
    print(slowest_of(times))
    for line in words:
        print(line)
    if passed + failed == 0:
        print("FAILED: no test ran")
        failed = 1
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
