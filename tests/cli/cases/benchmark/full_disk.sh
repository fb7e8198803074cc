# SPDX-License-Identifier: Apache-2.0
# A result that did not arrive is a failure.
bert-train --experiment=bert/sentence_prediction --config_file=model.yaml --config_file=run.yaml --benchmark --benchmark_steps=1 >/dev/full
