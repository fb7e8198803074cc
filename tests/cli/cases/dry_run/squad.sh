# SPDX-License-Identifier: Apache-2.0
# Experiments whose training comes later merge and print.
bert-train --experiment=bert/squad --config_file="$SRC/configs/experiments/squad_v1.1.yaml" --dry_run 2>/dev/null | grep -E 'version_2|doc_stride|train_steps'
