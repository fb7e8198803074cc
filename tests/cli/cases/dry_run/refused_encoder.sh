# SPDX-License-Identifier: Apache-2.0
# What the run would refuse, the dry run refuses too: all of it at once, and nothing on standard output.
bert-train --experiment=bert/sentence_prediction --model_dir=out --config_file=model.yaml --config_file=run.yaml --mode=train --dry_run --params_override=task.model.encoder.type=xlnet,task.train_data.enable_tf_data_service=true
