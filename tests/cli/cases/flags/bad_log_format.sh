# SPDX-License-Identifier: Apache-2.0
# Its values are named.
bert-train --experiment=bert/sentence_prediction --model_dir=out --config_file=model.yaml --config_file=run.yaml --mode=train --log_format=xml
