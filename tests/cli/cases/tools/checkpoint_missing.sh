# SPDX-License-Identifier: Apache-2.0
# A checkpoint that is not there.
bert-checkpoint list nowhere
