# SPDX-License-Identifier: Apache-2.0
# Declared by Model Garden, implemented by nobody.
bert-train --experiment=bert/sentence_prediction --model_dir=out --config_file=model.yaml --config_file=run.yaml --mode=train_and_validate; code=$?; test ! -e out && exit $code
