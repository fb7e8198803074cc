/* SPDX-License-Identifier: Apache-2.0
 *
 * The one program that times training steps, on the processor and on devices; its flags say of
 * what. Prints one JSON object. See docs/performance.md. */
#include <inttypes.h>

#include "bench_step.h"
#include "bt/base/str.h"
#include "bt/cli.h"

static const char *const models[] = {"minilm", "base", "large", NULL};
static const char *const heads[] = {"classes", "spans", NULL};
static const char *const products[] = {"auto", "blas", "bf16", "f32", NULL};
static const char *const weights[] = {"normal", "denormal", "nan", NULL};
static const char *const attentions[] = {"auto", "xla", "triton", NULL};

static const step_dims dims[] = {
    {.layers = 6, .hidden = 384, .heads = 12, .intermediate = 1536},
    {.layers = 12, .hidden = 768, .heads = 12, .intermediate = 3072},
    {.layers = 24, .hidden = 1024, .heads = 16, .intermediate = 4096},
};

static const bt_flag_def flag_defs[] = {
    {.name = "model",
     .kind = BT_FLAG_ENUM,
     .choices = models,
     .default_text = "minilm",
     .help = "dims of all-MiniLM-L6-v2, BERT-base or BERT-large"},
    {.name = "layers", .kind = BT_FLAG_INT, .help = "instead of the model's"},
    {.name = "hidden", .kind = BT_FLAG_INT, .help = "instead of the model's"},
    {.name = "heads", .kind = BT_FLAG_INT, .help = "instead of the model's"},
    {.name = "intermediate", .kind = BT_FLAG_INT, .help = "instead of the model's"},
    {.name = "vocab", .kind = BT_FLAG_INT, .default_text = "30522", .help = "word pieces"},
    {.name = "head",
     .kind = BT_FLAG_ENUM,
     .choices = heads,
     .default_text = "classes",
     .help = "two classes of a sequence, or starts and ends of spans"},
    {.name = "lengths",
     .kind = BT_FLAG_STRING,
     .default_text = "mrpc",
     .help = "of the sequences: spread as those of mrpc, sst2 or cola are, in 4 batches; or "
             "12,30,...: one batch, again and again"},
    {.name = "length", .kind = BT_FLAG_INT, .default_text = "128", .help = "the greatest"},
    {.name = "batch", .kind = BT_FLAG_INT, .default_text = "32", .help = "sequences"},
    {.name = "products",
     .kind = BT_FLAG_ENUM,
     .choices = products,
     .default_text = "auto",
     .help = "large matrix products: f32 or bf16 of our own, or of a BLAS; auto: f32, on a device "
             "bf16"},
    {.name = "recompute", .kind = BT_FLAG_BOOL, .default_text = "false", .help = "less memory"},
    {.name = "weights",
     .kind = BT_FLAG_ENUM,
     .choices = weights,
     .default_text = "normal",
     .help = "what a processor may find hard"},
    {.name = "steps", .kind = BT_FLAG_INT, .default_text = "20", .help = "of a round"},
    {.name = "rounds",
     .kind = BT_FLAG_INT,
     .default_text = "3",
     .help = "of steps and of their bare products in BLAS, in turns"},
    {.name = "threads", .kind = BT_FLAG_INT, .default_text = "0", .help = "0: one a core"},
    {.name = "isa", .kind = BT_FLAG_STRING, .default_text = "auto", .help = "instruction set"},
    {.name = "plugin",
     .kind = BT_FLAG_STRING,
     .is_path = true,
     .help = "of PJRT: the steps run on its first device, without rounds"},
    {.name = "seconds", .kind = BT_FLAG_FLOAT, .default_text = "5", .help = "of steps there"},
    {.name = "attention",
     .kind = BT_FLAG_ENUM,
     .choices = attentions,
     .default_text = "auto",
     .help = "on a device"},
    {.name = "cache",
     .kind = BT_FLAG_STRING,
     .is_path = true,
     .help = "folder of compiled programs"},
    {.name = "product",
     .kind = BT_FLAG_INT,
     .help = "--plugin: no steps, but how fast it multiplies [N,N] by [N,N] in bfloat16"},
};
static const bt_flag_table flag_table = {
    .program = "bench_step",
    .summary = "bench_step: times training steps with dropout, AdamW and clipping.\n"
               "\n"
               "bench_step --model=base --lengths=mrpc --threads=2      on the processor\n"
               "bench_step --plugin=PATH --lengths=12,30,8 --length=384 --head=spans\n"
               "bench_step --plugin=PATH --product=8192                 a device's yardstick",
    .defs = flag_defs,
    .n_defs = BT_ARRAY_LEN(flag_defs)};

