# SPDX-License-Identifier: Apache-2.0
# A flag at the end without its value.
bert-train --experiment
