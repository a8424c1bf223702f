/*
 * The reflector without a network: what it asks, what it makes of the answers, and whether what its owner knows ends as what the server
 * has.
 */
#include "shared/base/map.h"
#include "shared/kube/reflector.h"
#include "tests/unit/shared/base/failing_alloc.h"
#include "tests/unit/shared/base/test.h"
#include <errno.h>

struct scene {
    struct reflector r;
    struct rng rng;
    struct map have, staged; /* name -> version, as told */
    uint64_t now_ms, wait_ms;
    unsigned begun, listed, put, removed;
    bool listing;
    int refuse; /* what put() answers */
    char path[REFLECTOR_PATH_MAX];
};

static void begin(struct reflector *r)
{
    struct scene *s = r->user;
    map_done(&s->staged, free);
    map_init(&s->staged, 0);
    s->begun++;
    s->listing = true;
}

/* In place of what was known by that name. */
static int remember(struct map *m, struct text name, struct text version)
{
    void *old = NULL;
    char *copy = text_dup(version);
    if (!copy)
        return -ENOMEM;
    if (map_put(m, name, copy, &old) < 0) {
        free(copy);
        return -ENOMEM;
    }
    free(old);
    return 0;
}

static int put(struct reflector *r, const struct json *object)
{
    struct scene *s = r->user;
    if (s->refuse)
        return s->refuse;
    int error = remember(s->listing ? &s->staged : &s->have,
                         json_text(json_get(object, "metadata.name")),
                         json_text(json_get(object, "metadata.resourceVersion")));
    s->put += error == 0;
    return error;
}

static int listed(struct reflector *r)
{
    struct scene *s = r->user;
    const struct map_entry *e;
    for (size_t i = 0; (e = map_next(&s->staged, &i));)
        if (remember(&s->have, (struct text){e->key, e->key_len}, text_of(e->value)) < 0)
            return -ENOMEM;
    s->listing = false;
    s->listed++;
    return 0;
}

static void removed(struct reflector *r, const char *ns, const char *name)
{
    struct scene *s = r->user;
    assert_string_equal(ns, "n");
    free(map_remove(&s->have, text_of(name)));
    s->removed++;
}

static const struct reflector_events events = {begin, put, listed, removed};

static void scene_begin(struct scene *s)
{
    *s = (struct scene){0};
    rng_seed(&s->rng, 7);
    map_init(&s->have, 0);
    map_init(&s->staged, 0);
    reflector_init(&s->r, "/api/v1/pods", 2, &s->rng, &events, s);
}

static void scene_end(struct scene *s)
{
    reflector_done(&s->r);
    map_done(&s->have, free);
    map_done(&s->staged, free);
}

static const char *ask(struct scene *s)
{
    struct text_out out = TEXT_OUT(s->path);
    reflector_ask(&s->r, s->now_ms, &out);
    return s->path;
}

/* Answers the question; the wait before the next. */
static uint64_t answer(struct scene *s, unsigned status, const char *body)
{
    reflector_bytes(&s->r, status, text_of(body));
    return s->wait_ms = reflector_answered(&s->r, s->now_ms, 0, status, 0);
}

#define OBJECT(name, version)                                                                      \
    "{\"metadata\":{\"namespace\":\"n\",\"name\":\"" name "\",\"uid\":\"u-" name                   \
    "\",\"resourceVersion\":\"" version "\"}}"
#define LIST(version, next, items)                                                                 \
    "{\"metadata\":{\"resourceVersion\":\"" version "\",\"continue\":\"" next                      \
    "\"},\"items\":[" items "]}"
#define EVENT(type, object) "{\"type\":\"" type "\",\"object\":" object "}\n"
#define BOOKMARK(version)   EVENT("BOOKMARK", "{\"metadata\":{\"resourceVersion\":\"" version "\"}}")
#define ERROR(code)         EVENT("ERROR", "{\"kind\":\"Status\",\"code\":" code "}")

static const char *have(const struct scene *s, const char *name)
{
    const char *version = map_get(&s->have, text_of(name));
    return version ? version : "-";
}

