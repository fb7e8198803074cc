# SPDX-License-Identifier: Apache-2.0
# The tasks are named.
printf "[PAD]\n[UNK]\n[CLS]\n[SEP]\nhello\nworld\n##s\n,\n!\nfine\na\nfilm\nbad\n" > vocab.txt
mkdir in
create-finetuning-data --input_data_dir=in --vocab_file=vocab.txt --train_data_output_path=t.rec --eval_data_output_path=e.rec --meta_data_file_path=meta.json --fine_tuning_task_type=classification --classification_task_name=COLLA
