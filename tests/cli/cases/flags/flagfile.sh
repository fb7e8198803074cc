# SPDX-License-Identifier: Apache-2.0
# Flags from a file, with comments; the command line goes on after it. (Events begin and end a session.)
cat > flags.txt <<'EOF'
# a comment
--experiment=bert/sentence_prediction
--config_file=model.yaml
// another
--config_file=run.yaml
--mode=eval
EOF
bert-train --flagfile=flags.txt --mode=train --model_dir=out --params_override=trainer.train_steps=0 &&
    ls out | sed 's/\(tfevents\).*/\1/'
