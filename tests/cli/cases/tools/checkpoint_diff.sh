# SPDX-License-Identifier: Apache-2.0
# The same file has no difference.
bert-train --experiment=bert/sentence_prediction --mode=train --model_dir=out --config_file=model.yaml --config_file=run.yaml --params_override=trainer.train_steps=1 >/dev/null 2>&1
bert-checkpoint diff out/ckpt-1 out/ckpt-1
