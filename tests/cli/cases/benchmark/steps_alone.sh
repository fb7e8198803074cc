# SPDX-License-Identifier: Apache-2.0
# A flag of --benchmark is not lost silently elsewhere.
bert-train --experiment=bert/sentence_prediction --config_file=model.yaml --config_file=run.yaml --mode=train --model_dir=out --benchmark_steps=5
