# SPDX-License-Identifier: Apache-2.0
# The file that is looked for is named; nothing is made.
printf "[PAD]\n[UNK]\n[CLS]\n[SEP]\nhello\nworld\n##s\n,\n!\nfine\na\nfilm\nbad\n" > vocab.txt
create-finetuning-data --input_data_dir=nowhere --vocab_file=vocab.txt --train_data_output_path=t.rec --eval_data_output_path=e.rec --meta_data_file_path=meta.json --fine_tuning_task_type=classification --classification_task_name=SST-2
code=$?
ls *.rec meta.json 2>/dev/null
exit $code
