/* Retry policies, outlier detection and circuit breakers. */
#include "shared/mesh/breaker.h"
#include "shared/mesh/outlier.h"
#include "shared/mesh/retry_policy.h"

#include "tests/unit/shared/mesh/routes.h"

#include <errno.h>
#include <math.h>

/* ---- Retries. */

static void test_conditions_are_envoys_words(void **state)
{
    char why[WHY_MAX];
    uint32_t on;
    (void)state;
    assert_int_equal(retry_on_parse(TEXT("5xx,connect-failure , refused-stream"), &on, why), 0);
    assert_int_equal(on, RETRY_5XX | RETRY_CONNECT_FAILURE | RETRY_REFUSED_STREAM);
    assert_int_equal(retry_on_parse(TEXT(""), &on, why), 0);
    assert_int_equal(on, 0);
    on = 7;
    assert_int_equal(retry_on_parse(TEXT("5xx,503"), &on, why), -EINVAL);
    assert_string_equal(why, "there is no condition 503");
    assert_int_equal(on, 7);
}

static void test_which_endings_are_tried_again(void **state)
{
    static const struct {
        const char *on;
        struct try_result result;
        bool wants;
    } cases[] = {
        {"5xx", {TRY_ANSWERED, 500, -1, NULL}, true},
        {"5xx", {TRY_ANSWERED, 499, -1, NULL}, false},
        {"5xx", {TRY_RESET, 0, -1, NULL}, true},
        {"5xx", {TRY_TIMED_OUT, 0, -1, NULL}, true},
        {"gateway-error", {TRY_ANSWERED, 500, -1, NULL}, false},
        {"gateway-error", {TRY_ANSWERED, 502, -1, NULL}, true},
        {"gateway-error", {TRY_ANSWERED, 504, -1, NULL}, true},
        {"gateway-error", {TRY_ANSWERED, 505, -1, NULL}, false},
        {"reset", {TRY_RESET, 0, -1, NULL}, true},
        {"reset", {TRY_ANSWERED, 503, -1, NULL}, false},
        {"reset-before-request", {TRY_RESET, 0, -1, NULL}, false},
        {"reset-before-request", {TRY_RESET_UNSENT, 0, -1, NULL}, true},
        {"connect-failure", {TRY_NOT_CONNECTED, 0, -1, NULL}, true},
        {"connect-failure", {TRY_RESET, 0, -1, NULL}, false},
        {"connect-failure", {TRY_TIMED_OUT, 0, -1, NULL}, false},
        {"refused-stream", {TRY_REFUSED_STREAM, 0, -1, NULL}, true},
        {"refused-stream", {TRY_RESET, 0, -1, NULL}, false},
        {"retriable-4xx", {TRY_ANSWERED, 409, -1, NULL}, true},
        {"retriable-4xx", {TRY_ANSWERED, 404, -1, NULL}, false},
        {"retriable-status-codes", {TRY_ANSWERED, 418, -1, NULL}, true},
        {"retriable-status-codes", {TRY_ANSWERED, 419, -1, NULL}, false},
        {"5xx", {TRY_ANSWERED, 418, -1, NULL}, false}, /* the list alone is nothing */
        {"unavailable", {TRY_ANSWERED, 200, 14, NULL}, true},
        {"unavailable", {TRY_ANSWERED, 200, 13, NULL}, false},
        {"cancelled", {TRY_ANSWERED, 200, 1, NULL}, true},
        {"deadline-exceeded", {TRY_ANSWERED, 200, 4, NULL}, true},
        {"internal", {TRY_ANSWERED, 200, 13, NULL}, true},
        {"resource-exhausted", {TRY_ANSWERED, 200, 8, NULL}, true},
        {"unavailable", {TRY_ANSWERED, 200, -1, NULL}, false},
    };
    uint16_t codes[] = {418};
    char why[WHY_MAX];
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct retry_policy p = {.status_codes = codes, .n_status_codes = 1};
        assert_int_equal(retry_on_parse(text_of(cases[i].on), &p.on, why), 0);
        if (retry_policy_wants(&p, &cases[i].result) != cases[i].wants)
            fail_msg("case %zu: %s", i, cases[i].on);
    }
}

