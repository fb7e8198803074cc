# SPDX-License-Identifier: Apache-2.0
# The nearest flag is offered.
bert-train --experimnt=bert/sentence_prediction
