# SPDX-License-Identifier: Apache-2.0
"""The rows that run_all.py measures: one program, or one function of measured_runs.py, may give several. A row says what was asked for and how its value is found in
what that answers."""
import dataclasses
import operator
import os
import sys
import typing

import measured_runs


@dataclasses.dataclass
class Row:
    name: str
    what: str
    asked: str                                    # for the table; "" where nothing was asked
    value: typing.Callable                        # of the program's JSON object
    shown: typing.Callable                        # of it: the text of the table
    limit: typing.Optional[tuple] = None          # (operator, bound) for the value
    better: str = ""                              # "more" or "less" where nothing was asked: history.py tells a fall


@dataclasses.dataclass
class Program:
    words: list                                   # {names} are filled in from the settings
    rows: list
    needs: tuple = ()                             # settings without which it is skipped
    quick: tuple = ()                             # words put after the others by --quick
    also: typing.Optional[list] = None            # a second run, whose JSON object becomes result["also"]


@dataclasses.dataclass
class Call:
    function: typing.Callable                     # of measured_runs.py
    rows: list
    needs: tuple = ()
    quick: dict = dataclasses.field(default_factory=dict)    # arguments under --quick
    threads: bool = False                         # the setting is an argument of the function


AT_LEAST, AT_MOST = operator.ge, operator.le
STEP = ["{build}/bench_step", "--threads={threads}"]
QUICK_STEP = ("--steps=1", "--rounds=1")
BF16_NEEDS = ("bfloat16", "glue", "vocab", "hf_python")


def script(name, *words):
    return [sys.executable, "-B", os.path.join("bench", name + ".py"), "--build", "{build}", *words]


def times(path):
    """The ratio below a key of the result, and how it is shown."""
    def value(result):
        return result[path]["ratio"]

    def shown(result):
        return f"{result[path]['ratio']:g} times ({result['examples_per_second']:g} against {result[path]['examples_per_second']:g})"
    return value, shown


def peer_row(name, what, bound, path):
    value, shown = times(path)
    return Row(name, what, f">= {bound:g} times" if bound else "", value, shown, (AT_LEAST, bound) if bound else None, "more")


def steps_beside(task, model, peer, needs_python, rows, *words):
    flag = "--python" if peer == "hf" else "--tf_python"
    return Program(script("peers", "--glue", "{glue}", "--vocab", "{vocab}", "--threads", "{threads}", flag, "{%s}" % needs_python, "--peer", peer, "--task", task,
                          "--model", model, *words), rows, ("glue", "vocab", needs_python),
                   ("--model", "tiny", "--rounds", "1", "--steps", "4", "--peer_steps", "2", "--mg_steps", "1"))


def efficiency(name, model, lengths, bound, *words):
    def shown(result):
        return (f"{result['efficiency']:.2f} ({result['bare_products']:.3f} of {result['seconds_per_step']:.3f} s; "
                f"{result['examples_per_second']:g} examples/s)")
    size = "MiniLM" if model == "minilm" else "BERT-base"
    what = f"seconds of the bare matrix products / seconds of the step, {size}, {'SST-2' if lengths == 'sst2' else 'MRPC'} lengths"
    row = Row(name, what, f">= {bound:g}" if bound else "", lambda result: result["efficiency"], shown, (AT_LEAST, bound) if bound else None, "more")
    return Program([*STEP, f"--model={model}", f"--lengths={lengths}", *words], [row], (), QUICK_STEP)


def serial_program():
    row = Row("serial", "what threads cannot divide of a training step, MiniLM, SST-2 lengths, one thread", "<= 1 %", lambda r: r["serial_share"],
              lambda r: f"{100 * r['serial_share']:.2f} % ({1000 * r['serial']:.2f} of {1000 * r['seconds_per_step']:.0f} ms)", (AT_MOST, 0.01))
    return Program(["{build}/bench_step", "--threads=1", "--lengths=sst2", "--steps=8", "--rounds=3"], [row], (), QUICK_STEP)


