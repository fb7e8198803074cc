# SPDX-License-Identifier: Apache-2.0
# SIGTERM ends it between two steps; there is nothing to save.
timeout --preserve-status -s TERM 2 bert-train --experiment=bert/sentence_prediction --config_file=model.yaml --config_file=run.yaml --benchmark --benchmark_steps=1000000000
