# SPDX-License-Identifier: Apache-2.0
# Rows that are not repeated: what was measured of them counts.
bert-train --experiment=bert/sentence_prediction --config_file=model.yaml --config_file=run.yaml --benchmark --params_override=task.train_data.is_training=false | grep '^steps'
