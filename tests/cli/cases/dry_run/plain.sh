# SPDX-License-Identifier: Apache-2.0
# The merged parameters, byte for byte as params.yaml would hold them; nothing is made.
bert-train --experiment=bert/sentence_prediction --model_dir=out --config_file=model.yaml --config_file=run.yaml --mode=train_and_eval --dry_run; code=$?; test ! -e out && exit $code