static void begin_with(struct scene *s, const char *list)
{
    scene_begin(s);
    ask(s);
    assert_int_equal(answer(s, 200, list), 0);
    assert_int_equal(s->listed, 1);
}

static void lists_in_pages_then_watches(void **state)
{
    struct scene s;
    (void)state;
    scene_begin(&s);
    assert_string_equal(ask(&s), "/api/v1/pods?limit=2&resourceVersion=0");
    assert_int_equal(answer(&s, 200, LIST("9&x", "to/ken", OBJECT("a", "1") "," OBJECT("b", "2"))),
                     0);
    assert_int_equal(s.listed, 0);
    assert_string_equal(ask(&s), "/api/v1/pods?limit=2&continue=to%2Fken");
    assert_int_equal(answer(&s, 200, LIST("9&x", "", OBJECT("c", "3"))), 0);
    assert_int_equal(s.begun, 1);
    assert_int_equal(s.have.count, 3);
    assert_non_null(strstr(ask(&s), "?watch=1&allowWatchBookmarks=true&resourceVersion=9%26x&"));
    scene_end(&s);
}

static void events_move_the_version(void **state)
{
    struct scene s;
    (void)state;
    begin_with(&s, LIST("9", "", OBJECT("a", "1")));
    ask(&s);
    assert_int_equal(answer(&s, 200,
                            EVENT("ADDED", OBJECT("b", "77")) EVENT("MODIFIED", OBJECT("a", "3"))
                                BOOKMARK("5")),
                     0);
    assert_string_equal(have(&s, "a"), "3");
    assert_string_equal(have(&s, "b"), "77");
    assert_non_null(strstr(ask(&s), "resourceVersion=5&")); /* a smaller number, and newer */
    answer(&s, 200, EVENT("DELETED", OBJECT("b", "4")) "{\"type\":\"ADDED\",\"object\":{\"meta");
    assert_string_equal(have(&s, "b"), "-");
    assert_non_null(strstr(ask(&s), "resourceVersion=4&")); /* half a line counts for nothing */
    scene_end(&s);
}

static void what_went_in_a_gap_is_removed(void **state)
{
    struct scene s;
    (void)state;
    for (unsigned as_event = 0; as_event < 2; as_event++) {
        begin_with(&s, LIST("9", "", OBJECT("a", "1") "," OBJECT("b", "2")));
        ask(&s);
        assert_in_range(as_event ? answer(&s, 200, ERROR("410")) : answer(&s, 410, "{}"),
                        REFLECTOR_BACKOFF_MIN_MS, REFLECTOR_BACKOFF_MAX_MS);
        assert_string_equal(
            ask(&s), "/api/v1/pods?limit=2&resourceVersion=9&resourceVersionMatch=NotOlderThan");
        assert_int_equal(answer(&s, 200, LIST("10", "more", OBJECT("c", "3"))), 0);
        assert_string_equal(have(&s, "c"), "-"); /* not before it is whole */
        ask(&s);
        assert_int_equal(answer(&s, 200, LIST("10", "", OBJECT("b", "2"))), 0);
        assert_string_equal(have(&s, "a"), "-");
        assert_string_equal(have(&s, "b"), "2");
        assert_string_equal(have(&s, "c"), "3");
        assert_int_equal(s.put, 3); /* b was not told again */
        assert_int_equal(s.removed, 1);
        assert_int_equal(s.r.counters.relists[RELIST_EXPIRED], 1);
        scene_end(&s);
    }
}

static void lists_that_fail_change_nothing(void **state)
{
    static const char *const bad[] = {"",
                                      "{\"items\":[",
                                      "[]",
                                      LIST("", "", OBJECT("c", "3")),
                                      LIST("10", "", "{}"),
                                      LIST("10", "", OBJECT("c", "3") ",nothing"),
                                      "{\"metadata\":{},\"items\":[]}"};
    struct scene s;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        begin_with(&s, LIST("9", "", OBJECT("a", "1")));
        ask(&s);
        answer(&s, 410, "");
        ask(&s);
        assert_in_range(answer(&s, 200, bad[i]), REFLECTOR_BACKOFF_MIN_MS,
                        REFLECTOR_BACKOFF_MAX_MS);
        assert_int_equal(s.have.count, 1);
        assert_string_equal(have(&s, "a"), "1");
        ask(&s);
        assert_int_equal(answer(&s, 200, LIST("11", "", OBJECT("d", "4"))), 0);
        assert_int_equal(s.have.count, 1);
        assert_string_equal(have(&s, "d"), "4");
        assert_int_equal(s.r.counters.relists[RELIST_EXPIRED], 1);
        scene_end(&s);
    }
}

