# SPDX-License-Identifier: Apache-2.0
# Every experiment with a sentence.
bert-train --list_experiments
