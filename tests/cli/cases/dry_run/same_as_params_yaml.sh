# SPDX-License-Identifier: Apache-2.0
# What --dry_run prints is what a run writes: in two files, of which the second is read with the first.
bert-train --experiment=bert/sentence_prediction --model_dir=out --config_file=model.yaml --config_file=run.yaml --mode=train --params_override=trainer.train_steps=1,runtime.threads=1,task.model.head_dropout=0.2 --dry_run >printed.yaml 2>/dev/null
bert-train --experiment=bert/sentence_prediction --model_dir=out --config_file=model.yaml --config_file=run.yaml --mode=train --params_override=trainer.train_steps=1,runtime.threads=1,task.model.head_dropout=0.2 >/dev/null 2>&1
bert-train --experiment=bert/sentence_prediction --config_file=out/params.yaml --dry_run=config >again.yaml 2>/dev/null
cmp printed.yaml again.yaml && sed 1d out/params.yaml >theirs.yaml && grep -vE '  threads|head_dropout' printed.yaml | cmp - theirs.yaml && head -n 1 out/params.yaml && cat out/params_ours.yaml
