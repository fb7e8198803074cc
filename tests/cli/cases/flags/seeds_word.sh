# SPDX-License-Identifier: Apache-2.0
# Numbers and ranges.
bert-train --experiment=bert/sentence_prediction --model_dir=out --config_file=model.yaml --config_file=run.yaml --mode=train --seeds=1,two
