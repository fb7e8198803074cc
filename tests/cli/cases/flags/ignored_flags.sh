# SPDX-License-Identifier: Apache-2.0
# Flags that train.py declares and never reads.
bert-train --experiment=bert/sentence_prediction --model_dir=out --config_file=model.yaml --config_file=run.yaml --mode=train --params_override=trainer.train_steps=0 --tpu_platform=x --tfhub_handle=y --tflex_output_uri=z --alsologtostderr
