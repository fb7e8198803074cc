/* SPDX-License-Identifier: Apache-2.0
 *
 * report, private: the page while it is written. What fails first (memory, nothing else) is kept in
 * the page, and what is put afterwards goes nowhere: whoever writes a page looks at the end, so
 * that a section reads like the markup that it makes. */
#ifndef BT_REPORT_PAGE_H
#define BT_REPORT_PAGE_H

#include "bt/report.h"

typedef struct page {
    bt_str   *out;
    bt_status rc;
    bt_error *err;
    int       n_ids; /* given so far: "c1", "c2" */
} page;

/* Markup of our own. */
void put(page *p, const char *markup);
void putf(page *p, const char *format, ...) BT_PRINTF(2, 3);
/* A text of others, in an element or a quoted attribute: escaped; what HTML does not have
 * (controls, half characters, bytes outside UTF-8) is shown by a sign that stands for it. */
void put_text(page *p, const char *text);
void put_text_n(page *p, const char *text, size_t n);
/* The same as text of its own direction: one that runs from right to left turns nothing around it.
 */
void put_isolated(page *p, const char *text);
/* "<h2 id=...>": what the list of contents points to. */
void put_section(page *p, const char *id, const char *title);
void end_section(page *p);

/* A number for people: "0.8627", "12,345"; a NaN is a dash. */
enum { NUMBER_MAX = 48 };
const char *number_text(double value, char text[NUMBER_MAX]);
/* The very number, as metrics.jsonl has it. */
void put_exact(page *p, double value);
/* Six digits of it for the eye, all of them for whoever reads the markup. */
void put_rounded(page *p, double value);
/* A key, a path or a command: may be broken after dots, slashes and commas. */
void put_breakable(page *p, const char *text);
/* "2 h 3 min", "14.2 s" */
const char *duration_text(double seconds, char text[NUMBER_MAX]);
/* "training_loss": "training loss" */
void put_name(page *p, const char *name);

/* report_style.c */
extern const char *const page_style[]; /* pieces, and NULL */

/* report_table.c: a table with a caption and heads; cells are put between. numeric: bits of the
 * columns (from 0) whose cells are numbers. */
void table_begin(page *p, const char *caption, const char *const *heads, size_t n_heads,
                 uint32_t numeric);
void row_begin(page *p, const char *head); /* NULL: the caller puts the head of the row itself */
void cell(page *p, const char *text);
void cell_number(page *p, double value);  /* exact */
void cell_rounded(page *p, double value); /* put_rounded */
/* A bar of so many percent, beside the number that says it. */
void put_bar(page *p, double percent);
void row_end(page *p);
void table_end(page *p);

/* report_axis.c: a scale that maps values to [0, 1], and where its marks are. */
enum { AXIS_MARKS_MAX = 12 };
typedef struct axis {
    double low, high;
    bool   is_log;
    size_t n_marks;
    double marks[AXIS_MARKS_MAX];
    int    n_decimals; /* of the marks' texts */
} axis;
/* may_be_log: values that differ by more than a factor of 50, all above 0, are drawn so. */
axis        axis_make(double low, double high, bool may_be_log, size_t n_wanted);
double      axis_place(const axis *a, double value);
const char *axis_text(const axis *a, double mark, char text[NUMBER_MAX]);

/* report_chart.c: lines over steps, with their names beside their ends. */
typedef struct chart_line {
    const char            *name;  /* beside its end */
    const char            *about; /* in the table's head */
    const bt_report_track *track;
    unsigned               style; /* of CHART_STYLES: dashes, colour and mark */
} chart_line;
enum { CHART_STYLES = 6, CHART_LINES_MAX = 26 };
typedef struct chart {
    const char            *title;
    const char            *unit; /* or NULL */
    const chart_line      *lines;
    size_t                 n_lines;
    const bt_report_pause *pauses;
    size_t                 n_pauses;
    bool                   may_be_log;
    bool                   from_zero;
    double                 best_step; /* marked on the line best_line; NaN: none is */
    size_t                 best_line;
    bool                   names_are_short; /* letters */
} chart;
void put_chart(page *p, const chart *c);

/* Sections, each in its file; one that has nothing to say puts nothing. */
void put_summary(page *p, const bt_report_run *run);
void put_results(page *p, const bt_report_run *run);
void put_curves(page *p, const bt_report_run *run);
void put_times(page *p, const bt_report_run *run);
void put_confusion(page *p, const bt_report_run *run);
void put_calibration(page *p, const bt_report_run *run);
void put_mistakes(page *p, const bt_report_run *run);
void put_answers(page *p, const bt_report_run *run);
void put_dataset(page *p, const bt_report_run *run);
void put_settings(page *p, const bt_report_run *run);
void put_machine(page *p, const bt_report_run *run);
void put_comparison(page *p, const bt_report_run *runs, size_t n);

/* report_confusion.c: the name of a class of the evaluation, or its number. */
void    put_class(page *p, const bt_report_run *run, int64_t id);
int64_t count_at(struct json_t *list, size_t i); /* 0: there is none */

/* report_curves.c: which values are what. */
const bt_report_track *find_track_named(const bt_report_run *run, const char *name,
                                        bool is_validation);
/* A result: not loss, rate or speed. */
bool is_metric(const char *name);
/* The last number of a track; NaN: none. */
double last_value(const bt_report_track *track);
bool   is_lower_better(const char *name);
/* Where the track is best; its number of values: nowhere. */
size_t best_place(const bt_report_track *track, bool is_lower);

#endif
