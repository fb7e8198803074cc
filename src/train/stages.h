/* SPDX-License-Identifier: Apache-2.0
 *
 * train, private: what a run did before its first step, and how long each part took. */
#ifndef BT_TRAIN_STAGES_H
#define BT_TRAIN_STAGES_H

#include "bt/base/compiler.h"

enum { STAGES_MAX = 10 };

typedef struct run_stages {
    double began; /* bt_time_monotonic of the run */
    double last;  /* ... of the end of the last stage */
    size_t n;
    bool   is_shown; /* on a terminal, as it goes */
    bool   is_told;  /* the first step or batch was begun */
    bool   is_over;  /* the first step ended */
    struct {
        const char *name;
        double      seconds;
    } items[STAGES_MAX];
} run_stages;

/* process_began: of the process, whose work before the run is a stage then; 0: not said. is_shown:
 * the run is made, not only checked. */
run_stages stages_begin(double process_began, bool is_shown);
/* What was done since the last stage is called so; next: what a terminal shows from now on. */
void stages_end(run_stages *stages, const char *name, const char *next);
/* All is open, read and planned: says how long it took, once. before: "step" or "batch". */
void stages_tell_ready(run_stages *stages, const char *before);
/* The first step took so long: a device may have compiled its program. Says so, once. */
void stages_tell_first(run_stages *stages, double seconds);

#endif
