/* SPDX-License-Identifier: Apache-2.0
 *
 * Object graphs: what parses must also serialize, and parse again. */
#include <stdlib.h>

#include "bt/base/bytes.h"
#include "bt/base/str.h"
#include "bt/wire/object_graph.h"
#include "fuzz_targets.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    bt_graph graph;
    bt_graph again;
    bt_str   bytes = BT_STR_INIT;
    if (bt_graph_parse((bt_bytes){data, size}, &graph, NULL) != BT_OK) {
        return 0;
    }
    if (bt_graph_serialize(&graph, &bytes, NULL) != BT_OK ||
        bt_graph_parse((bt_bytes){(const uint8_t *)bytes.data, bytes.len}, &again, NULL) != BT_OK ||
        again.n_nodes != graph.n_nodes) {
        abort();
    }
    bt_graph_deinit(&again);
    bt_graph_deinit(&graph);
    bt_str_deinit(&bytes);
    return 0;
}
