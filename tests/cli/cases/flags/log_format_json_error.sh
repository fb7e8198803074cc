# SPDX-License-Identifier: Apache-2.0
# Errors too.
bert-train --experiment=bert/sentence_prediction --model_dir=out --config_file=model.yaml --config_file=run.yaml --mode=train --log_format=json --params_override=trainer.train_steps=-1
