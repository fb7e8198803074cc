#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The first run, from a bare Debian 12: installs what is needed, builds, and fine-tunes
# all-MiniLM-L6-v2 on the sentences in data/; prints the final metrics on stdout.
# usage: tools/quickstart.sh [--init_checkpoint=PATH [--vocab_file=PATH]] [flags for bert-train...]
#   --init_checkpoint  weights of your own (then nothing is downloaded): a folder, a prefix or a file
#   --vocab_file       default: vocab.txt beside the checkpoint
# Everything it writes lies under build/. Interrupted, it goes on where it stopped.
set -euo pipefail
cd "$(dirname "$0")/.."

release=build/release
work=build/quickstart

checkpoint=
vocab=
flags=()
for arg in "$@"; do
    case "$arg" in
    --init_checkpoint=*) checkpoint=${arg#*=} ;;
    --vocab_file=*) vocab=${arg#*=} ;;
    -h | --help)
        sed -n '3,9s/^# \{0,1\}//p' "$0"
        exit 0
        ;;
    *) flags+=("$arg") ;;
    esac
done

say() { echo "quickstart: $*" >&2; }
# Says what comes next, and how long what came before took.
times=
phase() {
    local now=$SECONDS
    if [ -n "${began:-}" ]; then times+="${times:+, }$doing $((now - began)) s"; fi
    began=$now doing=$2
    say "$1 of 5: $2${3:+ ($3)}"
}
stop() {
    say "error: $2"
    exit "$1"
}
go_on="Go on with weights that you have: tools/quickstart.sh --init_checkpoint=FOLDER (model.safetensors or bert_model.ckpt, with vocab.txt beside it)."

phase 1 "packages" "Debian's, where some are missing"
tools/install_packages.sh build ||
    stop 4 "packages are missing and could not be installed (no network?). Install them by hand, then run this again."

phase 2 "weights" "${checkpoint:-all-MiniLM-L6-v2, unless it is there already}"
if [ -z "$checkpoint" ]; then
    checkpoint=$(tools/get_minilm.sh) || stop $? "no weights (see above). $go_on"
fi
[ -e "$checkpoint" ] || compgen -G "$checkpoint.*" >/dev/null ||
    stop 3 "there is no checkpoint at $checkpoint."
if [ -z "$vocab" ]; then
    if [ -d "$checkpoint" ]; then
        vocab=$checkpoint/vocab.txt
    else
        vocab=$(dirname "$checkpoint")/vocab.txt
    fi
fi
[ -f "$vocab" ] || stop 3 "there is no vocabulary at $vocab; name it with --vocab_file=PATH."

phase 3 "build" "the programs, into $release; what it says is in build/quickstart_build.log"
mkdir -p build
{
    cmake --preset release -DBT_BUILD_TESTS=OFF &&
        cmake --build "$release" --parallel "$(nproc)" -- --no-print-directory
} >build/quickstart_build.log 2>&1 || {
    tail -n 30 build/quickstart_build.log >&2
    stop 70 "the build failed; all of its output is in build/quickstart_build.log."
}

phase 4 "records" "data/*.tsv as TFRecords, into $work"
mkdir -p "$work"
"$release/create-finetuning-data" --fine_tuning_task_type=classification \
    --classification_task_name=SST-2 --input_data_dir=data/ --vocab_file="$vocab" \
    --max_seq_length=128 --train_data_output_path="$work/train.tf_record" \
    --eval_data_output_path="$work/eval.tf_record" --meta_data_file_path="$work/meta_data"

# A finished run is made again; an interrupted one goes on.
if [ -f "$work/finished" ]; then
    rm -rf "$work/model" "$work/finished"
fi
overrides=task.init_checkpoint=$checkpoint
overrides+=,task.train_data.input_path=$work/train.tf_record
overrides+=,task.validation_data.input_path=$work/eval.tf_record
phase 5 "training" "which says what it does"
status=0
"$release/bert-train" --experiment=bert/sentence_prediction --mode=train_and_eval \
    --model_dir="$work/model" --config_file=configs/experiments/quickstart.yaml \
    --params_override="$overrides" ${flags[@]+"${flags[@]}"} || status=$?
if [ "$status" -ne 0 ]; then
    exit "$status"
fi
touch "$work/finished"
say "done: $times, $doing $((SECONDS - began)) s"
say "checkpoints, events, metrics.jsonl and report.html (open it in a browser) are in $work/model. Next:"
say "  $release/bert-train --mode=predict --model_dir=$work/model --checkpoint=best --predict=$work/eval.tf_record --output_path=$work/classes.tsv"
say "  $release/bert-train --experiment=bert/sentence_prediction --mode=train_and_eval --model_dir=build/my_model --init=$checkpoint --train=data/train.tsv   (with a table of your own)"
say "  echo 'Everybody was friendly.' | $release/bert-train predict --model_dir=build/my_model"
