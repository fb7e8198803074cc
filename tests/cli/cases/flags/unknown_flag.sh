# The nearest flag is offered.
bert-train --experimnt=bert/sentence_prediction
