# SPDX-License-Identifier: Apache-2.0
"""Prints the fields of the real TrainingArguments, and the version of the library, as JSON."""
import dataclasses
import json

import transformers

print(json.dumps({'version': transformers.__version__,
                  'fields': [field.name for field in dataclasses.fields(transformers.TrainingArguments)]}))
