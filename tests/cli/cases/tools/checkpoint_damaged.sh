# SPDX-License-Identifier: Apache-2.0
# Damage is exit 3.
bert-train --experiment=bert/sentence_prediction --mode=train --model_dir=out --config_file=model.yaml --config_file=run.yaml --params_override=trainer.train_steps=1 >/dev/null 2>&1
printf 'X' | dd of=out/ckpt-1.data-00000-of-00001 bs=1 seek=4000 conv=notrunc status=none
bert-checkpoint verify out/ckpt-1
