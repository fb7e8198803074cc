# SPDX-License-Identifier: Apache-2.0
# An encoder of another program: the nearest name here would be another model.
bert-train --experiment=bert/sentence_prediction --model_dir=out --config_file=model.yaml --config_file=run.yaml --mode=train --dry_run --params_override=task.model.encoder.type=roberta
