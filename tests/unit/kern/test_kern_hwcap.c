/* SPDX-License-Identifier: Apache-2.0
 *
 * 64-bit ARM: which kernels are chosen for what the operating system says that the processor has,
 * feature by feature: emulated processors have them in few combinations. The linker makes this
 * getauxval stand for libc's (--wrap); what is chosen is not run. */
#include <string.h>
#include <sys/auxv.h>

#include "bt/base/crc32c.h"
#include "bt/kern.h"
#include "bt/kern/int8.h"
#include "test_support.h"

/* Bits of Linux's asm/hwcap.h, which are for ever. */
enum {
    ASIMD = 1 << 1,
    CRC = 1 << 7,
    ASIMDDP = 1 << 20,
    I8MM = 1 << 13, /* of AT_HWCAP2, as the next */
    BF16 = 1 << 14,
};

static unsigned long hwcap, hwcap2;

/* the linker's names */
unsigned long __real_getauxval(unsigned long type);
unsigned long __wrap_getauxval(unsigned long type);

unsigned long __wrap_getauxval(unsigned long type) {
    return type == AT_HWCAP ? hwcap : type == AT_HWCAP2 ? hwcap2 : __real_getauxval(type);
}

static const struct {
    unsigned long hwcap, hwcap2;
    const char   *isa, *bf16, *int8;
    bool          has_crc;
} rows[] = {
    {0, 0, "ref", "bfloat16 by rounding", "int8", false},
    {CRC, 0, "ref", "bfloat16 by rounding", "int8", true},
    {ASIMD, 0, "neon", "bfloat16 by rounding", "int8", false},
    {ASIMD | CRC, 0, "neon", "bfloat16 by rounding", "int8", true}, /* Cortex-A72 */
    {ASIMD | CRC | ASIMDDP, 0, "neon", "bfloat16 by rounding", "int8 (SDOT)",
     true}, /* Neoverse N1 */
    {ASIMD | CRC | ASIMDDP, BF16, "neon", "bfloat16 (BFMMLA)", "int8 (SDOT)", true},
    {ASIMD | CRC | ASIMDDP, I8MM, "neon", "bfloat16 by rounding", "int8 (USMMLA)", true},
    {ASIMD | CRC, I8MM, "neon", "bfloat16 by rounding", "int8 (USMMLA)", true},
    {ASIMD | CRC | ASIMDDP, I8MM | BF16, "neon", "bfloat16 (BFMMLA)", "int8 (USMMLA)", true},
    {~(unsigned long)(ASIMD | CRC | ASIMDDP), ~(unsigned long)(I8MM | BF16), "ref",
     "bfloat16 by rounding", "int8", false}, /* everything else */
};

static void test_what_is_there_is_chosen(void **state) {
    (void)state;
    for (size_t i = 0; i < BT_ARRAY_LEN(rows); i++) {
        bt_kern kern;
        hwcap = rows[i].hwcap;
        hwcap2 = rows[i].hwcap2;
        assert_ok(bt_kern_select("auto", &kern, err));
        assert_string_equal(kern.isa, rows[i].isa);
        assert_string_equal(kern.products[BT_PRECISION_BF16].name, rows[i].bf16);
        assert_string_equal(bt_kern_int8_choose(kern.isa)->name, rows[i].int8);
        assert_int_equal(bt_crc32c_has_instruction(), rows[i].has_crc);
        assert_int_equal(bt_crc32c(0, "123456789", 9), 0xe3069283);
    }
}

/* Asked for by name. */
static void test_what_is_not_there_is_refused(void **state) {
    (void)state;
    bt_kern kern;
    hwcap = ASIMD;
    hwcap2 = BF16;
    assert_ok(bt_kern_select("ref", &kern, err)); /* portable even so */
    assert_string_equal(kern.products[BT_PRECISION_BF16].name, "bfloat16 by rounding");
    assert_fails(bt_kern_select("avx512", &kern, err), BT_E_BACKEND,
                 "this program was built without kernels for it: choose auto, or of ref neon");
    hwcap = 0;
    assert_fails(bt_kern_select("neon", &kern, err), BT_E_BACKEND,
                 "this machine does not have it: choose auto, or of ref");
    assert_fails(bt_kern_select("sve", &kern, err), BT_E_CONFIG, "auto, ref, avx2, avx512 or neon");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_there_is_chosen),
        cmocka_unit_test(test_what_is_not_there_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
