# SPDX-License-Identifier: Apache-2.0
# What a step costs, for people. Nothing is written, also where a model_dir is named.
: >before.txt
find . | sort >before.txt
bert-train --experiment=bert/sentence_prediction --config_file=model.yaml --config_file=run.yaml --mode=train --model_dir=out --benchmark || exit
find . | sort | diff before.txt -