static void test_headers_decide_too(void **state)
{
    struct header_match again = {.name = TEXT("x-again"), .kind = HEADER_PRESENT};
    struct header_match get = {.name = TEXT(":method"),
                               .kind = HEADER_TEXT,
                               .text = {.kind = TEXT_EXACT, .value = TEXT("GET")}};
    struct retry_policy p = {.on = RETRY_HEADERS | RETRY_5XX,
                             .headers = &again,
                             .n_headers = 1,
                             .request_headers = &get,
                             .n_request_headers = 1};
    struct http_head head;
    struct try_result r = {TRY_ANSWERED, 200, -1, &head};
    (void)state;
    set_head(&head, "GET", "a", "/");
    assert_true(retry_policy_wants_request(&p, &head));
    assert_false(retry_policy_wants(&p, &r));
    assert_int_equal(http_head_add(&head, TEXT("x-again"), TEXT("1")), 0);
    assert_true(retry_policy_wants(&p, &r));
    r.status = 503;
    assert_int_equal(http_head_add(&head, TEXT("x-envoy-ratelimited"), TEXT("true")), 0);
    assert_false(retry_policy_wants(&p, &r)); /* that limit is not run into twice */
    p.on |= RETRY_ENVOY_RATELIMITED;
    assert_true(retry_policy_wants(&p, &r));
    assert_int_equal(http_head_set_method(&head, TEXT("POST")), 0);
    assert_false(retry_policy_wants_request(&p, &head));
    http_head_done(&head);
}

static void test_waits_grow_with_full_jitter(void **state)
{
    static const uint64_t most[] = {25, 50, 100, 200, 250, 250};
    struct retry_policy p = {0};
    struct rng r;
    (void)state;
    rng_seed(&r, 3);
    for (uint32_t retry = 1; retry <= 6; retry++) {
        uint64_t longest = 0, sum = 0;
        for (int i = 0; i < 20000; i++) {
            uint64_t ms = retry_policy_backoff_ms(&p, retry, &r);
            longest = ms > longest ? ms : longest;
            sum += ms;
        }
        assert_int_equal(longest, most[retry - 1] - 1);
        /* The mean of a uniform one; its error is most / sqrt(12 * 20000). */
        assert_true(fabs((double)sum / 20000 - (double)(most[retry - 1] - 1) / 2) <
                    5 * (double)most[retry - 1] / sqrt(12.0 * 20000));
    }
    assert_true(retry_policy_backoff_ms(&p, UINT32_MAX, &r) < 250);
    p = (struct retry_policy){.backoff_base_ms = UINT64_MAX / 2, .backoff_max_ms = UINT64_MAX};
    (void)retry_policy_backoff_ms(&p, 100, &r);
}

/* ---- Outliers. */

struct crowd {
    struct outlier_settings settings;
    struct outlier outlier;
    struct outlier_host hosts[20], *all[20];
    size_t n;
    struct rng rng;
    uint64_t now_ms;
};

static void crowd_init(struct crowd *c, size_t n)
{
    *c = (struct crowd){.n = n};
    outlier_settings_init(&c->settings);
    outlier_init(&c->outlier, &c->settings, 0);
    rng_seed(&c->rng, 5);
    for (size_t i = 0; i < n; i++)
        c->all[i] = &c->hosts[i];
}

static bool report(struct crowd *c, size_t i, enum outlier_result result, int times)
{
    bool ejected = false;
    while (times-- > 0)
        ejected |= outlier_report(&c->outlier, &c->hosts[i], c->n, result, c->now_ms, &c->rng);
    return ejected;
}

static bool tick(struct crowd *c, uint64_t at_ms)
{
    c->now_ms = at_ms;
    return outlier_tick(&c->outlier, c->all, c->n, c->now_ms, &c->rng);
}

