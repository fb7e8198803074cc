# SPDX-License-Identifier: Apache-2.0
# All that is wrong, a line each, with the nearest names.
bert-train --experiment=bert/sentence_prediction --model_dir=out --config_file=model.yaml --config_file=run.yaml --mode=train --dry_run --params_override=trainer.train_steps=many,trainer.max_to_kep=3,task.model.num_clases=2,runtime.distribution_strategy=mirored
