# A flag at the end without its value.
bert-train --experiment
