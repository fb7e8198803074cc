/* SPDX-License-Identifier: Apache-2.0
 *
 * Options on their way to a plug-in: named values of clients and topologies, and the message
 * CompileOptionsProto of a compilation (proto/compile_options.proto). */
#include <string.h>

#include "bt/base/alloc.h"
#include "bt/proto.h"
#include "compile_options.pb-c.h"
#include "pjrt_internal.h"

bt_status pjrt_named_values(const bt_pjrt_option *options, size_t n, PJRT_NamedValue **out,
                            bt_error *err) {
    PJRT_NamedValue *const values = bt_calloc_array(n, sizeof *values);
    if (values == NULL) {
        return BT_FAIL(err, BT_E_NOMEM, "no memory for %zu options of a plug-in", n);
    }
    for (size_t i = 0; i < n; i++) {
        PJRT_NamedValue *const value = &values[i];
        value->struct_size = PJRT_NamedValue_STRUCT_SIZE;
        value->name = options[i].name;
        value->name_size = strlen(options[i].name);
        value->value_size = 1;
        switch (options[i].type) {
        case BT_PJRT_OPTION_TEXT:
            value->type = PJRT_NamedValue_kString;
            value->string_value = options[i].text;
            value->value_size = strlen(options[i].text);
            break;
        case BT_PJRT_OPTION_INT:
            value->type = PJRT_NamedValue_kInt64;
            value->int64_value = options[i].number;
            break;
        case BT_PJRT_OPTION_BOOL:
            value->type = PJRT_NamedValue_kBool;
            value->bool_value = options[i].number != 0;
            break;
        }
    }
    *out = values;
    return BT_OK;
}

/* A flag, its value and the pointer to it that the list of flags wants. */
typedef struct flag_message {
    BtXla__EnvOptionOverride   entry;
    BtXla__OptionOverrideProto value;
} flag_message;

static void set_flag(flag_message *message, const bt_pjrt_option *flag) {
    bt_xla__env_option_override__init(&message->entry);
    bt_xla__option_override_proto__init(&message->value);
    /* protobuf-c only reads what is packed, but its structs are not const */
    message->entry.key = (char *)(uintptr_t)flag->name;
    message->entry.value = &message->value;
    switch (flag->type) {
    case BT_PJRT_OPTION_TEXT:
        message->value.value_case = BT_XLA__OPTION_OVERRIDE_PROTO__VALUE_STRING_FIELD;
        message->value.string_field = (char *)(uintptr_t)flag->text;
        break;
    case BT_PJRT_OPTION_INT:
        message->value.value_case = BT_XLA__OPTION_OVERRIDE_PROTO__VALUE_INT_FIELD;
        message->value.int_field = flag->number;
        break;
    case BT_PJRT_OPTION_BOOL:
        message->value.value_case = BT_XLA__OPTION_OVERRIDE_PROTO__VALUE_BOOL_FIELD;
        message->value.bool_field = flag->number != 0;
        break;
    }
}

bt_status pjrt_append_compile_options(bt_str *out, const bt_pjrt_compile_options *options,
                                      bt_error *err) {
    BtXla__ExecutableBuildOptionsProto build;
    bt_xla__executable_build_options_proto__init(&build);
    build.num_replicas = options->n_replicas;
    build.num_partitions = 1;
    BtXla__CompileOptionsProto message;
    bt_xla__compile_options_proto__init(&message);
    message.executable_build_options = &build;

    bt_status                  rc = BT_OK;
    flag_message              *flags = bt_calloc_array(options->n_flags, sizeof *flags);
    BtXla__EnvOptionOverride **entries = bt_calloc_array(options->n_flags, sizeof *entries);
    if (flags == NULL || entries == NULL) {
        rc = BT_FAIL(err, BT_E_NOMEM, "no memory for %zu compile options", options->n_flags);
        goto done;
    }
    for (size_t i = 0; i < options->n_flags; i++) {
        set_flag(&flags[i], &options->flags[i]);
        entries[i] = &flags[i].entry;
    }
    message.n_env_option_overrides = options->n_flags;
    message.env_option_overrides = entries;
    rc = bt_proto_append(out, &message.base, err);
done:
    bt_free(flags);
    bt_free(entries);
    return rc;
}
