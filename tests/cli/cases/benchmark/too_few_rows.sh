# SPDX-License-Identifier: Apache-2.0
# ... and when there are not even enough to warm up, nothing was.
bert-train --experiment=bert/sentence_prediction --config_file=model.yaml --config_file=run.yaml --benchmark --params_override=task.train_data.is_training=false,task.train_data.global_batch_size=32