static bt_status check_range(const bt_flags *flags, const char *name, int64_t least, int64_t most,
                             int64_t *value, bt_error *err) {
    if (bt_flags_is_set(flags, name)) {
        *value = bt_flags_int(flags, name);
    }
    return *value >= least && *value <= most
               ? BT_OK
               : BT_FAIL(err, BT_E_CONFIG, "--%s=%" PRId64 ": expected %" PRId64 " to %" PRId64,
                         name, *value, least, most);
}

static bt_status read_dims(const bt_flags *flags, step_options *o, bt_error *err) {
    size_t i = 0;
    while (!bt_str_equal(models[i], o->model)) {
        i++;
    }
    o->dims = dims[i];
    o->dims.has_spans = bt_str_equal(bt_flags_string(flags, "head"), "spans");
    BT_TRY(check_range(flags, "layers", 1, 1000, &o->dims.layers, err));
    BT_TRY(check_range(flags, "hidden", 1, 1 << 16, &o->dims.hidden, err));
    BT_TRY(check_range(flags, "heads", 1, 1024, &o->dims.heads, err));
    BT_TRY(check_range(flags, "intermediate", 1, 1 << 18, &o->dims.intermediate, err));
    BT_TRY(check_range(flags, "vocab", 2, INT32_MAX, &o->dims.vocab, err));
    BT_TRY(check_range(flags, "length", 2, 1 << 16, &o->length, err));
    o->dims.positions = o->length > 512 ? o->length : 512;
    return BT_OK;
}

static bt_status read_options(const bt_flags *flags, step_options *o, bt_error *err) {
    *o = (step_options){.model = bt_flags_string(flags, "model"),
                        .lengths = bt_flags_string(flags, "lengths"),
                        .isa = bt_flags_string(flags, "isa"),
                        .products = bt_flags_string(flags, "products"),
                        .weights = bt_flags_string(flags, "weights"),
                        .plugin = bt_flags_string(flags, "plugin"),
                        .cache = bt_flags_string(flags, "cache"),
                        .attention = bt_flags_string(flags, "attention"),
                        .seconds = bt_flags_float(flags, "seconds"),
                        .recompute = bt_flags_bool(flags, "recompute")};
    BT_TRY(read_dims(flags, o, err));
    BT_TRY(check_range(flags, "batch", 1, MAX_BATCH, &o->batch, err));
    BT_TRY(check_range(flags, "steps", 1, MAX_STEPS, &o->steps, err));
    BT_TRY(check_range(flags, "rounds", 1, MAX_ROUNDS, &o->rounds, err));
    BT_TRY(check_range(flags, "threads", 0, 1024, &o->threads, err));
    BT_TRY(check_range(flags, "product", 0, 1 << 16, &o->product, err));
    if (o->plugin == NULL && o->product > 0) {
        return BT_FAIL(err, BT_E_CONFIG, "--product is measured on a device: name its --plugin");
    }
    if (o->plugin != NULL && bt_str_equal(o->products, "blas")) {
        return BT_FAIL(err, BT_E_CONFIG, "--products=blas is for the processor, not for a device");
    }
    return BT_OK;
}

static bt_status run(const bt_flags *flags, int *status, bt_error *err) {
    bt_status       rc = BT_OK;
    bt_pjrt_plugin *plugin = NULL;
    bt_pjrt_client *client = NULL;
    bt_str          out = BT_STR_INIT;
    step_options    o;
    (void)status;
    BT_TRY(read_options(flags, &o, err));
    if (o.plugin != NULL) {
        BT_CHECK(bt_pjrt_plugin_open(o.plugin, BT_PJRT_TO_RUN, &plugin, err));
        BT_CHECK(bt_pjrt_client_create(plugin, NULL, 0, &client, err));
    }
    BT_CHECK(o.product > 0 ? measure_product(&o, client, &out, err)
                           : measure_steps(&o, client, &out, err));
    rc = bt_cli_print(&out, BT_READER_NEEDS_ALL, err);
done:
    bt_str_deinit(&out);
    bt_pjrt_client_free(client);
    bt_pjrt_plugin_close(plugin);
    return rc;
}

int main(int argc, char **argv) {
    static const bt_cli_program program = {
        .flags = &flag_table, .append_build_info = bt_pjrt_append_build_info, .run = run};
    return bt_cli_run(&program, argc, argv);
}
