# SPDX-License-Identifier: Apache-2.0
# A step without update is not what a step costs.
bert-train --experiment=bert/sentence_prediction --config_file=model.yaml --config_file=run.yaml --benchmark --params_override=trainer.optimizer_config.learning_rate.polynomial.initial_learning_rate=1e30
