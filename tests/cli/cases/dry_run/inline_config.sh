# SPDX-License-Identifier: Apache-2.0
# A configuration may be on the command line.
bert-train --experiment=bert/sentence_prediction --model_dir=out --config_file=model.yaml --config_file=run.yaml --config_file='trainer: {train_steps: 11}' --mode=train --dry_run 2>/dev/null | grep train_steps
