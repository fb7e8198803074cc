/* SPDX-License-Identifier: Apache-2.0
 *
 * What was asked of the run, and what it ran on. */
#include "report_page.h"

static void put_setting(page *p, const bt_report_setting *s, bool has_origins) {
    row_begin(p, NULL);
    put(p, "<th scope=\"row\"><code>");
    put_breakable(p, s->key);
    put(p, "</code></th><td><code>");
    put_breakable(p, s->value);
    put(p, "</code></td><td><code>");
    put_breakable(p, s->usual != NULL ? s->usual : "");
    put(p, "</code></td>");
    if (has_origins) {
        put(p, "<td>");
        put_breakable(p, s->origin != NULL ? s->origin : "");
        put(p, "</td>");
    }
    row_end(p);
}

void put_settings(page *p, const bt_report_run *run) {
    static const char *const heads[] = {"key", "value", "default", "comes from"};
    bool                     has_origins = false;
    for (size_t i = 0; i < run->n_settings; i++) {
        has_origins = has_origins || run->settings[i].origin != NULL;
    }
    if (run->n_settings == 0) {
        return;
    }
    put_section(p, "settings", "Settings");
    put(p, "<p>What differs from the defaults of <code>");
    put_isolated(p, run->experiment);
    put(p, "</code>; everything else is as <code>--help_experiment</code> says.</p>\n");
    table_begin(p, "settings that differ from the defaults", heads, has_origins ? 4 : 3, 0);
    for (size_t i = 0; i < run->n_settings; i++) {
        put_setting(p, &run->settings[i], has_origins);
    }
    table_end(p);
    end_section(p);
}

void put_machine(page *p, const bt_report_run *run) {
    if (run->n_machine == 0 && run->command == NULL) {
        return;
    }
    put_section(p, "machine", "Machine and command");
    if (run->n_machine > 0) {
        put(p, "<dl class=\"facts\">\n");
        for (size_t i = 0; i < run->n_machine; i++) {
            put(p, "<div><dt>");
            put_isolated(p, run->machine[i].name);
            put(p, "</dt><dd>");
            put_isolated(p, run->machine[i].value);
            put(p, "</dd></div>\n");
        }
        put(p, "</dl>\n");
    }
    if (run->command != NULL) {
        put(p, "<h3>The same again</h3>\n<pre tabindex=\"0\"><code>");
        put_isolated(p, run->command);
        put(p, "</code></pre>\n");
    }
    end_section(p);
}
