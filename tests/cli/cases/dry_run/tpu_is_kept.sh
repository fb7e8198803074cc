# SPDX-License-Identifier: Apache-2.0
# --tpu is written into runtime.tpu.
bert-train --experiment=bert/sentence_prediction --model_dir=out --config_file=model.yaml --config_file=run.yaml --tpu=grpc://10.0.0.2 --mode=train --dry_run 2>/dev/null | grep -E '^  tpu:'
