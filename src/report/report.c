/* SPDX-License-Identifier: Apache-2.0
 *
 * The page from its first line to its last. A content policy forbids it to load or to send
 * anything, whatever the texts in it say. */
#include "report_page.h"

typedef struct content {
    const char *id;
    const char *title;
    void (*put)(page *p, const bt_report_run *run);
} content;

/* In this order. */
static const content contents[] = {
    {"results", "Results", put_results},    {"curves", "Curves", put_curves},
    {"classes", "Classes", put_confusion},  {"calibration", "Calibration", put_calibration},
    {"mistakes", "Mistakes", put_mistakes}, {"answers", "Answers", put_answers},
    {"data", "Data", put_dataset},          {"times", "Time", put_times},
    {"settings", "Settings", put_settings}, {"machine", "Machine", put_machine},
};

static void put_head(page *p, const char *title) {
    put(p, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
           "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
           "<meta name=\"color-scheme\" content=\"light dark\">\n"
           "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
           "'unsafe-inline'\">\n<title>");
    put_text(p, title);
    put(p, "</title>\n<style>\n");
    for (size_t i = 0; page_style[i] != NULL; i++) {
        put(p, page_style[i]);
    }
    put(p, "</style>\n</head>\n<body>\n"
           "<a class=\"skip\" href=\"#main\">To the content</a>\n");
}

/* The list of contents names what is there: a section is put aside first. */
static void put_one(page *p, const bt_report_run *run) {
    bt_str body = BT_STR_INIT;
    page   aside = *p;
    aside.out = &body;
    put(p, "<main id=\"main\" tabindex=\"-1\">\n");
    put_summary(p, run);
    put(p, "<nav aria-label=\"contents\"><ul>\n");
    for (size_t i = 0; i < BT_ARRAY_LEN(contents); i++) {
        const size_t before = body.len;
        contents[i].put(&aside, run);
        if (body.len > before) {
            putf(p, "<li><a href=\"#%s\">%s</a></li>\n", contents[i].id, contents[i].title);
        }
    }
    put(p, "</ul></nav>\n");
    put(p, bt_str_text(&body));
    p->rc = p->rc == BT_OK ? aside.rc : p->rc;
    bt_str_deinit(&body);
}

bt_status bt_report_write_page(const bt_report_run *runs, size_t n, bt_str *out, bt_error *err) {
    page p = {.out = out, .rc = BT_OK, .err = err};
    BT_ASSERT(n > 0);
    put_head(&p, n == 1 ? runs[0].name : "runs side by side");
    if (n == 1) {
        put_one(&p, &runs[0]);
    } else {
        put(&p, "<main id=\"main\" tabindex=\"-1\">\n");
        put_comparison(&p, runs, n);
    }
    put(&p, "</main>\n</body>\n</html>\n");
    return p.rc;
}
