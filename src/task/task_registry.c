/* SPDX-License-Identifier: Apache-2.0
 *
 * From the name of an experiment to its task. A compile-time table; experiments that the
 * configuration knows but this version does not train are refused, each with what to do instead. */
#include <string.h>

#include "bt/base/alloc.h"
#include "task_internal.h"

typedef struct registry_row {
    const char    *experiment;
    const bt_task *task;
} registry_row;

static const registry_row registry[] = {
#define TASK(experiment, object) {experiment, &(object)},
#include "task_list.def"
};

typedef struct refusal_row {
    const char *experiment;
    const char *advice;
} refusal_row;

static const refusal_row refusals[] = {
    {"bert/pretraining", "fine-tune a pre-trained checkpoint with bert/sentence_prediction"},
    {"bert/pretraining_dynamic",
     "fine-tune a pre-trained checkpoint with bert/sentence_prediction"},
    {"bert/text_wiki_pretraining",
     "fine-tune a pre-trained checkpoint with bert/sentence_prediction"},
    {"electra/pretraining", "fine-tune a pre-trained checkpoint with bert/sentence_prediction"},
};

bt_status bt_task_find(const char *experiment, const bt_task **out, bt_error *err) {
    for (size_t i = 0; i < BT_ARRAY_LEN(registry); i++) {
        if (strcmp(registry[i].experiment, experiment) == 0) {
            *out = registry[i].task;
            return BT_OK;
        }
    }
    const char *advice = "this version trains bert/sentence_prediction";
    for (size_t i = 0; i < BT_ARRAY_LEN(refusals); i++) {
        if (strcmp(refusals[i].experiment, experiment) == 0) {
            advice = refusals[i].advice;
        }
    }
    return BT_FAIL(err, BT_E_UNSUPPORTED, "experiment '%s': training it is not supported; %s",
                   experiment, advice);
}

void bt_task_plan_deinit(bt_task_plan *plan) {
    bt_task_labels_deinit(&plan->labels);
    bt_free(plan->metric_text);
    plan->metric_text = NULL;
}
