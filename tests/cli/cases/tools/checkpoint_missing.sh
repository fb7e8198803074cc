# A checkpoint that is not there.
bert-checkpoint list nowhere
