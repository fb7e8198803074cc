# SPDX-License-Identifier: Apache-2.0
# Only read with enable_tf_data_service, as in Model Garden.
bert-train --experiment=bert/sentence_prediction --model_dir=out --config_file=model.yaml --config_file=run.yaml --mode=train --tf_data_service=grpc://x:1
