# SPDX-License-Identifier: Apache-2.0
# Files are laid over each other in order.
printf 'trainer:\n  train_steps: 7\n  max_to_keep: 3\n' > a.yaml
printf 'trainer:\n  train_steps: 9\n' > b.yaml
bert-train --experiment=bert/sentence_prediction --model_dir=out --config_file=model.yaml --config_file=run.yaml --config_file=a.yaml --config_file=b.yaml --mode=train --dry_run 2>/dev/null | grep -E 'train_steps|max_to_keep'
