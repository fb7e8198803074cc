# SPDX-License-Identifier: Apache-2.0
# Train, then predict: a table on standard output when it is asked for there.
common="--experiment=bert/sentence_prediction --model_dir=out --config_file=model.yaml --config_file=run.yaml"
bert-train $common --mode=train --params_override='task.label_names=[bad,fair,good]' >trained.txt 2>&1 || exit
bert-train $common --mode=predict --output_path=/dev/stdout | cut -f 1,3- | sed 's/0\.[0-9e-]*/P/g' | head -3
