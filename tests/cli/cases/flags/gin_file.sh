# SPDX-License-Identifier: Apache-2.0
# There is no gin here.
bert-train --experiment=bert/sentence_prediction --model_dir=out --config_file=model.yaml --config_file=run.yaml --mode=train --gin_file=a.gin
