# SPDX-License-Identifier: Apache-2.0
# What is derived is said.
bert-train --experiment=bert/sentence_prediction --model_dir=out --config_file=model.yaml --config_file=run.yaml --mode=train --dry_run --params_override=trainer.train_steps=0,task.train_data.epochs=3,trainer.optimizer_config.warmup.polynomial.warmup_steps=null | grep -E 'epochs|train_steps|warmup_steps'
