# SPDX-License-Identifier: Apache-2.0
# One trains, the other does not.
bert-train --experiment=bert/sentence_prediction --config_file=model.yaml --config_file=run.yaml --benchmark --dry_run
