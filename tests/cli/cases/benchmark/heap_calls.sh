# SPDX-License-Identifier: Apache-2.0
# A step calls no heap from end to end, whatever the run is set to.
for override in task.train_data.shuffle_buffer_size=100 runtime.padding=keep \
    trainer.gradient_accumulation_steps=2 runtime.recompute=true \
    runtime.mixed_precision_dtype=bfloat16 runtime.mixed_precision_dtype=float16 \
    trainer.optimizer_config.ema.average_decay=0.9; do
    echo "$override"
    bert-train --experiment=bert/sentence_prediction --config_file=model.yaml --config_file=run.yaml --benchmark --benchmark_steps=8 --params_override=$override | grep '^heap calls'
done
