# SPDX-License-Identifier: Apache-2.0
# The flag is required.
bert-tokenize </dev/null
