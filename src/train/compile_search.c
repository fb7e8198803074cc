/* SPDX-License-Identifier: Apache-2.0
 *
 * --compile_only: the largest batch whose program fits a device, were all sequences as long as may
 * be. A compilation takes half a minute, so few are made: what a program takes is nearly a line
 * over what it is estimated to take, and the batch that the line names is compiled, until that one
 * and the largest that fits are of one shape. */
#include <math.h>

#include "bt/base/stop.h"
#include "compile_only.h"

/* Examples of one device: more are not looked for. */
enum { MAX_EXAMPLES = 4096, MAX_COMPILED = 8 };

/* Masks are named by 32 bits: a step's tokens, times heads or a quarter of the hidden size. */
static const double max_names = 0x1p32;

typedef struct compiled_point {
    double cost, bytes;
} compiled_point;

typedef struct search {
    const compile_job *job;
    bt_train_largest  *out;
    bt_exec_shape      shape;                    /* of out */
    compiled_point     points[MAX_COMPILED + 1]; /* of programs that the compiler took */
    size_t             n_points;
    double             first_temporary;
    int64_t            fits;    /* examples of a device; 0: none yet */
    int64_t            refused; /* likewise: the fewest that do not fit */
} search;

static double cost_of(const search *s, const bt_exec_shape *shape) {
    const bt_exec_wish wish = compile_wish(s->job, shape);
    return bt_exec_ahead_estimate(&wish);
}

/* Through the two points of most bytes; through the first alone what is temporary grows with it. */
static double predict_bytes(const search *s, double cost) {
    const compiled_point *a = &s->points[0];
    const compiled_point *b = NULL;
    for (size_t i = 1; i < s->n_points; i++) {
        a = s->points[i].cost > a->cost ? &s->points[i] : a;
    }
    for (size_t i = 0; i < s->n_points; i++) {
        const bool is_lower = s->points[i].cost < a->cost && s->points[i].bytes < a->bytes;
        b = is_lower && (b == NULL || s->points[i].cost > b->cost) ? &s->points[i] : b;
    }
    const double slope = b != NULL ? (a->bytes - b->bytes) / (a->cost - b->cost)
                                   : s->first_temporary / s->points[0].cost;
    return a->bytes + slope * (cost - a->cost);
}

/* The most examples between those that fit and those that do not which may fit. */
static bt_status choose(const search *s, int64_t *examples, bt_error *err) {
    int64_t low = s->fits;
    int64_t high = s->refused;
    if (s->n_points == 0) { /* nothing is known but that so many are too many */
        *examples = high / 2;
        return BT_OK;
    }
    while (high - low > 1) {
        const int64_t middle = low + (high - low) / 2;
        bt_exec_shape shape;
        BT_TRY(compile_full_shape(s->job, middle * s->job->rows.n_devices, &shape, err));
        if (predict_bytes(s, cost_of(s, &shape)) <= (double)s->job->usable_bytes) {
            low = middle;
        } else {
            high = middle;
        }
    }
    *examples = low > 0 || s->refused <= 1 ? low : 1; /* one is tried before none is said to fit */
    return BT_OK;
}

static void add_point(search *s, const bt_exec_shape *shape, const bt_train_program *program) {
    if (program->is_too_large || s->n_points == BT_ARRAY_LEN(s->points)) {
        return;
    }
    if (s->n_points == 0) {
        s->first_temporary = (double)program->temporary_bytes;
    }
    s->points[s->n_points++] =
        (compiled_point){.cost = cost_of(s, shape), .bytes = (double)program->total_bytes};
}

/* Of a batch of full length. */
static void learn(search *s, int64_t examples, const bt_exec_shape *shape,
                  const bt_train_program *program) {
    add_point(s, shape, program);
    if (!compile_fits(s->job, program)) {
        s->refused = examples < s->refused ? examples : s->refused;
    } else if (examples > s->fits) {
        s->fits = examples;
        s->shape = *shape;
        s->out->is_known = true;
        s->out->batch = examples * s->job->rows.n_devices;
        s->out->program = *program;
    }
}

static int64_t most_examples(const compile_job *job) {
    const bt_encoder_config *const e = &job->model->encoder;
    const int64_t                  names =
        e->hidden_size / 4 > e->num_attention_heads ? e->hidden_size / 4 : e->num_attention_heads;
    const double each = (double)names * (double)job->rows.seq_length *
                        (double)(job->rows.seqs_per_row * job->rows.n_devices * job->rows.n_parts);
    const double most = max_names / each;
    return most < (double)MAX_EXAMPLES ? (int64_t)most : MAX_EXAMPLES;
}

/* One step: *is_over, or another program is compiled. */
static bt_status step(search *s, bool *is_over, bt_error *err) {
    int64_t          examples = 0;
    bt_exec_shape    shape;
    bt_train_program program;
    BT_TRY(bt_stop_check(err));
    BT_TRY(choose(s, &examples, err));
    if (examples < 1 || examples == s->fits) {
        *is_over = true;
        return BT_OK;
    }
    const int64_t batch = examples * s->job->rows.n_devices;
    BT_TRY(compile_full_shape(s->job, batch, &shape, err));
    if (s->fits > 0 && compile_is_same(&s->shape, &shape)) { /* the same program */
        s->fits = examples;
        s->out->batch = batch;
        return BT_OK;
    }
    BT_TRY(compile_program(s->job, batch, &shape, &program, err));
    s->out->n_compiled++;
    learn(s, examples, &shape, &program);
    return BT_OK;
}

/* The batch of the run itself, if its sequences were all of full length. */
static bt_status begin(search *s, const bt_exec_shape *shape, bt_train_part *part, bt_error *err) {
    const compile_job *const job = s->job;
    bt_exec_shape            full;
    BT_TRY(compile_full_shape(job, job->batch, &full, err));
    s->out->n_compiled = 1;
    if (compile_is_same(shape, &full)) {
        part->full = part->program;
    } else {
        add_point(s, shape, &part->program);
        BT_TRY(compile_program(job, job->batch, &full, &part->full, err));
        s->out->n_compiled++;
    }
    part->has_full = true;
    const int64_t least = job->batch / job->rows.n_devices;
    const int64_t each = least > 0 ? least : 1;
    const bool    fits = compile_fits(job, &part->full);
    learn(s, each * job->rows.n_devices < job->batch && !fits ? each + 1 : each, &full,
          &part->full);
    s->out->batch = fits ? job->batch : 0;
    return BT_OK;
}

bt_status compile_find_largest(const compile_job *job, const bt_exec_shape *shape, bool if_it_fits,
                               bt_train_part *part, bt_error *err) {
    const int64_t limit = most_examples(job) + 1;
    search        s = {.job = job, .out = &part->largest, .refused = limit};
    bool          is_over = false;
    part->largest = (bt_train_largest){.batch = 0};
    BT_TRY(begin(&s, shape, part, err));
    if (job->usable_bytes < 0 || (s.fits > 0 && !if_it_fits)) {
        part->largest = (bt_train_largest){.batch = 0};
        return BT_OK;
    }
    while (!is_over && s.out->n_compiled < MAX_COMPILED) {
        BT_TRY(step(&s, &is_over, err));
    }
    s.out->is_bounded = s.fits + 1 < limit;
    return BT_OK;
}
