/* SPDX-License-Identifier: Apache-2.0
 *
 * Tables with heads that a screen reader says with each cell. */
#include "report_page.h"

void table_begin(page *p, const char *caption, const char *const *heads, size_t n_heads,
                 uint32_t numeric) {
    put(p, "<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"");
    put_text(p, caption);
    put(p, "\">\n<table>\n<caption>");
    put_text(p, caption);
    put(p, "</caption>\n<thead><tr>");
    for (size_t i = 0; i < n_heads; i++) {
        put(p, (numeric >> i & 1) != 0 ? "<th scope=\"col\" class=\"n\">" : "<th scope=\"col\">");
        put_isolated(p, heads[i]);
        put(p, "</th>");
    }
    put(p, "</tr></thead>\n<tbody>\n");
}

void row_begin(page *p, const char *head) {
    put(p, "<tr>");
    if (head != NULL) {
        put(p, "<th scope=\"row\">");
        put_isolated(p, head);
        put(p, "</th>");
    }
}

void cell(page *p, const char *text) {
    put(p, "<td>");
    put_isolated(p, text);
    put(p, "</td>");
}

void cell_number(page *p, double value) {
    put(p, "<td class=\"n\">");
    put_exact(p, value);
    put(p, "</td>");
}

void cell_rounded(page *p, double value) {
    put(p, "<td class=\"n\">");
    put_rounded(p, value);
    put(p, "</td>");
}

void put_bar(page *p, double percent) {
    putf(p,
         "<svg class=\"share\" viewBox=\"0 0 100 4\" preserveAspectRatio=\"none\" "
         "aria-hidden=\"true\"><rect width=\"%.1f\" height=\"4\"/></svg>",
         percent);
}

void row_end(page *p) {
    put(p, "</tr>\n");
}

void table_end(page *p) {
    put(p, "</tbody>\n</table>\n</div>\n");
}
