# SPDX-License-Identifier: Apache-2.0
# The file must be there.
bert-tokenize --vocab_file=nowhere.txt </dev/null
