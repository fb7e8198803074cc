# SPDX-License-Identifier: Apache-2.0
# Only a training has steps to measure.
bert-train --experiment=bert/sentence_prediction --config_file=model.yaml --config_file=run.yaml --mode=train_and_eval --model_dir=out --benchmark
