# SPDX-License-Identifier: Apache-2.0
# One line a value: name, mean, standard deviation.
bert-train --experiment=bert/sentence_prediction --model_dir=out --config_file=model.yaml --config_file=run.yaml --mode=train_and_eval --seeds=1..2