static void test_five_in_a_row_eject(void **state)
{
    struct crowd c;
    (void)state;
    crowd_init(&c, 10);
    assert_false(report(&c, 0, OUTLIER_5XX, 4));
    assert_false(report(&c, 0, OUTLIER_SUCCESS, 1));
    assert_false(report(&c, 0, OUTLIER_5XX, 4)); /* not in a row */
    assert_true(report(&c, 0, OUTLIER_5XX, 1));
    assert_true(c.hosts[0].ejected);
    assert_false(report(&c, 0, OUTLIER_5XX, 10)); /* once is enough */
    /* Ten percent of ten is one. */
    assert_false(report(&c, 1, OUTLIER_5XX, 50));
    assert_false(c.hosts[1].ejected);
    c.settings.max_ejection_percent = 20;
    assert_true(report(&c, 1, OUTLIER_LOCAL_FAILURE, 5)); /* without the split: a 503 */
    /* Nobody, and nobody but always one. */
    crowd_init(&c, 3);
    c.settings.max_ejection_percent = 0;
    assert_false(report(&c, 0, OUTLIER_5XX, 50));
    c.settings.always_eject_one = true;
    assert_true(report(&c, 0, OUTLIER_5XX, 5));
    assert_false(report(&c, 1, OUTLIER_5XX, 50));
    /* 0: off. */
    crowd_init(&c, 3);
    c.settings.consecutive_5xx = 0;
    assert_false(report(&c, 0, OUTLIER_5XX, 50));
}

static void test_gateway_errors_and_local_failures_apart(void **state)
{
    struct crowd c;
    (void)state;
    crowd_init(&c, 3);
    c.settings.consecutive_gateway_failure = 2;
    c.settings.enforcing_consecutive_gateway_failure = 100;
    assert_false(report(&c, 0, OUTLIER_GATEWAY_ERROR, 1));
    assert_false(report(&c, 0, OUTLIER_5XX, 1));
    assert_false(report(&c, 0, OUTLIER_GATEWAY_ERROR, 1));
    assert_true(report(&c, 0, OUTLIER_GATEWAY_ERROR, 1));
    crowd_init(&c, 3);
    c.settings.split_local_origin = true;
    c.settings.consecutive_local_origin_failure = 3;
    assert_false(report(&c, 0, OUTLIER_5XX, 4));
    assert_false(report(&c, 0, OUTLIER_LOCAL_FAILURE, 2));
    assert_int_equal(c.hosts[0].consecutive_5xx, 4);
    assert_true(report(&c, 0, OUTLIER_LOCAL_FAILURE, 1));
}

static void test_ejections_grow_and_shrink(void **state)
{
    static const uint64_t times[] = {30000, 60000, 90000};
    struct crowd c;
    uint64_t now = 0;
    (void)state;
    crowd_init(&c, 2);
    c.settings.max_ejection_percent = 100;
    for (size_t i = 0; i < 3; i++) {
        assert_true(report(&c, 0, OUTLIER_5XX, 5));
        uint64_t until = now + times[i];
        while (now + 10000 < until) {
            now += 10000;
            assert_false(tick(&c, now));
            assert_true(c.hosts[0].ejected);
        }
        now += 10000;
        assert_true(tick(&c, now));
        assert_false(c.hosts[0].ejected);
    }
    /* Two good intervals take two steps back. */
    (void)tick(&c, now += 10000);
    (void)tick(&c, now += 10000);
    assert_true(report(&c, 0, OUTLIER_5XX, 5));
    assert_int_equal(c.hosts[0].ejected_until_ms, now + 60000);
    /* Never above the maximum. */
    crowd_init(&c, 2);
    c.settings.max_ejection_percent = 100;
    c.settings.max_ejection_ms = 45000;
    for (int i = 0; i < 5; i++) {
        assert_true(report(&c, 0, OUTLIER_5XX, 5));
        assert_true(c.hosts[0].ejected_until_ms - c.now_ms <= 45000);
        assert_true(tick(&c, c.now_ms + 45000));
    }
    /* Nor does it count beyond that: as few good intervals take it back as led there. */
    for (int i = 0; i < 2; i++)
        (void)tick(&c, c.now_ms + 10000);
    assert_true(report(&c, 0, OUTLIER_5XX, 5));
    assert_int_equal(c.hosts[0].ejected_until_ms - c.now_ms, 30000);
}

