# SPDX-License-Identifier: Apache-2.0
# A bare experiment, whose mode nobody said: findings on standard error, the parameters on standard output, exit 0.
bert-train --experiment=bert/sentence_prediction --dry_run
