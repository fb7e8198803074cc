# SPDX-License-Identifier: Apache-2.0
# The yardstick of bfloat16 products is a bfloat16 product; float32's peak is printed beside it.
bert-train --experiment=bert/sentence_prediction --config_file=model.yaml --config_file=run.yaml --benchmark --benchmark_steps=2 --params_override=runtime.mixed_precision_dtype=bfloat16 | grep '^peak'
