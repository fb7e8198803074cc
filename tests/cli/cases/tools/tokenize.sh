# SPDX-License-Identifier: Apache-2.0
# A line in, a line out.
printf "[PAD]\n[UNK]\n[CLS]\n[SEP]\nhello\nworld\n##s\n,\n!\nfine\na\nfilm\nbad\n" > vocab.txt
printf 'Hello, worlds!\n\nunknownword h\xffello\n' | bert-tokenize --vocab_file=vocab.txt
