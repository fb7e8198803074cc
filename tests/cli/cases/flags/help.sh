# --help goes to standard output.
bert-train --help
