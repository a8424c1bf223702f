#include "shared/http/http_grammar.h"
#include "shared/mesh/checks.h"
#include "shared/mesh/cluster.h"

#include <errno.h>

enum {
    CLUSTER_REGEXES_MAX = 256,
    CHECK_BYTES_MAX = 4096,
    CHECK_STATUSES_MAX = 64,
    ALPN_MAX = 8,
    CA_PEM_MAX = 1024 * 1024,
    MAGLEV_TABLE_MAX = 5000011
};

static bool is_prime(uint32_t n)
{
    for (uint32_t i = 2; (uint64_t)i * i <= n; i++) {
        if (n % i == 0)
            return false;
    }
    return n > 1;
}

static int check_percent(const struct checker *c, const struct place *at, double percent)
{
    if (!(percent >= 0 && percent <= 100))
        return place_refuse(at, c->why, "is %g; 0 to 100 would be right", percent);
    return 0;
}

static int check_slow_start(const struct checker *c, const struct slow_start *s)
{
    const struct place *at = AT(NULL, "slow_start_config");

    if (s->window_ms == 0)
        return 0;
    if (!(s->aggression > 0))
        return place_refuse(AT(at, "aggression"), c->why, "is not above 0");
    return check_percent(c, AT(at, "min_weight_percent"), s->min_weight_percent);
}

static int check_balance(const struct checker *c, const struct balance_settings *b)
{
    const struct place *ring = AT(NULL, "ring_hash_lb_config"),
                       *common = AT(NULL, "common_lb_config");

    if (b->kind == BALANCE_LEAST_REQUEST && (b->choices < 2 || b->choices > BALANCE_CHOICES_MAX))
        return place_refuse(AT(NULL, "least_request_lb_config.choice_count"), c->why,
                            "is %u; 2 to %d would be right", b->choices, BALANCE_CHOICES_MAX);
    if (!(b->active_bias >= 0))
        return place_refuse(AT(NULL, "least_request_lb_config.active_request_bias"), c->why,
                            "is below 0");
    if (b->ring_max == 0 || b->ring_max > RING_SIZE_MAX)
        return place_refuse(AT(ring, "maximum_ring_size"), c->why, "is not from 1 to %d",
                            RING_SIZE_MAX);
    if (b->ring_min > b->ring_max)
        return place_refuse(AT(ring, "minimum_ring_size"), c->why, "is above maximum_ring_size");
    if (b->ring_min > RING_ENTRIES_MAX)
        return place_refuse(AT(ring, "minimum_ring_size"), c->why, "is above %d", RING_ENTRIES_MAX);
    if (!is_prime(b->maglev_table) || b->maglev_table > MAGLEV_TABLE_MAX)
        return place_refuse(AT(NULL, "maglev_lb_config.table_size"), c->why,
                            "is %u, no prime number up to %d", b->maglev_table, MAGLEV_TABLE_MAX);
    if (b->hash_balance_percent != 0)
        return place_refuse(AT(common, "consistent_hashing_lb_config.hash_balance_factor"), c->why,
                            "is not supported");
    int e = check_percent(c, AT(common, "healthy_panic_threshold"), b->panic_percent);
    return e < 0 ? e : check_slow_start(c, &b->slow_start);
}

static int check_subsets(const struct checker *c, const struct cluster_subsets *s)
{
    const struct place *at = AT(NULL, "lb_subset_config");
    int e = place_count(AT(at, "subset_selectors"), s->n_keys, CLUSTER_SUBSETS_MAX, c->why);

    for (size_t i = 0; e == 0 && i < s->n_keys; i++) {
        const struct place *keys = AT(AT_I(at, "subset_selectors", i), "keys");
        e = place_count(keys, s->keys[i].n_names, ENDPOINT_LABELS_MAX, c->why);
        if (e == 0 && s->keys[i].n_names == 0)
            e = place_refuse(keys, c->why, "is empty");
    }
    return e < 0 ? e : check_labels(c, AT(at, "default_subset"), s->otherwise, s->n_otherwise);
}

static int check_outlier(const struct checker *c, const struct outlier_settings *o)
{
    const struct place *at = AT(NULL, "outlier_detection");
    const struct {
        const char *name;
        uint32_t percent;
    } percents[] = {
        {"enforcing_consecutive_5xx", o->enforcing_consecutive_5xx},
        {"enforcing_consecutive_gateway_failure", o->enforcing_consecutive_gateway_failure},
        {"enforcing_consecutive_local_origin_failure", o->enforcing_consecutive_local_origin},
        {"max_ejection_percent", o->max_ejection_percent},
        {"enforcing_success_rate", o->enforcing_success_rate},
        {"failure_percentage_threshold", o->failure_percentage_threshold},
        {"enforcing_failure_percentage", o->enforcing_failure_percentage},
    };
    int e = 0;

    if (o->interval_ms == 0)
        return place_refuse(AT(at, "interval"), c->why, "is 0");
    if (o->base_ejection_ms == 0)
        return place_refuse(AT(at, "base_ejection_time"), c->why, "is 0");
    for (size_t i = 0; e == 0 && i < sizeof percents / sizeof *percents; i++)
        e = check_percent(c, AT(at, percents[i].name), percents[i].percent);
    return e;
}

