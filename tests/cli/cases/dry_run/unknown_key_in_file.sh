# SPDX-License-Identifier: Apache-2.0
# File, line and column, and the nearest key.
printf 'trainer:\n  train_stps: 7\n' > bad.yaml
bert-train --experiment=bert/sentence_prediction --model_dir=out --config_file=model.yaml --config_file=run.yaml --config_file=bad.yaml --mode=train --dry_run