def threads_program():
    def shown(result):
        one = result["also"]["seconds_per_step"]
        return f"{one / result['seconds_per_step']:.2f} ({one:.3f} against {result['seconds_per_step']:.3f} s)"
    row = Row("threads", "two threads against one, MiniLM, MRPC lengths", ">= 1.8 times", lambda r: r["also"]["seconds_per_step"] / r["seconds_per_step"], shown,
              (AT_LEAST, 1.8))
    words = ["{build}/bench_step", "--lengths=mrpc", "--steps=8", "--rounds=2"]
    return Program([*words, "--threads=2"], [row], ("two_cores",), QUICK_STEP, also=[*words, "--threads=1"])


def bf16_program():
    def shown(result):
        plain = result["also"]["seconds_per_step"]
        return f"{plain / result['seconds_per_step']:.2f} times ({result['seconds_per_step']:.3f} against {plain:.3f} s)"
    row = Row("bfloat16", "bfloat16 against float32, MiniLM, MRPC lengths", "", lambda r: r["also"]["seconds_per_step"] / r["seconds_per_step"], shown, better="more")
    words = [*STEP, "--lengths=mrpc", "--steps=8", "--rounds=2"]
    return Program([*words, "--products=bf16"], [row], ("bfloat16",), QUICK_STEP, also=words)


def onednn_program():
    def shown(result):
        return f"{result['ratio']:.2f} (the worst of {len(result['products'])} shapes; {result['kernels']}; oneDNN {result['onednn']})"
    row = Row("products-onednn", "the products of a step in bfloat16 (MiniLM and BERT-base, MRPC lengths and longer), GFLOP/s against oneDNN's with weights packed before", ">= 0.9",
              lambda r: r["ratio"], shown, (AT_LEAST, 0.9))
    return Program(["{build}/bench_product", "--threads={threads}"], [row], ("bfloat16", "onednn"), ("--rounds=1",))


def memory_program():
    rows = [Row("memory", "peak memory of training BERT-base, batch 32, MRPC rows", "<= 2.6 GB", lambda r: r["peak_gb"], lambda r: f"{r['peak_gb']:.2f} GB", (AT_MOST, 2.6)),
            Row("memory-recompute", "the same with `runtime.recompute: true`", "<= 2.1 GB", lambda r: r["recompute_peak_gb"], lambda r: f"{r['recompute_peak_gb']:.2f} GB",
                (AT_MOST, 2.1)),
            Row("recompute-cost", "what that costs in time", "<= 30 %", lambda r: r["recompute_cost"],
                lambda r: f"{100 * r['recompute_cost']:.0f} % ({r['recompute_seconds_per_step']:.2f} against {r['seconds_per_step']:.2f} s)", (AT_MOST, 0.3))]
    return Call(measured_runs.memory, rows, ("glue", "vocab"), {"model": "tiny", "rounds": 1, "steps": 1}, threads=True)

def start_program():
    row = Row("start", "from exec to the first training step, MiniLM, less reading the weights at 1 GB/s", "<= 0.3 s", lambda r: r["beyond_reading_seconds"],
              lambda r: f"{r['beyond_reading_seconds']:.2f} s ({r['from_exec_seconds']:.2f} s with {r['weights_gb']:.2f} GB of weights)", (AT_MOST, 0.3))
    return Call(measured_runs.start, [row], ("model", "glue", "vocab"), {"repeats": 1})


def short_start_program():
    def shown(result):
        short, typed = result["short"], result["typed"]
        return f"{short['processor_seconds']:.3f} against {typed['processor_seconds']:.3f} s ({short['wall_seconds']:.3f} against {typed['wall_seconds']:.3f})"
    row = Row("start-short", "the short command (`--init`, `--train`) beside the same run typed in full, MiniLM's sizes, SST-2: processor time until the first step (wall time)",
              "<= 0.15 s", lambda r: r["short"]["processor_seconds"], shown, (AT_MOST, 0.15))
    return Call(measured_runs.short_start, [row], ("glue", "vocab"), {"repeats": 1, "task": "MRPC"})


