# SPDX-License-Identifier: Apache-2.0
# Only the last --params_override counts.
bert-train --experiment=bert/sentence_prediction --model_dir=out --config_file=model.yaml --config_file=run.yaml --mode=train --params_override=trainer.train_steps=7,trainer.max_to_keep=3 --params_override=trainer.train_steps=9 --dry_run 2>/dev/null | grep -E 'train_steps|max_to_keep'
