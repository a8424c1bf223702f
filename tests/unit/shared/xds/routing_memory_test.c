/*
 * Memory that runs out at any place of the codecs of Envoy's resources is told, and nothing else
 * comes of it. The values are the fuzzer's seeds, which have every field. Arenas take memory by the
 * block: a name that grows moves the ends of the blocks over all places.
 */
#include "shared/xds/routing.h"
#include "tests/unit/shared/base/failing_alloc.h"
#include "tests/unit/shared/base/test.h"
#include <errno.h>

#define SEEDS "tests/fuzz/corpus/xds_routing/"
enum { SEED_MAX = 4096, NAME_STEP = 8, ENCODE_NAME_MAX = 8192, DECODE_NAME_MAX = 512 };

struct codec {
    int (*decode)(const uint8_t *data, size_t len, void **ret, char *why);
    int (*encode)(const void *value, struct xds_bytes *ret);
    void (*rename)(void *value, struct text name);
    void (*free)(void *value);
};

/* ---- The four ------------------------------------------------------------------------------- */

static int decode_routes(const uint8_t *data, size_t len, void **ret, char *why)
{
    return xds_routes_decode(data, len, (struct route_table **)ret, why);
}

static int encode_routes(const void *value, struct xds_bytes *ret)
{
    return xds_routes_encode(value, ret);
}

static void rename_routes(void *value, struct text name)
{
    ((struct route_table *)value)->name = name;
}

static void free_routes(void *value)
{
    (void)route_table_unref(value);
}

static int decode_cluster(const uint8_t *data, size_t len, void **ret, char *why)
{
    return xds_cluster_decode(data, len, (struct cluster **)ret, why);
}

static int encode_cluster(const void *value, struct xds_bytes *ret)
{
    return xds_cluster_encode(value, ret);
}

static void rename_cluster(void *value, struct text name)
{
    ((struct cluster *)value)->name = name;
}

static void free_cluster(void *value)
{
    (void)cluster_free(value);
}

static int decode_endpoints(const uint8_t *data, size_t len, void **ret, char *why)
{
    return xds_endpoints_decode(data, len, (struct endpoints **)ret, why);
}

static int encode_endpoints(const void *value, struct xds_bytes *ret)
{
    return xds_endpoints_encode(value, ret);
}

static void rename_endpoints(void *value, struct text name)
{
    ((struct endpoints *)value)->name = name;
}

static void free_endpoints(void *value)
{
    (void)endpoints_free(value);
}

static struct api_listener listeners[2]; /* the seed's, and one that is decoded from it */

static int decode_listener(const uint8_t *data, size_t len, void **ret, char *why)
{
    *ret = &listeners[listeners[0].name != NULL];
    return xds_listener_decode(data, len, *ret, why);
}

static int encode_listener(const void *value, struct xds_bytes *ret)
{
    return xds_listener_encode(value, ret);
}

static void rename_listener(void *value, struct text name)
{
    struct api_listener *l = value;
    free(l->name);
    assert_non_null(l->name = text_dup(name));
}

static void free_listener(void *value)
{
    api_listener_done(value);
}

/* ---- Failures ------------------------------------------------------------------------------- */

static void *seed(const struct codec *codec, const char *path)
{
    uint8_t bytes[SEED_MAX];
    char why[XDS_WHY_MAX];
    void *value = NULL;
    FILE *f = fopen(path, "re");
    if (!f)
        fail_msg("%s: %s", path, strerror(errno));
    size_t n = fread(bytes, 1, sizeof bytes, f);
    (void)fclose(f);
    assert_true(n > 1 && n < sizeof bytes);
    if (codec->decode(bytes + 1, n - 1, &value, why) < 0) /* the first says which */
        fail_msg("%s: %s", path, why);
    return value;
}

/* Each allocation fails in turn. */
static void encode(const struct codec *codec, const void *value, struct xds_bytes *ret)
{
    bool failed = true;
    for (long n = 0; failed; n++) {
        alloc_fail_at(n);
        int r = codec->encode(value, ret);
        failed = alloc_failed();
        assert_int_equal(r, failed ? -ENOMEM : 0);
    }
}

static void decode(const struct codec *codec, const struct xds_bytes *bytes)
{
    char why[XDS_WHY_MAX];
    void *back = NULL;
    bool failed = true;
    for (long n = 0; failed; n++) {
        alloc_fail_at(n);
        int r = codec->decode(bytes->data, bytes->len, &back, why);
        failed = alloc_failed();
        if (r != (failed ? -ENOMEM : 0))
            fail_msg("%d: %s", r, why);
    }
    codec->free(back);
}

static void all_places(const struct codec *codec, const char *path, size_t decode_step)
{
    char name[ENCODE_NAME_MAX];
    void *value = seed(codec, path);
    memset(name, 'n', sizeof name);
    for (size_t len = 1; len < sizeof name; len += NAME_STEP) {
        struct xds_bytes bytes;
        codec->rename(value, (struct text){name, len});
        encode(codec, value, &bytes);
        if (len < DECODE_NAME_MAX && (len - 1) % decode_step == 0)
            decode(codec, &bytes);
        xds_bytes_done(&bytes);
    }
    codec->free(value);
}

static void routes(void **state)
{
    const struct codec codec = {decode_routes, encode_routes, rename_routes, free_routes};
    (void)state;
    all_places(&codec, SEEDS "routes", DECODE_NAME_MAX);
}

static void clusters(void **state)
{
    const struct codec codec = {decode_cluster, encode_cluster, rename_cluster, free_cluster};
    (void)state;
    all_places(&codec, SEEDS "cluster", NAME_STEP);
    all_places(&codec, SEEDS "cluster_mesh_tls", NAME_STEP);
}

static void endpoints(void **state)
{
    const struct codec codec = {decode_endpoints, encode_endpoints, rename_endpoints,
                                free_endpoints};
    (void)state;
    all_places(&codec, SEEDS "endpoints", NAME_STEP);
}

static void listener(void **state)
{
    const struct codec codec = {decode_listener, encode_listener, rename_listener, free_listener};
    (void)state;
    all_places(&codec, SEEDS "listener", NAME_STEP);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(routes), cmocka_unit_test(clusters),
                                       cmocka_unit_test(endpoints), cmocka_unit_test(listener)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
