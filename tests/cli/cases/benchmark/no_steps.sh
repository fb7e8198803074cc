# SPDX-License-Identifier: Apache-2.0
# A number of steps is at least 1.
bert-train --experiment=bert/sentence_prediction --config_file=model.yaml --config_file=run.yaml --benchmark --benchmark_steps=0
