# SPDX-License-Identifier: Apache-2.0
# A flag file that is not there.
bert-train --flagfile=nowhere.txt
