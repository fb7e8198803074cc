# SPDX-License-Identifier: Apache-2.0
# Where in the file.
printf 'trainer:\n  train_steps: 7\n bad: [1\n' > bad.yaml
bert-train --experiment=bert/sentence_prediction --model_dir=out --config_file=model.yaml --config_file=run.yaml --config_file=bad.yaml --mode=train --dry_run