static void expired_pages_begin_anew_from_storage(void **state)
{
    struct scene s;
    (void)state;
    begin_with(&s, LIST("9", "", OBJECT("a", "1")));
    ask(&s);
    answer(&s, 410, "");
    ask(&s);
    answer(&s, 200, LIST("10", "more", OBJECT("c", "3")));
    ask(&s);
    answer(&s, 410, "{\"kind\":\"Status\",\"code\":410,\"reason\":\"Expired\"}");
    assert_string_equal(ask(&s), "/api/v1/pods?limit=2");
    answer(&s, 200, LIST("12", "", OBJECT("d", "4")));
    assert_int_equal(s.have.count, 1);
    assert_string_equal(have(&s, "d"), "4");
    scene_end(&s);
}

static void versions_that_the_server_lacks(void **state)
{
    struct scene s;
    (void)state;
    begin_with(&s, LIST("9", "", OBJECT("a", "1")));
    ask(&s);
    answer(&s, 410, "");
    ask(&s);
    answer(&s, 504,
           "{\"kind\":\"Status\",\"code\":504,\"message\":\"Too large resource version: 9\"}");
    assert_string_equal(ask(&s), "/api/v1/pods?limit=2");
    scene_end(&s);
}

static void twice_and_old(void **state)
{
    struct scene s;
    (void)state;
    begin_with(&s, LIST("9", "", OBJECT("a", "1")));
    ask(&s);
    answer(&s, 200,
           EVENT("MODIFIED", OBJECT("a", "1")) EVENT("DELETED", OBJECT("x", "2"))
               EVENT("DELETED", "{\"metadata\":{\"namespace\":\"n\",\"name\":\"a\",\"uid\":\"old\","
                                "\"resourceVersion\":\"3\"}}"));
    assert_string_equal(have(&s, "a"), "1");
    assert_int_equal(s.put, 1);
    assert_int_equal(s.removed, 0);
    assert_int_equal(s.r.counters.duplicates, 3);
    scene_end(&s);
}

static void other_errors_go_on_from_where_it_was(void **state)
{
    static const char *const broken[] = {ERROR("500"), "no json\n", EVENT("ADDED", "{}"),
                                         EVENT("STRANGE", OBJECT("b", "3")),
                                         EVENT("BOOKMARK", "{}")};
    struct scene s;
    (void)state;
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        begin_with(&s, LIST("9", "", OBJECT("a", "1")));
        for (unsigned time = 0; time < 2; time++) {
            assert_non_null(strstr(ask(&s), "watch=1&allowWatchBookmarks=true&resourceVersion=9&"));
            assert_false(reflector_bytes(&s.r, 200, text_of(broken[i])));
            reflector_answered(&s.r, s.now_ms, 0, 200, 0);
        }
        ask(&s);
        answer(&s, 200, broken[i]);
        assert_null(strstr(ask(&s), "watch=1"));
        assert_int_equal(s.r.counters.relists[RELIST_BROKEN], 1);
        assert_int_equal(s.r.counters.watch_errors, 3);
        scene_end(&s);
    }
}

