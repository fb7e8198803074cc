/* SPDX-License-Identifier: Apache-2.0
 *
 * Where requests to Amazon's services go, and when it is there: region, endpoints and the form of
 * addresses, from the variables and the profile; the clock. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "aws.h"
#include "bt/base/time.h"
#include "fs_internal.h"
#include "secrets.h"

enum { MAX_REGION = 40, MAX_SETTING = 1024 };

static pthread_once_t  once = PTHREAD_ONCE_INIT;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static double          clock_offset; /* under lock */
/* written once */
static char region[MAX_REGION] = "us-east-1";
static char endpoints[2][MAX_SETTING]; /* s3, sts */
static char addressing[16];

double aws_time(void) {
    pthread_mutex_lock(&lock);
    const double now = bt_time_unix() + clock_offset;
    pthread_mutex_unlock(&lock);
    return now;
}

void aws_set_time(double now) {
    pthread_mutex_lock(&lock);
    clock_offset = now - bt_time_unix();
    pthread_mutex_unlock(&lock);
}

bool aws_is_region(const char *text) {
    const size_t n = strlen(text);
    return n > 0 && n < MAX_REGION && strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-") == n;
}

static void keep(char *out, size_t cap, const char *text) {
    (void)snprintf(out, cap, "%s", text != NULL && strlen(text) < cap ? text : "");
}

static const char *first(const char *a, const char *b) {
    return a != NULL ? a : b;
}

/* The variables, then the profile's [services], then the profile. */
static void find_endpoint(const aws_profiles *profiles, const char *variable, const char *key,
                          char out[MAX_SETTING]) {
    if (bt_str_equal_nocase(aws_env("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"), "true")) {
        return;
    }
    const char *const said = first(aws_env(variable), aws_env("AWS_ENDPOINT_URL"));
    const char *const configured =
        profiles->name == NULL ? NULL
                               : first(aws_services_get(profiles, key),
                                       aws_profile_get(profiles, profiles->name, "endpoint_url"));
    keep(out, MAX_SETTING, first(said, configured));
}

/* A profile that cannot be read is told of where credentials are looked for. */
static void load(void) {
    aws_profiles profiles = {0};
    bt_error     problem = BT_ERROR_INIT;
    if (aws_profiles_load(&profiles, &problem) != BT_OK) {
        profiles = (aws_profiles){0};
    }
    const char *const said = first(aws_env("AWS_REGION"), aws_env("AWS_DEFAULT_REGION"));
    const char *const configured =
        profiles.name != NULL ? aws_profile_get(&profiles, profiles.name, "region") : NULL;
    keep(region, sizeof region, first(first(said, configured), "us-east-1"));
    find_endpoint(&profiles, "AWS_ENDPOINT_URL_S3", "s3.endpoint_url", endpoints[0]);
    find_endpoint(&profiles, "AWS_ENDPOINT_URL_STS", "sts.endpoint_url", endpoints[1]);
    keep(addressing, sizeof addressing,
         profiles.name != NULL ? aws_profile_get(&profiles, profiles.name, "s3.addressing_style")
                               : NULL);
    aws_profiles_deinit(&profiles);
}

const char *aws_region(void) {
    (void)pthread_once(&once, load);
    return region;
}

const char *aws_endpoint(const char *service) {
    (void)pthread_once(&once, load);
    const char *const found = endpoints[strcmp(service, "s3") == 0 ? 0 : 1];
    return found[0] != '\0' ? found : NULL;
}

const char *aws_addressing(void) {
    (void)pthread_once(&once, load);
    return addressing[0] != '\0' ? addressing : NULL;
}

bt_status aws_check_endpoint(const char *url, bt_error *err) {
    if (strpbrk(url, "?#") != NULL) {
        return BT_FAIL(err, BT_E_CONFIG, "AWS_ENDPOINT_URL: expected a URL without '?' and '#'");
    }
    return http_check_private("AWS_ENDPOINT_URL (or endpoint_url of the profile)", url, err);
}
