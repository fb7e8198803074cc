# SPDX-License-Identifier: Apache-2.0
"""Which Python has TensorFlow and Model Garden: this one, or the one that is named to the script."""
import os
import sys

SKIP = 77


def find_tensorflow(other):
    """Returns where both can be imported; else starts the script again with the other Python (a path,
    or ""; $BT_TF_PYTHON counts first), or exits with 77."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    try:
        import tensorflow  # noqa: F401
        import official.nlp.modeling.models  # noqa: F401
        return
    except ImportError as why:
        reason = why
    python = os.environ.get("BT_TF_PYTHON") or other
    if python and not os.environ.get("BT_TF_TRIED"):
        os.environ["BT_TF_TRIED"] = "1"
        os.execv(python, [python, "-B", *sys.argv])
    print(f"SKIPPED: no TensorFlow and Model Garden here ({reason}); name a python that has them "
          "in BT_TF_PYTHON")
    sys.exit(SKIP)