static void waits_grow_and_start_over(void **state)
{
    struct scene s;
    uint64_t total = 0;
    (void)state;
    begin_with(&s, LIST("9", "", OBJECT("a", "1")));
    for (unsigned i = 0; i < 40; i++) {
        ask(&s);
        uint64_t wait_ms = reflector_answered(&s.r, s.now_ms, -ECONNREFUSED, 0, 0);
        assert_in_range(wait_ms, REFLECTOR_BACKOFF_MIN_MS, REFLECTOR_BACKOFF_MAX_MS);
        total += i >= 20 ? wait_ms : 0;
    }
    assert_in_range(total / 20, 12000, 28000);
    ask(&s);
    reflector_bytes(&s.r, 200, text_of(BOOKMARK("10")));
    assert_in_range(reflector_answered(&s.r, s.now_ms, -EIO, 200, 0), 500, 1500);
    ask(&s);
    assert_in_range(reflector_answered(&s.r, s.now_ms, 0, 429, 7000), 7000, 7500);
    ask(&s);
    assert_in_range(answer(&s, 503, "{\"details\":{\"retryAfterSeconds\":9}}"), 9000, 9500);
    ask(&s);
    assert_in_range(reflector_answered(&s.r, s.now_ms, 0, 429, 99999000), 300000, 300500);
    for (unsigned reason = 1; reason < RELIST_REASON_COUNT; reason++)
        assert_int_equal(s.r.counters.relists[reason], 0);
    scene_end(&s);
}

static void long_watches_are_no_failures(void **state)
{
    struct scene s;
    (void)state;
    begin_with(&s, LIST("9", "", OBJECT("a", "1")));
    ask(&s);
    assert_in_range(answer(&s, 200, ""), 500, 1500); /* ended at once, with nothing said */
    ask(&s);
    s.now_ms += 60000;
    assert_int_equal(answer(&s, 200, ""), 0);
    assert_int_equal(s.r.counters.watch_errors, 0);
    scene_end(&s);
}

static void silence_of_one_that_spoke(void **state)
{
    struct scene s;
    (void)state;
    for (unsigned spoke = 0; spoke < 2; spoke++) {
        begin_with(&s, LIST("9", "", OBJECT("a", "1")));
        ask(&s);
        answer(&s, 200, spoke ? BOOKMARK("10") : "");
        for (unsigned i = 0; i < 2; i++) {
            assert_non_null(strstr(ask(&s), "watch=1"));
            s.now_ms += 120000;
            reflector_answered(&s.r, s.now_ms, -ETIMEDOUT, 200, 0);
        }
        assert_int_equal(s.r.counters.relists[RELIST_SILENT], spoke);
        scene_end(&s);
    }
}

/* Each allocation fails in turn: in the end all the same is known. */
static void without_memory(void **state)
{
    (void)state;
    bool failed = true;
    for (long n = 0; failed; n++) {
        struct scene s;
        scene_begin(&s);
        alloc_fail_at(n);
        for (unsigned i = 0; i < 12; i++) {
            bool is_list = s.r.question == REFLECTOR_LIST;
            const char *path = ask(&s), *body = LIST("9", "more", OBJECT("a", "1"));
            if (is_list && s.r.next_page)
                body = LIST("9", "", OBJECT("b", "2"));
            else if (strstr(path, "watch=1") && strstr(path, "resourceVersion=9&"))
                body = EVENT("ADDED", OBJECT("c", "3")) EVENT("DELETED", OBJECT("a", "4"));
            else if (!is_list) /* the server tells a thing once */
                body = strstr(path, "resourceVersion=3&") ? EVENT("DELETED", OBJECT("a", "4")) : "";
            answer(&s, 200, body);
        }
        failed = alloc_failed();
        assert_int_equal(s.have.count, 2);
        assert_string_equal(have(&s, "b"), "2");
        assert_string_equal(have(&s, "c"), "3");
        scene_end(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_in_pages_then_watches),
        cmocka_unit_test(events_move_the_version),
        cmocka_unit_test(what_went_in_a_gap_is_removed),
        cmocka_unit_test(lists_that_fail_change_nothing),
        cmocka_unit_test(expired_pages_begin_anew_from_storage),
        cmocka_unit_test(versions_that_the_server_lacks),
        cmocka_unit_test(twice_and_old),
        cmocka_unit_test(other_errors_go_on_from_where_it_was),
        cmocka_unit_test(waits_grow_and_start_over),
        cmocka_unit_test(long_watches_are_no_failures),
        cmocka_unit_test(silence_of_one_that_spoke),
        cmocka_unit_test(without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