static int check_health(const struct checker *c, const struct place *at,
                        const struct health_check *h)
{
    if (h->timeout_ms == 0 || h->interval_ms == 0)
        return place_refuse(AT(at, h->timeout_ms ? "interval" : "timeout"), c->why, "is 0");
    if (h->unhealthy_threshold == 0 || h->healthy_threshold == 0)
        return place_refuse(
            AT(at, h->healthy_threshold ? "unhealthy_threshold" : "healthy_threshold"), c->why,
            "is 0");
    int e = check_percent(c, AT(at, "interval_jitter_percent"), h->jitter_percent);
    if (e < 0)
        return e;
    if (h->kind == CHECK_HTTP && (!http_is_path(h->path) || h->path.data[0] != '/'))
        return place_refuse(AT(at, "http_health_check.path"), c->why, "does not begin with /");
    if (h->host.len > 0 && !http_is_authority(h->host))
        return place_refuse(AT(at, "http_health_check.host"), c->why, "is no host");
    if (h->method.len > 0 && !http_is_token(h->method))
        return place_refuse(AT(at, "http_health_check.method"), c->why, "is no method");
    for (size_t i = 0; i < h->n_expected; i++) {
        const struct status_range *r = &h->expected[i];
        if (r->start < 100 || r->end > 600 || r->start >= r->end)
            return place_refuse(AT_I(at, "http_health_check.expected_statuses", i), c->why,
                                "is no range of 100 to 600");
    }
    e = place_count(AT(at, "http_health_check.expected_statuses"), h->n_expected,
                    CHECK_STATUSES_MAX, c->why);
    for (size_t i = 0; e == 0 && i < h->n_request_headers; i++) {
        if (!http_is_token(h->request_headers[i].name) ||
            !http_is_field_value(h->request_headers[i].value))
            e = place_refuse(AT_I(at, "http_health_check.request_headers_to_add", i), c->why,
                             "can't stand in a header");
    }
    if (e == 0)
        e = place_count(AT(at, "tcp_health_check.send"), h->send.len, CHECK_BYTES_MAX, c->why);
    return e;
}

static int check_tls(const struct checker *c, const struct cluster_tls *t)
{
    const struct place *at = AT(NULL, "transport_socket.typed_config");
    const struct place *sans = AT(at, "common_tls_context.validation_context");
    const char *name = "match_typed_subject_alt_names";
    int e = 0;

    if (t->sni.len > 255)
        return place_refuse(AT(at, "sni"), c->why, "is longer than 255 bytes");
    if (t->insecure && (t->system_roots || t->ca_pem.len > 0 || t->n_sans > 0 || t->ca_secret.len > 0))
        return place_refuse(AT(sans, "trust_chain_verification"), c->why,
                            "is ACCEPT_UNTRUSTED, and there are roots or names to judge by");
    e = place_count(AT(sans, "trusted_ca"), t->ca_pem.len, CA_PEM_MAX, c->why);
    if (e == 0)
        e = place_count(AT(sans, name), t->n_sans, CLUSTER_SANS_MAX, c->why);
    for (size_t i = 0; e == 0 && i < t->n_sans; i++)
        e = check_text_match(c, AT(AT_I(sans, name, i), "matcher"), &t->sans[i]);
    if (e == 0)
        e = place_count(AT(at, "common_tls_context.alpn_protocols"), t->n_alpn, ALPN_MAX, c->why);
    for (size_t i = 0; e == 0 && i < t->n_alpn; i++) {
        if (t->alpn[i].len == 0 || t->alpn[i].len > 255)
            e = place_refuse(AT_I(at, "common_tls_context.alpn_protocols", i), c->why,
                             "has not 1 to 255 bytes");
    }
    return e;
}

static int check_where(const struct checker *c, struct cluster *k)
{
    char why[WHY_MAX];

    if (k->inline_endpoints && !k->inline_endpoints->finished) {
        int e = endpoints_finish(k->inline_endpoints, why);
        if (e < 0)
            return e == -ENOMEM ? place_no_memory(c->why)
                                : place_refuse(NULL, c->why, "load_assignment.%s", why);
    }
    bool wanted = k->kind == CLUSTER_STATIC || k->kind == CLUSTER_STRICT_DNS ||
                  k->kind == CLUSTER_LOGICAL_DNS;
    if (wanted && !k->inline_endpoints)
        return place_refuse(AT(NULL, "load_assignment"), c->why, "is missing");
    if (k->kind == CLUSTER_LOGICAL_DNS && k->inline_endpoints->n_endpoints != 1)
        return place_refuse(AT(NULL, "load_assignment"), c->why,
                            "has %zu endpoints; LOGICAL_DNS takes one",
                            k->inline_endpoints->n_endpoints);
    return 0;
}

int cluster_finish(struct cluster *k, char why[static WHY_MAX])
{
    const struct checker c = {&k->arena, &k->regexes, CLUSTER_REGEXES_MAX, why};
    int e = 0;

    if (k->name.len == 0)
        return place_refuse(AT(NULL, "name"), why, "is empty");
    if (k->connect_timeout_ms == 0)
        return place_refuse(AT(NULL, "connect_timeout"), why, "is 0");
    e = check_where(&c, k);
    if (e == 0)
        e = check_balance(&c, &k->balance);
    if (e == 0)
        e = check_subsets(&c, &k->subsets);
    if (e == 0)
        e = locality_lb_check(AT(NULL, "metadata.locality"), &k->locality, why);
    for (size_t i = 0; e == 0 && i < 2; i++) {
        if (k->breaker[i].budget)
            e = check_percent(&c, AT(AT_I(NULL, "circuit_breakers.thresholds", i), "retry_budget"),
                              k->breaker[i].budget_percent);
    }
    if (e == 0 && k->outlier_detection)
        e = check_outlier(&c, &k->outlier);
    if (e == 0)
        e = place_count(AT(NULL, "health_checks"), k->n_health_checks, CLUSTER_HEALTH_CHECKS_MAX,
                        why);
    for (size_t i = 0; e == 0 && i < k->n_health_checks; i++)
        e = check_health(&c, AT_I(NULL, "health_checks", i), &k->health_checks[i]);
    if (e == 0)
        e = check_tls(&c, &k->tls);
    k->finished = e == 0;
    return e;
}
