# SPDX-License-Identifier: Apache-2.0
# A refused configuration prints nothing on standard output.
bert-train --experiment=bert/sentence_prediction --model_dir=out --config_file=model.yaml --config_file=run.yaml --mode=train --dry_run --params_override=trainer.train_steps=-1
