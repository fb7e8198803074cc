# SPDX-License-Identifier: Apache-2.0
# Ids instead of pieces; the last line needs no newline.
printf "[PAD]\n[UNK]\n[CLS]\n[SEP]\nhello\nworld\n##s\n,\n!\nfine\na\nfilm\nbad\n" > vocab.txt
printf 'Hello, worlds!' | bert-tokenize --vocab_file=vocab.txt --ids
