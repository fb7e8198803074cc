# SPDX-License-Identifier: Apache-2.0
# Every line on standard error is one JSON object.
bert-train --experiment=bert/sentence_prediction --model_dir=out --config_file=model.yaml --config_file=run.yaml --mode=train --params_override=trainer.train_steps=5 --log_format=json 2>log.txt
"$PYTHON" -c 'import json
for line in open("log.txt"):
    r = json.loads(line)
    print(sorted(r))' | sort -u
