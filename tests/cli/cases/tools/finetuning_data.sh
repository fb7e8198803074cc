# SPDX-License-Identifier: Apache-2.0
# CoLA's files to records that bert-train reads; meta data beside them.
printf "[PAD]\n[UNK]\n[CLS]\n[SEP]\nhello\nworld\n##s\n,\n!\nfine\na\nfilm\nbad\n" > vocab.txt
mkdir CoLA
printf 'gj04\t1\t\tHello world.\ncj99\t0\t*\tA bad film!\n' > CoLA/train.tsv
cp CoLA/train.tsv CoLA/dev.tsv
printf 'index\tsentence\n0\tA fine film\n' > CoLA/test.tsv
create-finetuning-data --input_data_dir=CoLA --vocab_file=vocab.txt --train_data_output_path=t.rec --eval_data_output_path=e.rec --test_data_output_path=x.rec --meta_data_file_path=meta.json --fine_tuning_task_type=classification --classification_task_name=CoLA --max_seq_length=16 || exit
cat meta.json
bert-train --experiment=bert/sentence_prediction --mode=train --model_dir=out --config_file=model.yaml --config_file=run.yaml --params_override=trainer.train_steps=5,task.train_data.input_path=t.rec,task.model.num_classes=2 | head -n 1
