# SPDX-License-Identifier: Apache-2.0
# What --dry_run prints is what a run writes.
bert-train --experiment=bert/sentence_prediction --model_dir=out --config_file=model.yaml --config_file=run.yaml --mode=train --params_override=trainer.train_steps=1,runtime.threads=1,task.model.head_dropout=0.2 --dry_run >printed.yaml 2>/dev/null
bert-train --experiment=bert/sentence_prediction --model_dir=out --config_file=model.yaml --config_file=run.yaml --mode=train --params_override=trainer.train_steps=1,runtime.threads=1,task.model.head_dropout=0.2 >/dev/null 2>&1
cmp printed.yaml out/params.yaml && grep -E 'threads|head_dropout' printed.yaml
