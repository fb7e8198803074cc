# SPDX-License-Identifier: Apache-2.0
# Refused, as the run refuses it.
bert-train --experiment=bert/sentence_prediction --model_dir=out --config_file=model.yaml --config_file=run.yaml --mode=train --dry_run --params_override=task.init_checkpoint=nowhere/bert.ckpt >yaml.txt; code=$?; head -n 1 yaml.txt; exit $code
