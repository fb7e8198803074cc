# SPDX-License-Identifier: Apache-2.0
# Version, compiler and engine.
bert-train --version
