# SPDX-License-Identifier: Apache-2.0
# Nothing is near.
bert-train --zzzzqqqq=1
