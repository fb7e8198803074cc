# SPDX-License-Identifier: Apache-2.0
# The nearest name is offered.
bert-train --help_experiment=bert/sentence_predictoin
