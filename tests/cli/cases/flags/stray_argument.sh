# SPDX-License-Identifier: Apache-2.0
# A blank in a list of overrides: train.py loses what comes after it without a word.
bert-train --experiment=bert/sentence_prediction --model_dir=out --config_file=model.yaml --config_file=run.yaml --mode=train --dry_run --params_override=trainer.max_to_keep=3, trainer.train_steps=9 | grep -E 'train_steps|max_to_keep'
