# SPDX-License-Identifier: Apache-2.0
# What is after --help, and missing flags, do not matter.
bert-train --help --nonsense | head -n 1
