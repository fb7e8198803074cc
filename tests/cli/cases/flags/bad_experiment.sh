# SPDX-License-Identifier: Apache-2.0
# The nearest experiment is offered.
bert-train --experiment=bert/sentence_predict --mode=train --model_dir=out
