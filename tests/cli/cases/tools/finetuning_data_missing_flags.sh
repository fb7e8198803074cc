# SPDX-License-Identifier: Apache-2.0
# All that is missing, in one sentence.
create-finetuning-data --fine_tuning_task_type=classification
