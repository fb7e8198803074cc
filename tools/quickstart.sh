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
stop() {
    say "error: $2"
    exit "$1"
}
go_on="Go on with weights that you have: tools/quickstart.sh --init_checkpoint=FOLDER (model.safetensors or bert_model.ckpt, with vocab.txt beside it)."

tools/install_packages.sh build ||
    stop 4 "packages are missing and could not be installed (no network?). Install them by hand, then run this again."

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

say "building"
mkdir -p build
{
    cmake --preset release -DBT_BUILD_TESTS=OFF &&
        cmake --build "$release" --parallel "$(nproc)" -- --no-print-directory
} >build/quickstart_build.log 2>&1 || {
    tail -n 30 build/quickstart_build.log >&2
    stop 70 "the build failed; all of its output is in build/quickstart_build.log."
}

started=$SECONDS
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
status=0
"$release/bert-train" --experiment=bert/sentence_prediction --mode=train_and_eval \
    --model_dir="$work/model" --config_file=configs/experiments/quickstart.yaml \
    --params_override="$overrides" ${flags[@]+"${flags[@]}"} || status=$?
if [ "$status" -ne 0 ]; then
    exit "$status"
fi
touch "$work/finished"
say "done in $((SECONDS - started)) s; checkpoints, events and metrics.jsonl are in $work/model"
