#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs gcp-storage-emulator (a local Google Cloud Storage, from PyPI) into BUILD/emulator and
# prints that folder. usage: get_emulator.sh BUILD
# Exit 4: no network, or no pip.
exec "$(dirname "$0")/../support/get_pypi.sh" "${1:?usage: get_emulator.sh BUILD}" emulator gcp-storage-emulator
