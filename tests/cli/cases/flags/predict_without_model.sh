# SPDX-License-Identifier: Apache-2.0
# Nothing was trained here: the head would be random.
bert-train --experiment=bert/sentence_prediction --model_dir=out --config_file=model.yaml --config_file=run.yaml --mode=predict
