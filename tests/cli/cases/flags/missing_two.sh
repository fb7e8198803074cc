# SPDX-License-Identifier: Apache-2.0
# Only the missing ones.
bert-train --experiment=bert/sentence_prediction
