# SPDX-License-Identifier: Apache-2.0
# Every key with type, default and meaning.
bert-train --help_experiment=bert/sentence_prediction
