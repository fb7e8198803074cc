# SPDX-License-Identifier: Apache-2.0
# One dash, a separate value, --noname.
bert-train -experiment bert/sentence_prediction -mode train --model_dir out --config_file model.yaml --config_file run.yaml --noenable_async_checkpointing --params_override trainer.train_steps=0
