# SPDX-License-Identifier: Apache-2.0
# --verbosity=-2: errors only, results still on standard output.
bert-train --experiment=bert/sentence_prediction --model_dir=out --config_file=model.yaml --config_file=run.yaml --mode=train --params_override=trainer.train_steps=5 --verbosity=-2 | cut -d' ' -f1