static void test_success_rates(void **state)
{
    struct crowd c;
    (void)state;
    crowd_init(&c, 10);
    c.settings.consecutive_5xx = 0;
    c.settings.consecutive_gateway_failure = 0;
    for (size_t i = 0; i < 10; i++)
        report(&c, i, OUTLIER_SUCCESS, i == 3 ? 60 : 99);
    for (size_t i = 0; i < 10; i++)
        report(&c, i, OUTLIER_5XX, i == 3 ? 40 : 1);
    assert_false(tick(&c, 9999)); /* not yet */
    assert_true(tick(&c, 10000));
    for (size_t i = 0; i < 10; i++)
        assert_int_equal(c.hosts[i].ejected, i == 3);
    /* Too few requests: nothing is said of them. */
    crowd_init(&c, 10);
    c.settings.consecutive_5xx = 0;
    for (size_t i = 0; i < 10; i++)
        report(&c, i, i == 3 ? OUTLIER_5XX : OUTLIER_SUCCESS, 99);
    assert_false(tick(&c, 10000));
    /* The percentage of failures, which needs to be asked for. */
    crowd_init(&c, 10);
    c.settings.consecutive_5xx = 0;
    c.settings.enforcing_success_rate = 0;
    c.settings.enforcing_failure_percentage = 100;
    for (size_t i = 0; i < 10; i++) {
        report(&c, i, OUTLIER_5XX, i == 3 ? 85 : 84);
        report(&c, i, OUTLIER_SUCCESS, i == 3 ? 15 : 16);
    }
    assert_true(tick(&c, 10000));
    for (size_t i = 0; i < 10; i++)
        assert_int_equal(c.hosts[i].ejected, i == 3);
}

static void test_enforcing_is_a_percentage(void **state)
{
    size_t ejected = 0;
    (void)state;
    struct crowd c;
    crowd_init(&c, 1);
    c.settings.enforcing_consecutive_5xx = 30;
    for (int i = 0; i < 10000; i++) {
        ejected += report(&c, 0, OUTLIER_5XX, 5);
        outlier_forget(&c.outlier, &c.hosts[0]);
    }
    assert_true(fabs((double)ejected - 3000) < 5 * sqrt(10000 * 0.3 * 0.7));
    assert_int_equal(c.outlier.unenforced, 10000 - ejected);
}

/* ---- Circuit breakers. */

static void test_breakers_hold_at_their_limit(void **state)
{
    struct breaker_limits limits;
    struct breaker b;
    (void)state;
    breaker_limits_init(&limits);
    breaker_init(&b);
    for (int i = 0; i < 1024; i++)
        assert_true(breaker_take(&b, &limits, BREAKER_REQUESTS));
    assert_false(breaker_take(&b, &limits, BREAKER_REQUESTS));
    assert_int_equal(breaker_refused(&b, BREAKER_REQUESTS), 1);
    assert_true(breaker_take(&b, &limits, BREAKER_CONNECTIONS)); /* each kind for itself */
    breaker_give(&b, BREAKER_REQUESTS);
    assert_true(breaker_take(&b, &limits, BREAKER_REQUESTS));
    for (int i = 0; i < 3; i++)
        assert_true(breaker_take(&b, &limits, BREAKER_RETRIES));
    assert_false(breaker_take(&b, &limits, BREAKER_RETRIES));
    /* A budget instead: a fifth of the 1,024 requests there are. */
    limits.budget = true;
    assert_int_equal(breaker_limit(&b, &limits, BREAKER_RETRIES), 204);
    while (breaker_used(&b, BREAKER_REQUESTS) > 10)
        breaker_give(&b, BREAKER_REQUESTS);
    for (int i = 0; i < 31; i++) /* also of those that wait */
        assert_true(breaker_take(&b, &limits, BREAKER_PENDING));
    assert_int_equal(breaker_limit(&b, &limits, BREAKER_RETRIES), 8);
    while (breaker_used(&b, BREAKER_PENDING) > 0)
        breaker_give(&b, BREAKER_PENDING);
    assert_int_equal(breaker_limit(&b, &limits, BREAKER_RETRIES), 3);
    assert_false(breaker_take(&b, &limits, BREAKER_RETRIES));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_conditions_are_envoys_words),
        cmocka_unit_test(test_which_endings_are_tried_again),
        cmocka_unit_test(test_headers_decide_too),
        cmocka_unit_test(test_waits_grow_with_full_jitter),
        cmocka_unit_test(test_five_in_a_row_eject),
        cmocka_unit_test(test_gateway_errors_and_local_failures_apart),
        cmocka_unit_test(test_ejections_grow_and_shrink),
        cmocka_unit_test(test_success_rates),
        cmocka_unit_test(test_enforcing_is_a_percentage),
        cmocka_unit_test(test_breakers_hold_at_their_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
