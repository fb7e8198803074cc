# SPDX-License-Identifier: Apache-2.0
# A TPU is not served by this version.
bert-train --experiment=bert/sentence_prediction --model_dir=out --config_file=model.yaml --config_file=run.yaml --mode=train --params_override=runtime.distribution_strategy=tpu --tpu=local
