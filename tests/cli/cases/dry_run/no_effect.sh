# SPDX-License-Identifier: Apache-2.0
# Keys without effect are told where they are set to something else than their default; those that lose nothing are not.
bert-train --experiment=bert/sentence_prediction --model_dir=out --config_file=model.yaml --config_file=run.yaml --mode=train --dry_run --params_override='runtime.enable_xla=true,runtime.num_packs=1,trainer.train_tf_function=false,trainer.preemption_on_demand_checkpoint=false,task.train_data.prefetch_buffer_size=4,runtime.deterministic=false' >/dev/null