def evaluation_memory_program():
    row = Row("evaluation-memory", "peak memory of an evaluation, MiniLM, MRPC rows, once and ten times over", "does not grow", lambda r: r["growth"],
              lambda r: f"{r['mib']:g} and {r['mib_more_rows']:g} MiB", (AT_MOST, 0.02))
    return Call(measured_runs.evaluation_memory, [row], ("model", "glue", "vocab"))


def latency_program():
    row = Row("latency", "training from gs:// against local files, 20 ms added to each answer, encoder of 128 by 2 layers, 1,500 steps of 32, the fastest run of each",
              "within 5 %", lambda r: r["cost"], lambda r: f"{100 * r['cost']:.1f} % ({r['gs_seconds']:.2f} against {r['local_seconds']:.2f} s)", (AT_MOST, 0.05))
    return Call(measured_runs.latency, [row], ("remote",), {"runs": 1, "steps": 10})


def bits_program():
    row = Row("bits", "training with 1 and 2 threads, MiniLM, MRPC rows: the checkpoints' bytes", "the same", lambda r: r["same_bits"],
              lambda r: f"{'the same' if r['same_bits'] else 'DIFFERENT'} after {r['steps']} steps", (operator.is_, True))
    return Call(measured_runs.bits, [row], ("glue", "vocab"), {"model": "tiny", "steps": 1})


def squad_program():
    def shown(result):
        return f"{result['ratio']:g} times ({result['examples_per_second']:g} against {result['peer_examples_per_second']:g})"
    row = Row("squad", "evaluation, windows/s, SQuAD dev-v1.1, MiniLM, against Hugging Face padded to 384", ">= 2.5 times", lambda r: r["ratio"], shown, (AT_LEAST, 2.5))
    return Program(script("squad_peer", "--squad", "{squad}", "--vocab", "{vocab}", "--python", "{hf_python}", "--threads", "{threads}"), [row],
                   ("squad", "vocab", "hf_python"), ("--model", "tiny", "--questions", "32", "--rounds", "1"))


def predict_program():
    def row(precision, bound):
        def shown(result):
            found, rates = result["ratios"].get(precision), result["examples_per_second"]
            return f"{found['ratio']:g} times ({rates[precision]:g} against {rates[found['peer']]:g}, {found['peer']})" if found else f"{rates[precision]:g} examples/s"
        return Row(f"predict-{precision}", f"evaluation, examples/s, {precision}, MiniLM, MRPC rows, against the fastest of PyTorch, ONNX Runtime and OpenVINO, sorted by length",
                   f">= {bound:g} times", lambda r: r["ratios"].get(precision, {}).get("ratio", 0), shown, (AT_LEAST, bound))
    memory = Row("predict-memory", "peak memory of such an evaluation, float32 and bfloat16", "", lambda r: r["peak_mib"]["float32"],
                 lambda r: f"{r['peak_mib']['float32']:g} and {r['peak_mib']['bfloat16']:g} MiB")
    return Program(script("predict_peer", "--glue", "{glue}", "--vocab", "{vocab}", "--python", "{hf_python}", "--threads", "{threads}"),
                   [row("float32", 1.8), row("bfloat16", 2.5), row("int8", 2.5), memory], ("glue", "vocab", "hf_python"),
                   ("--model", "tiny", "--rows", "64", "--rounds", "1", "--peers", "torch"))


def rows_program(peer, python):
    flag = "--python" if peer == "hf" else "--tf_python"

    def shown(result):
        same = result[peer].get("same_bytes", result[peer].get("rows_with_other_ids") == 0)
        return (f"{result[peer]['ratio']:g} times ({result['rows_per_second']:,.0f} against {result[peer]['rows_per_second']:,.0f} rows/s; "
                f"{'the same' if same else 'OTHER'} {'ids' if peer == 'hf' else 'bytes'})")
    bound, against = (1, "Hugging Face's tokenizers (Rust), which stop at the ids") if peer == "hf" else (50, "Model Garden's tool")
    row = Row(f"rows-{peer}", f"`create-finetuning-data`, rows like MNLI's, one core, against {against}", f">= {bound} times", lambda r: r[peer]["ratio"], shown, (AT_LEAST, bound))
    return Program(script("tokenize_rows", "--glue", "{glue}", "--vocab", "{vocab}", "--peer", peer, flag, "{%s}" % python), [row], ("glue", "vocab", python),
                   ("--rows", "2000", "--mg_rows", "500", "--rounds", "1", "--mg_rounds", "1"))


