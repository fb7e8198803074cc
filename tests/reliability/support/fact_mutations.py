# SPDX-License-Identifier: Apache-2.0
"""Mistakes about facts (docs/facts.md): each is silence where something must be said or obeyed. The form is
that of ../mutations.py, which runs them: name: (source, changes, loop, test, environment[, program])."""

MUTATIONS = {
    # labels
    'a label of the evaluation that is not a name is taken': (
        'src/data/data_label_rule.c', [('    return refuse_no_name(rule, wrong, err);',
                                        '    labels->is_by_name = true;\n    (void)wrong;\n    return BT_OK;')],
        '../e2e/text_input.py', 'Names.test_unknown_name_in_the_evaluation', {}),
    'the names of a head that is taken are not read': (
        'src/weights/head_facts.c', [('    if (!is_useful) {', '    if (true) {')],
        '../e2e/init_checkpoint.py', 'HeadNames.test_their_order_is_that_of_the_outputs', {}),
    'names that contradict the head are taken': (
        'src/weights/head_facts.c', [('        return compare_names(head, key, &names, err);', '        return BT_OK;')],
        '../e2e/init_checkpoint.py', 'HeadNames.test_a_contradiction_names_both_lists', {}),
    'another problem than the run had is computed': (
        'src/train/labels.c', [('    if (was_multi == plan->is_multi_label ||', '    if (true ||')],
        '../e2e/multi_label.py', 'Refusals.test_another_problem_later', {}),
    # vectors of sentences
    'every pooling is the mean': (
        'src/ckpt/ckpt_sentence.c', [('"%s", word);\n    return BT_OK;', '"mean");\n    return BT_OK;')],
        '../e2e/sentence_vectors.py', 'SentenceVectors.test_their_own_vectors', {}),
    'a prompt before every sentence is left out': (
        'src/ckpt/ckpt_sentence.c', [("text != NULL && text[0] != '\\0') {", 'false) {')],
        '../e2e/sentence_vectors.py', 'SentenceVectors.test_what_is_not_computed', {}),
    # vocabulary
    'a special piece in two lines is one': (
        'src/text/vocab_check.c', [('    if (facts.n_repeats > 0) {\n        BT_TRY(refuse', '    if (false) {\n        BT_TRY(refuse')],
        '../e2e/data_facts.py', 'Vocabulary.test_special_pieces_once', {}),
    'lines that hold more than a piece are pieces': (
        'src/text/vocab_check.c', [('    BT_TRY(refuse_more_than_pieces(vocab, path, err));\n', '')],
        '../e2e/data_facts.py', 'Vocabulary.test_lines_that_hold_more', {}),
    'fewer pieces than rows are not told': (
        'src/text/vocab_check.c', [('    if (facts->n < table_size) {', '    if (false) {')],
        '../e2e/data_facts.py', 'Vocabulary.test_smaller_than_the_table', {}),
    'the case of the vocabulary is not looked at': (
        'src/train/data_facts.c', [('    if (n_letters == 0 || census->lower_case != is_cased) {', '    if (true) {')],
        '../e2e/data_facts.py', 'Vocabulary.test_case', {}),
    # rows
    'rows without text are not counted': (
        'src/data/data_census.c', [('    if (is_empty) {\n        census->first_part',
                                    '    if (false) {\n        census->first_part')],
        '../e2e/data_facts.py', 'Rows.test_without_text', {}),
    'rows that are cut are not told': (
        'src/train/data_facts.c', [('    if (census->n_cut > 0) {', '    if (false) {')],
        '../e2e/data_facts.py', 'Rows.test_cut', {}),
    'classes of one section are not told': (
        'src/train/data_facts.c', [('    if (n_lonely > 0) {', '    if (false) {')],
        '../e2e/data_facts.py', 'Rows.test_classes_of_one_section', {}),
    'other rows are held out in each start': (
        'src/data/data_split.c', [('is_used[rows[i]] = (first <= i && i < end) == only;',
                                   'is_used[rows[i]] = first <= i && i < end;')],
        '../e2e/short_command.py', 'Recalls.test_a_tenth_is_held_out', {}),
    # weights and what lies beside them
    'the epsilon of the file is not obeyed': (
        'src/weights/folder_facts.c', [('    if (facts->norm_eps > 0) {', '    if (false) {')],
        '../e2e/folder_facts.py', 'Everything.test_sizes_arithmetic_and_head', {}),
    'the case of tokenizer_config.json is not read': (
        'src/text/tokenizer_facts.c', [('    put_bool(root, "do_lower_case", &out->lower_case);\n', '')],
        '../e2e/folder_facts.py', 'Tokenizers.test_as_transformers', {}),
    'every class of tokenizer is BERT\'s': (
        'src/text/tokenizer_facts.c', [('!is_bert_class(name) && !has_json', 'false')],
        '../e2e/folder_facts.py', 'Tokenizers.test_other_tokenizers_are_refused_by_name', {}),
    'a pointer of Git LFS is a file': (
        'src/fs/fs_stranger.c', [('    if (begins_with(head, n, pointer_magic)) {', '    if (false) {')],
        '../e2e/folder_facts.py', 'Strangers.test_a_pointer_or_a_page_is_told_wherever_it_lies', {}),
    'a page of the web is a file': (
        'src/fs/fs_stranger.c', [('    if (is_page(head, n)) {', '    if (false) {')],
        '../e2e/folder_facts.py', 'Strangers.test_a_pointer_or_a_page_is_told_wherever_it_lies', {}),
    'weights of PyTorch are not known by name': (
        'src/ckpt/ckpt_stranger.c', [('    {"pytorch_model.bin", bt_fs_refuse_torch},\n', ''),
                                     ('    {".bin", bt_fs_refuse_torch},\n', '')],
        '../e2e/folder_facts.py', 'Strangers.test_weights_of_other_libraries', {}),
    # before the run
    'a dry run does not look at locks': (
        'src/train/run_lock.c', [('run_lock_take(args, locks, err) : look(args, err);',
                                  'run_lock_take(args, locks, err) : BT_OK;')],
        '../cli/dry_run_resources.py', 'Resources.test_beside_an_evaluation', {}),
    'a dry run takes over what it looks at': (
        'src/fs/fs_lock.c', [('        if (rc != BT_OK || !is_there || met.why != NULL) {',
                              '        (void)unlink(lock->path);\n        if (rc != BT_OK || !is_there || met.why != NULL) {')],
        '../cli/dry_run_resources.py', 'Resources.test_beside_an_evaluation', {}),
    'a dry run does not look at locks in stores': (
        'src/fs/lock_store.c', [('return info.kind == BT_FS_FILE ? judge(lock, &info, own_now, err) : BT_OK;',
                                 '(void)own_now;\n    return BT_OK;')],
        '../remote/checkpoints.py', 'Checkpoints.test_a_dry_run_looks_at_the_lock', {}),
    'the room on the disk is not looked at': (
        'src/train/space_check.c', [('    if (n_free / one < 1 + n_best) {', '    if (false) {')],
        '../cli/dry_run_resources.py', 'Resources.test_a_full_disk', {}),
    'folders that may not be written are found by the first save': (
        'src/train/model_dir.c', [('    return bt_fs_check_writable(path, err);', '    return BT_OK;')],
        '../cli/dry_run_resources.py', 'Resources.test_table', {}),
    'where predictions go is not looked at': (
        'src/task/task_outputs.c', [('        if (bt_fs_check_output(outputs[i].path, false, err) != BT_OK) {',
                                     '        if (false) {')],
        '../cli/dry_run_resources.py', 'Resources.test_table', {}),
    'a dry run reads no rows': (
        'src/train/dry_run.c', [('    if (run->train_data != NULL) {\n        BT_TRY(dry_read_training(run, NULL, NULL, err));\n    }\n', ''),
                                ('    return run->validation_data != NULL ? dry_read_other(run, NULL, NULL, err) : BT_OK;',
                                 '    return BT_OK;')],
        '../cli/dry_run.py', 'DryRun.test_a_label_type_that_records_contradict', {}),
    'learning rates are not looked at': (
        'src/train/rate_check.c', [('    (void)(tell_zero(&seen, n) ||', '    (void)(true || tell_zero(&seen, n) ||')],
        '../cli/messages.py', 'Messages.test_odd_schedules', {}),
    'steps that unlearn are not told': (
        'src/train/rate_check.c', [('    if (seen->n_negative == 0) {', '    if (true) {')],
        '../cli/messages.py', 'Messages.test_odd_schedules', {}),
    'paths have no keys': (
        'src/conf/conf_paths.c', [('    }\n    return walk_object(&walk, conf->root, "", err);', '    }\n    return BT_OK;')],
        '../cli/path_keys.py', 'PathKeys.test_every_key', {}),
    'words of other programs are not known': (
        'src/conf/conf_merge.c', [('    if (alias != NULL) {', '    if (false) {')],
        '../cli/messages.py', 'Messages.test_words_behind_another_choice', {}),
}
