/* SPDX-License-Identifier: Apache-2.0
 *
 * For yaml_round_trip.py: reads a line "EXPERIMENT FILE" again and again, merges the YAML file into
 * the experiment, writes params.yaml to FILE.out, and says "ok" or "refused". */
#include <stdio.h>
#include <string.h>

#include "bt/base/str.h"
#include "bt/conf.h"
#include "bt/fs.h"

static bt_status echo(const char *experiment, const char *file, bt_error *err) {
    bt_status          rc = BT_OK;
    bt_conf           *conf = NULL;
    bt_conf_errors     errors = BT_CONF_ERRORS_INIT;
    bt_str             yaml = BT_STR_INIT;
    bt_str             path = BT_STR_INIT;
    const char *const  files[] = {file};
    const bt_conf_args args = {
        .experiment = experiment, .config_files = files, .n_config_files = 1};
    BT_CHECK(bt_conf_build(&args, &conf, &errors, err));
    BT_CHECK(bt_conf_dump_yaml(conf, &yaml, err));
    BT_CHECK(bt_str_appendf(&path, err, "%s.out", file));
    BT_CHECK(bt_fs_replace(bt_str_text(&path), bt_str_text(&yaml), yaml.len, err));
done:
    bt_conf_free(conf);
    bt_conf_errors_deinit(&errors);
    bt_str_deinit(&yaml);
    bt_str_deinit(&path);
    return rc;
}

int main(void) {
    char line[4096];
    while (fgets(line, sizeof line, stdin) != NULL) {
        bt_error err = BT_ERROR_INIT;
        line[strcspn(line, "\n")] = '\0';
        char *const space = strchr(line, ' ');
        if (space == NULL) {
            return 2;
        }
        *space = '\0';
        if (echo(line, space + 1, &err) == BT_OK) {
            (void)printf("ok\n");
        } else {
            (void)printf("refused %s\n", bt_status_name(err.code));
        }
        (void)fflush(stdout);
    }
    return 0;
}
