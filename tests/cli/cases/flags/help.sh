# SPDX-License-Identifier: Apache-2.0
# --help goes to standard output.
bert-train --help
