# Only the missing ones.
bert-train --experiment=bert/sentence_prediction
