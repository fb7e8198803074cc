# SPDX-License-Identifier: Apache-2.0
# Refused, as the run refuses it.
bert-train --experiment=bert/sentence_prediction --model_dir=out --config_file=model.yaml --config_file=run.yaml --mode=train --dry_run --params_override=task.train_data.input_path=nowhere.tf_record >yaml.txt; code=$?; head -n 1 yaml.txt; exit $code
