# SPDX-License-Identifier: Apache-2.0
# The portable kernels can be asked for.
bert-train --experiment=bert/sentence_prediction --model_dir=out --config_file=model.yaml --config_file=run.yaml --mode=train --isa=ref --params_override=trainer.train_steps=5
