# SPDX-License-Identifier: Apache-2.0
# Every line on standard error is one JSON object, and the last one is the end.
bert-train --experiment=bert/sentence_prediction --model_dir=out --config_file=model.yaml --config_file=run.yaml --mode=train --params_override=trainer.train_steps=5 --log_format=json 2>log.txt
"$PYTHON" -c 'import json
rows = [json.loads(line) for line in open("log.txt")]
print(*sorted(set.intersection(*(set(r) for r in rows))))
print(rows[-1]["event"], rows[-1]["exit_code"])'
