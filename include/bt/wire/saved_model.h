/* SPDX-License-Identifier: Apache-2.0
 *
 * SavedModel: what Keras wrote about its objects. */
#ifndef BT_WIRE_SAVED_MODEL_H
#define BT_WIRE_SAVED_MODEL_H

#include "bt/base/bytes.h"
#include "bt/base/status.h"

typedef bt_status (*bt_saved_model_text_fn)(void *context, bt_bytes json, bt_error *err);
/* Calls visit with each JSON text that Keras left about an object, in the bytes of
 * keras_metadata.pb or of saved_model.pb (older exports). BT_E_FORMAT when they are no such
 * messages. */
BT_MUST_USE bt_status bt_saved_model_texts(bt_bytes bytes, bool is_keras_metadata,
                                           bt_saved_model_text_fn visit, void *context,
                                           bt_error *err);

#endif
