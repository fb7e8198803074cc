# Every experiment with a sentence.
bert-train --list_experiments
