# All missing flags in one sentence.
bert-train
