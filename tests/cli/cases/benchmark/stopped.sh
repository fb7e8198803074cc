# SPDX-License-Identifier: Apache-2.0
# SIGTERM ends it between two steps; there is nothing to save. (In the foreground one signal is sent,
# not another one to the group: a second one would end the process at once.)
timeout --foreground --preserve-status -s TERM 2 bert-train --experiment=bert/sentence_prediction --config_file=model.yaml --config_file=run.yaml --benchmark --benchmark_steps=1000000000
