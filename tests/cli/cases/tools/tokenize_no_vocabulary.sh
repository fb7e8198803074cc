# The flag is required.
bert-tokenize </dev/null
