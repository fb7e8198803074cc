/* SPDX-License-Identifier: Apache-2.0
 *
 * tf.Example and its lists. */
#include "bt/base/bytes.h"
#include "bt/wire/example.h"
#include "fuzz_targets.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    bt_example     example = BT_EXAMPLE_INIT;
    const bt_bytes bytes = {data, size};
    int64_t        ints[8];
    float          floats[8];
    bt_bytes       texts[8];
    size_t         n = 0;
    if (bt_example_parse(&example, bytes, NULL) == BT_OK) {
        int n_good = 0;
        for (size_t i = 0; i < example.n; i++) {
            const bt_feature *const f = &example.features[i];
            n_good += bt_feature_read_i64(f, ints, 8, &n, NULL) == BT_OK;
            n_good += bt_feature_read_f32(f, floats, 8, &n, NULL) == BT_OK;
            n_good += bt_feature_read_bytes(f, texts, 8, &n, NULL) == BT_OK;
        }
        n_good += bt_example_get_i64(&example, "a", ints, 3, NULL) == BT_OK;
        n_good += bt_example_get_f32(&example, "f", floats, 3, NULL) == BT_OK;
        n_good += bt_example_get_bytes(&example, "s", texts, 1, NULL) == BT_OK;
        (void)n_good;
    }
    bt_example_deinit(&example);
    return 0;
}