def programs():
    hf, mg = "Hugging Face, each batch padded to its longest row", "Model Garden's trainer, padded to 128"
    what = "training steps, examples/s, {}, {} rows, against {}"
    all_programs = []
    for task, peer, python, other, bound, words in (
            ("SST-2", "hf", "hf_python", hf, 4.5, ("--rounds", "5", "--steps", "40", "--peer_steps", "10")), ("SST-2", "mg", "tf_python", mg, 13, ("--rounds", "2", "--mg_steps", "6")),
            ("MRPC", "hf", "hf_python", hf, 2.5, ("--rounds", "5", "--steps", "12", "--peer_steps", "6")), ("MRPC", "mg", "tf_python", mg, 4.5, ("--rounds", "2", "--steps", "12", "--mg_steps", "6"))):
        name = f"steps-{task.lower().replace('-', '')}-{peer}"
        all_programs.append(steps_beside(task, "minilm", peer, python, [peer_row(name, what.format("MiniLM", task, other), bound, peer)], *words))
    sorted_rows = "Hugging Face, rows sorted by length, each batch padded to its longest"
    in_bf16 = "training steps in bfloat16, examples/s, {}, {} rows, against {}"
    for task, model, size, bound, words in (
            ("SST-2", "minilm", "MiniLM", 12, ("--rounds", "5", "--steps", "40", "--peer_steps", "25")), ("MRPC", "minilm", "MiniLM", 6, ("--rounds", "5", "--steps", "24", "--peer_steps", "12")),
            ("MRPC", "base", "BERT-base", 4.5, ("--rounds", "3", "--steps", "12", "--peer_steps", "6"))):
        name = f"bf16-{'base-' if model == 'base' else ''}{task.lower().replace('-', '')}-hf"
        row = peer_row(name, in_bf16.format(size, task, sorted_rows), bound, "hf")
        all_programs.append(dataclasses.replace(steps_beside(task, model, "hf", "hf_python", [row], "--precision", "bfloat16", "--sort", *words), needs=BF16_NEEDS))
    row = peer_row("bf16-mrpc-mg", in_bf16.format("MiniLM", "MRPC", mg), 0, "mg")
    all_programs.append(dataclasses.replace(steps_beside("MRPC", "minilm", "mg", "tf_python", [row], "--precision", "bfloat16", "--rounds", "2", "--steps", "24", "--mg_steps", "6"),
                                            needs=("bfloat16", "glue", "vocab", "tf_python")))
    row = peer_row("steps-mrpc-hf-sorted", what.format("MiniLM", "MRPC", sorted_rows), 0, "hf")
    all_programs.append(steps_beside("MRPC", "minilm", "hf", "hf_python", [row], "--sort", "--rounds", "3", "--steps", "12", "--peer_steps", "6"))
    for task, bound, words in (("CoLA", 3, ("--rounds", "2", "--steps", "8", "--peer_steps", "4")), ("MRPC", 2, ("--rounds", "3", "--steps", "8", "--peer_steps", "6"))):
        row = peer_row(f"base-{task.lower()}-hf", what.format("BERT-base", task, hf), bound, "hf")
        all_programs.append(steps_beside(task, "base", "hf", "hf_python", [row], *words))
    return all_programs + [
        efficiency("efficiency-base-mrpc", "base", "mrpc", 0.88, "--steps=4", "--rounds=2"), efficiency("efficiency-minilm-sst2", "minilm", "sst2", 0.75, "--steps=15", "--rounds=5"),
        efficiency("efficiency-minilm-mrpc", "minilm", "mrpc", 0, "--steps=12", "--rounds=3"), squad_program(), predict_program(), memory_program(), evaluation_memory_program(), start_program(), short_start_program(), threads_program(), serial_program(),
        rows_program("mg", "tf_python"), rows_program("hf", "hf_python"), bits_program(), bf16_program(), onednn_program(), latency_program()]
