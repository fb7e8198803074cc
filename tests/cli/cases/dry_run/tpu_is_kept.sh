# SPDX-License-Identifier: Apache-2.0
# --tpu is written into runtime.tpu; nothing looks for the device.
bert-train --experiment=bert/sentence_prediction --model_dir=out --config_file=model.yaml --config_file=run.yaml --tpu=local --mode=train --params_override=runtime.distribution_strategy=tpu --dry_run=config 2>/dev/null | grep -E '^  tpu:'
