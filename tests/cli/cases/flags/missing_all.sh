# SPDX-License-Identifier: Apache-2.0
# All missing flags in one sentence.
bert-train
