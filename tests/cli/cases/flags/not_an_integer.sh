# SPDX-License-Identifier: Apache-2.0
# An integer is expected.
bert-train --experiment=bert/sentence_prediction --model_dir=out --config_file=model.yaml --config_file=run.yaml --mode=train --pretrain_steps=abc
