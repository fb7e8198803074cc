/* SPDX-License-Identifier: Apache-2.0
 *
 * bert-train completion: the scripts by which shells complete the command lines of all programs.
 * They carry words to PROGRAM --complete and back, so that what is offered is always that of the
 * program that is called. */
#include "bert_train.h"
#include "bt/base/str.h"

#define PROGRAMS "bert-train create-finetuning-data bert-tokenize bert-checkpoint"

/* bash parts words at = and :, and replaces only what is after the last of them. */
static const char bash_script[] =
    "# bash completion of bert-train and its kin: source <(bert-train completion bash)\n"
    "_bert_train() {\n"
    "    local line=${COMP_LINE:0:COMP_POINT} cur kept kind prefix value word meaning\n"
    "    local -a words\n"
    "    read -r -a words <<<\"$line\"\n"
    "    [[ $line == *[[:space:]] ]] && words+=('')\n"
    "    cur=${words[${#words[@]}-1]}\n"
    "    kept=${cur%\"${cur##*[=:]}\"}\n"
    "    COMPREPLY=()\n"
    "    while IFS=$'\\t' read -r word meaning; do\n"
    "        if [[ -z $kind ]]; then\n"
    "            kind=$word prefix=$meaning\n"
    "            continue\n"
    "        fi\n"
    "        [[ $word == *[=./] ]] && compopt -o nospace 2>/dev/null\n"
    "        COMPREPLY+=(\"${word#\"$kept\"}\")\n"
    "    done < <(\"${words[0]}\" --complete \"${words[@]:1}\" 2>/dev/null)\n"
    "    if [[ $kind == files ]]; then\n"
    "        compopt -o filenames 2>/dev/null\n"
    "        value=${cur#\"$prefix\"}\n"
    "        while IFS= read -r word; do\n"
    "            word=$prefix$word\n"
    "            COMPREPLY+=(\"${word#\"$kept\"}\")\n"
    "        done < <(compgen -f -- \"$value\")\n"
    "    fi\n"
    "}\n"
    "complete -F _bert_train " PROGRAMS "\n";

static const char zsh_script[] =
    "#compdef " PROGRAMS "\n"
    "# zsh completion of bert-train and its kin: source <(bert-train completion zsh), or a file\n"
    "# _bert_train in a folder of $fpath\n"
    "_bert_train() {\n"
    "    local kind prefix word meaning\n"
    "    local -a open closed\n"
    "    while IFS=$'\\t' read -r word meaning; do\n"
    "        if [[ -z $kind ]]; then\n"
    "            kind=$word prefix=$meaning\n"
    "        elif [[ $word == *[=./] ]]; then\n"
    "            open+=(\"$word\")\n"
    "        else\n"
    "            closed+=(\"$word\")\n"
    "        fi\n"
    "    done < <(\"${words[1]}\" --complete \"${(@)words[2,CURRENT]}\" 2>/dev/null)\n"
    "    (( $#open )) && compadd -Q -S '' -- $open\n"
    "    (( $#closed )) && compadd -Q -- $closed\n"
    "    if [[ $kind == files ]]; then\n"
    "        compset -P \"${(b)prefix}\"\n"
    "        _files\n"
    "    fi\n"
    "}\n"
    "if [[ $funcstack[1] == _bert_train ]]; then\n"
    "    _bert_train \"$@\"\n"
    "else\n"
    "    compdef _bert_train " PROGRAMS "\n"
    "fi\n";

static const char fish_script[] =
    "# fish completion of bert-train and its kin: bert-train completion fish | source\n"
    "function __bert_train_complete\n"
    "    set -l words (commandline -opc)\n"
    "    set -l current (commandline -ct)\n"
    "    set -l lines ($words[1] --complete $words[2..-1] \"$current\" 2>/dev/null)\n"
    "    set -l head (string split \\t -- $lines[1])\n"
    "    for line in $lines[2..-1]\n"
    "        echo $line\n"
    "    end\n"
    "    if test \"$head[1]\" = files\n"
    "        set -l value (string sub -s (math (string length -- \"$head[2]\") + 1) -- "
    "\"$current\")\n"
    "        for file in $value*\n"
    "            test -d $file; and set file $file/\n"
    "            echo $head[2]$file\n"
    "        end\n"
    "    end\n"
    "end\n"
    "for program in " PROGRAMS "\n"
    "    complete -c $program -f -a '(__bert_train_complete)'\n"
    "end\n";

static const struct {
    const char *shell;
    const char *script;
    const char *meaning;
} scripts[] = {
    {"bash", bash_script, "source <(bert-train completion bash)"},
    {"zsh", zsh_script, "source <(bert-train completion zsh)"},
    {"fish", fish_script, "bert-train completion fish | source"},
};

static const bt_flag_table flag_table = {
    .program = "bert-train completion",
    .summary =
        "bert-train completion: the script that lets a shell complete flags and their values.\n"
        "\n"
        "bert-train completion bash   source <(bert-train completion bash), in ~/.bashrc\n"
        "bert-train completion zsh    source <(bert-train completion zsh), in ~/.zshrc\n"
        "bert-train completion fish   bert-train completion fish | source, in config.fish",
};

static bt_status run(const bt_flags *flags, int *status, bt_error *err) {
    const char *const *args = NULL;
    const size_t       n = bt_flags_args(flags, &args);
    bt_str             out = BT_STR_INIT;
    bt_status          rc = BT_OK;
    (void)status;
    for (size_t i = 0; n == 1 && i < BT_ARRAY_LEN(scripts); i++) {
        if (bt_str_equal(scripts[i].shell, args[0])) {
            rc = bt_str_append(&out, scripts[i].script, err);
            rc = rc == BT_OK ? bt_cli_print(&out, BT_READER_MAY_LEAVE, err) : rc;
            bt_str_deinit(&out);
            return rc;
        }
    }
    return BT_FAIL(err, BT_E_CONFIG, "%s%s%sone of bash, zsh and fish is expected (see --help)",
                   n > 0 ? "'" : "", n > 0 ? args[0] : "", n > 0 ? "': " : "");
}

static bt_status offer_shells(bt_cli_words *words, const char *const *before, size_t n,
                              bt_error *err) {
    (void)before;
    for (size_t i = 0; n == 0 && i < BT_ARRAY_LEN(scripts); i++) {
        BT_TRY(bt_cli_offer(words, scripts[i].shell, scripts[i].meaning, err));
    }
    return BT_OK;
}

const bt_cli_program command_completion = {.flags = &flag_table,
                                           .arguments = offer_shells,
                                           .append_build_info = bert_train_append_build_info,
                                           .run = run};
