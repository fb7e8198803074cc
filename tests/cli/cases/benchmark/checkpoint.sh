# SPDX-License-Identifier: Apache-2.0
# It starts as a training does.
bert-train --experiment=bert/sentence_prediction --config_file=model.yaml --config_file=run.yaml --benchmark --checkpoint=best
