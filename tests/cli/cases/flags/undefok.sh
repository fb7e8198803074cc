# SPDX-License-Identifier: Apache-2.0
# Unknown flags that --undefok names are tolerated.
bert-train --experiment=bert/sentence_prediction --model_dir=out --config_file=model.yaml --config_file=run.yaml --mode=train --params_override=trainer.train_steps=0 --zzz=1 --undefok=zzz >/dev/null
