# SPDX-License-Identifier: Apache-2.0
# Only modes that train once.
bert-train --experiment=bert/sentence_prediction --model_dir=out --config_file=model.yaml --config_file=run.yaml --mode=eval --seeds=1,2
