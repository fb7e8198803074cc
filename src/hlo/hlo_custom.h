/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls of what a plug-in brings beside StableHLO, by its name. */
#ifndef BT_HLO_CUSTOM_H
#define BT_HLO_CUSTOM_H

#include "hlo_text.h"

enum { HLO_CALL_MAX_OPERANDS = 12, HLO_CALL_MAX_RESULTS = 4 };

typedef struct hlo_call {
    hlo_value in[HLO_CALL_MAX_OPERANDS], out[HLO_CALL_MAX_RESULTS];
    bool      is_swapped[HLO_CALL_MAX_RESULTS]; /* axes 1 and 2 lie in memory the other way round */
    int32_t   n_in, n_out;
} hlo_call;

void hlo_call_operand(hlo_call *call, hlo_value x);
void hlo_call_result(hlo *h, hlo_call *call, bt_dtype dtype, int32_t rank, const int64_t *dims);
/* Between the two the caller writes its attributes, as "name = value, name = value". After the end
 * call->out are the results. */
void hlo_call_begin(hlo *h, hlo_call *call, const char *target);
void hlo_call_end(hlo *h, hlo_call *call);
/* Text within quotes. */
void hlo_put_quoted(hlo *h, const char *text);

#endif
