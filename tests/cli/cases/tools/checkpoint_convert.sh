# SPDX-License-Identifier: Apache-2.0
# To safetensors; the same tensors, and nothing left behind on failure.
bert-train --experiment=bert/sentence_prediction --mode=train --model_dir=out --config_file=model.yaml --config_file=run.yaml --params_override=trainer.train_steps=1 >/dev/null 2>&1
bert-checkpoint convert out/ckpt-1 x.safetensors && bert-checkpoint diff out/ckpt-1 x.safetensors
bert-checkpoint convert nowhere y.safetensors
ls *.safetensors*
