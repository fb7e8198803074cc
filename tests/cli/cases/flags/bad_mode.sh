# SPDX-License-Identifier: Apache-2.0
# All modes are named.
bert-train --experiment=bert/sentence_prediction --model_dir=out --config_file=model.yaml --config_file=run.yaml --mode=training
