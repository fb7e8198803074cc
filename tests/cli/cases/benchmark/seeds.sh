# SPDX-License-Identifier: Apache-2.0
# One run is measured.
bert-train --experiment=bert/sentence_prediction --config_file=model.yaml --config_file=run.yaml --benchmark --seeds=1,2
