# SPDX-License-Identifier: Apache-2.0
# A line a tensor: name, dtype, dims.
bert-train --experiment=bert/sentence_prediction --mode=train --model_dir=out --config_file=model.yaml --config_file=run.yaml --params_override=trainer.train_steps=1 >/dev/null 2>&1
bert-checkpoint list out/ckpt-1 | grep -E 'out_proj|save_counter'
