#include "controller/model/object_kinds.h"
#include "controller/model/traffic_read.h"
#include "shared/http/http_grammar.h"
#include "shared/tls/web_name.h"

/* ---- Load balancing ------------------------------------------------------------------------- */

static struct balance_settings defaults(void)
{
    return (struct balance_settings){.kind = BALANCE_LEAST_REQUEST,
                                     .choices = 2,
                                     .active_bias = 1,
                                     .ring_min = RING_SIZE_MIN,
                                     .ring_max = RING_SIZE_MAX,
                                     .maglev_table = MAGLEV_TABLE,
                                     .slow_start = {0, 1, 10},
                                     .panic_percent = 50};
}

static void read_cookie(struct reader *r, struct gateway_flaw *f, const struct json *j,
                        struct hash_policy *hash)
{
    static const char *const known[] = {"name", "path", "ttl", NULL};
    gateway_known(r, f, j, known);
    *hash = (struct hash_policy){.source = HASH_COOKIE,
                                 .name = text_of(read_string(r, j, "name")),
                                 .make_cookie = read_member(j, "ttl") != NULL,
                                 .cookie_ttl_ms = traffic_duration(r, f, j, "ttl", 0, 0),
                                 .cookie_path = text_of(read_string(r, j, "path"))};
}

static void check_hash(struct reader *r, struct gateway_flaw *f, const struct json *j,
                       const struct rule_balance *b, unsigned keys)
{
    if (keys != 1)
        traffic_flaw(r, f, j,
                     "must have one of httpHeaderName, httpCookie, useSourceIp and "
                     "httpQueryParameterName");
    else if (b->hash.source != HASH_SOURCE_IP &&
             (b->hash.name.len == 0 ||
              (b->hash.source != HASH_QUERY && !http_is_token(b->hash.name))))
        traffic_flaw(r, f, j, "'%.60s' is no name", b->hash.name.data);
}

static void read_hash_table(struct reader *r, struct gateway_flaw *f, const struct json *j,
                            struct balance_settings *s)
{
    static const char *const ring_known[] = {"minimumRingSize", NULL};
    static const char *const maglev_known[] = {"tableSize", NULL};
    const struct json *ring = read_object(r, j, "ringHash"), *maglev = read_object(r, j, "maglev");
    gateway_known(r, f, ring, ring_known);
    gateway_known(r, f, maglev, maglev_known);
    s->kind = maglev ? BALANCE_MAGLEV : BALANCE_RING_HASH;
    s->ring_min = gateway_number(r, ring ? ring : j, "minimumRingSize", RING_ENTRIES_MAX, 0);
    s->maglev_table = gateway_number(r, maglev, "tableSize", 5000010, 0);
    if (s->ring_min == 0)
        s->ring_min = RING_SIZE_MIN;
    if (s->maglev_table == 0)
        s->maglev_table = MAGLEV_TABLE;
    for (uint32_t i = 2; (uint64_t)i * i <= s->maglev_table; i++)
        if (s->maglev_table % i == 0) {
            traffic_flaw(r, f, maglev, "tableSize is no prime number");
            break;
        }
    if (ring && maglev)
        traffic_flaw(r, f, j, "ringHash and maglev can't go together");
}

static void read_hash(struct reader *r, struct gateway_flaw *f, const struct json *j,
                      struct rule_balance *b)
{
    static const char *const known[] = {"httpHeaderName",         "httpCookie", "useSourceIp",
                                        "httpQueryParameterName", "ringHash",   "maglev",
                                        "minimumRingSize",        NULL};
    const struct json *cookie = read_object(r, j, "httpCookie");
    const char *header = read_string(r, j, "httpHeaderName");
    const char *query = read_string(r, j, "httpQueryParameterName");
    bool source = read_bool(r, j, "useSourceIp", false);
    gateway_known(r, f, j, known);
    read_hash_table(r, f, j, &b->settings);
    b->hashed = true;
    if (header[0])
        b->hash =
            (struct hash_policy){.source = HASH_HEADER, .name = traffic_lower(r, text_of(header))};
    if (query[0])
        b->hash = (struct hash_policy){.source = HASH_QUERY, .name = text_of(query)};
    if (source)
        b->hash = (struct hash_policy){.source = HASH_SOURCE_IP, .name = TEXT("")};
    if (cookie)
        read_cookie(r, f, cookie, &b->hash);
    check_hash(r, f, j, b, (header[0] != 0) + (query[0] != 0) + source + (cookie != NULL));
}

static void read_warmup(struct reader *r, struct gateway_flaw *f, const struct json *of,
                        struct slow_start *s)
{
    static const char *const known[] = {"duration", "minimumPercent", "aggression", NULL};
    const struct json *j = read_object(r, of, "warmup");
    gateway_known(r, f, j, known);
    s->window_ms = traffic_duration(r, f, of, "warmupDurationSecs", 1, 0);
    if (!j)
        return;
    s->window_ms = traffic_duration(r, f, j, "duration", 1, 0);
    s->min_weight_percent = (uint32_t)traffic_number(r, f, j, "minimumPercent", 0, 100, 10);
    s->aggression = traffic_number(r, f, j, "aggression", 0.001, 1000, 1);
    if (s->window_ms == 0)
        traffic_flaw(r, f, j, "duration is missing");
}

/* ---- Places ---------------------------------------------------------------------------------- */

static struct locality_distribute *read_distribute(struct reader *r, struct gateway_flaw *f,
                                                   const struct json *list, size_t *ret_n)
{
    static const char *const known[] = {"from", "to", NULL};
    struct locality_distribute *items = read_array(r, json_count(list), sizeof *items);
    json_for_each (j, list) {
        const struct json *to = read_object(r, j, "to");
        if (!items || !json_is(j, JSON_OBJECT) || json_count(to) > LOCALITY_SHARES_MAX) {
            read_fail(r, j, "must be an object with at most %d places", LOCALITY_SHARES_MAX);
            break;
        }
        gateway_known(r, f, j, known);
        struct locality_distribute *d = &items[(*ret_n)++];
        d->from = text_of(read_string(r, j, "from"));
        d->to = read_array(r, json_count(to), sizeof *d->to);
        json_for_each (share, to) {
            int64_t percent = 0;
            if (json_read_i64(share, "", 0, 100, &percent, r->error) < 0 || !d->to)
                break;
            d->to[d->n_to++] = (struct locality_share){
                text_of(read_copy(r, json_name(share))), (uint32_t)percent};
        }
    }
    return items;
}

static struct locality_failover *read_failover(struct reader *r, struct gateway_flaw *f,
                                               const struct json *list, size_t *ret_n)
{
    static const char *const known[] = {"from", "to", NULL};
    struct locality_failover *items = read_array(r, json_count(list), sizeof *items);
    json_for_each (j, list) {
        if (!items || !json_is(j, JSON_OBJECT)) {
            read_fail(r, j, "must be an object");
            break;
        }
        gateway_known(r, f, j, known);
        items[(*ret_n)++] = (struct locality_failover){text_of(read_string(r, j, "from")),
                                                       text_of(read_string(r, j, "to"))};
    }
    return items;
}

/* "label" or "label=value". */
static struct locality_priority *read_priorities(struct reader *r, const struct json *of,
                                                 size_t *ret_n)
{
    struct values texts = read_strings(r, of, "failoverPriority", LOCALITY_LABELS_MAX);
    struct locality_priority *items = read_array(r, texts.n, sizeof *items);
    for (size_t i = 0; items && i < texts.n; i++) {
        struct locality_priority *p = &items[(*ret_n)++];
        p->label.name = text_of(texts.items[i]);
        p->own = !text_split(p->label.name, '=', &p->label.name, &p->label.value);
        if (p->own)
            p->label.value = TEXT("");
    }
    return items;
}

/* What it takes in a cluster, about: each name with its frame. */
static size_t locality_bytes(const struct locality_lb *lb)
{
    enum { FRAME = 8 };
    size_t n = 0;
    for (size_t i = 0; i < lb->n_distribute; i++) {
        n += lb->distribute[i].from.len + FRAME;
        for (size_t j = 0; j < lb->distribute[i].n_to; j++)
            n += lb->distribute[i].to[j].to.len + FRAME;
    }
    for (size_t i = 0; i < lb->n_failover; i++)
        n += lb->failover[i].from.len + lb->failover[i].to.len + FRAME;
    for (size_t i = 0; i < lb->n_priorities; i++)
        n += lb->priorities[i].label.name.len + lb->priorities[i].label.value.len + FRAME;
    return n;
}

static void read_locality(struct reader *r, struct gateway_flaw *f, const struct json *of,
                          struct locality_lb *lb)
{
    static const char *const known[] = {"enabled", "distribute", "failover", "failoverPriority",
                                        NULL};
    char why[WHY_MAX];
    const struct json *j = read_object(r, of, "localityLbSetting");
    gateway_known(r, f, j, known);
    if (!j)
        return;
    lb->said = true;
    lb->off = !read_bool(r, j, "enabled", true);
    lb->distribute = read_distribute(r, f, read_list(r, j, "distribute", LOCALITY_RULES_MAX),
                                     &lb->n_distribute);
    lb->failover =
        read_failover(r, f, read_list(r, j, "failover", LOCALITY_RULES_MAX), &lb->n_failover);
    lb->priorities = read_priorities(r, j, &lb->n_priorities);
    if (!read_failed(r) && locality_lb_check(NULL, lb, why) < 0)
        traffic_flaw(r, f, j, "%s", why);
    else if (!read_failed(r) && locality_bytes(lb) > RULE_LOCALITY_BYTES_MAX)
        traffic_flaw(r, f, j, "is longer than %d bytes, and each cluster of the host repeats it",
                     RULE_LOCALITY_BYTES_MAX);
}

static const struct rule_balance *read_balance(struct reader *r, struct gateway_flaw *f,
                                               const struct json *of)
{
    static const char *const known[] = {"simple", "consistentHash",    "warmupDurationSecs",
                                        "warmup", "localityLbSetting", NULL};
    static const char *const words[] = {"UNSPECIFIED", "LEAST_REQUEST", "LEAST_CONN", "RANDOM",
                                        "ROUND_ROBIN", "PASSTHROUGH",   NULL};
    static const enum balance_kind kinds[] = {BALANCE_LEAST_REQUEST, BALANCE_LEAST_REQUEST,
                                              BALANCE_LEAST_REQUEST, BALANCE_RANDOM,
                                              BALANCE_ROUND_ROBIN,   BALANCE_LEAST_REQUEST};
    const struct json *j = read_object(r, of, "loadBalancer");
    const struct json *hash = read_object(r, j, "consistentHash");
    struct rule_balance *b = j ? read_array(r, 1, sizeof *b) : NULL;
    unsigned simple = 0;
    gateway_known(r, f, j, known);
    if (!b)
        return NULL;
    json_opt_choice(j, "simple", words, &simple, r->error);
    b->settings = defaults();
    b->settings.kind = kinds[simple];
    if (simple == 5)
        traffic_flaw(r, f, read_member(j, "simple"), "PASSTHROUGH is not supported");
    if (hash && read_member(j, "simple"))
        traffic_flaw(r, f, j, "simple and consistentHash can't go together");
    read_warmup(r, f, j, &b->settings.slow_start);
    if (hash)
        read_hash(r, f, hash, b);
    read_locality(r, f, j, &b->locality);
    b->settings.locality_weighted = b->locality.n_distribute > 0 && !b->locality.off;
    return b;
}

/* ---- Connections ---------------------------------------------------------------------------- */

/* 0 is "not said", as in Istio. */
static uint32_t limit(struct reader *r, const struct json *of, const char *name)
{
    uint32_t value = gateway_number(r, of, name, INT32_MAX, 0);
    return value ? value : UINT32_MAX;
}

static void read_tcp(struct reader *r, struct gateway_flaw *f, const struct json *j,
                     struct rule_pool *p)
{
    static const char *const known[] = {"maxConnections", "connectTimeout",        "tcpKeepalive",
                                        "idleTimeout",    "maxConnectionDuration", NULL};
    static const char *const parts[] = {"probes", "time", "interval", NULL};
    const struct json *alive = read_object(r, j, "tcpKeepalive");
    gateway_known(r, f, j, known);
    gateway_known(r, f, alive, parts);
    p->breaker.max[BREAKER_CONNECTIONS] = limit(r, j, "maxConnections");
    p->connect_timeout_ms = traffic_duration(r, f, j, "connectTimeout", 1, 0);
    p->max_connection_ms = traffic_duration(r, f, j, "maxConnectionDuration", 1, 0);
    p->idle_timeout_ms = traffic_duration(r, f, j, "idleTimeout", 0, RULE_IDLE_MS);
    p->keepalive_probes = gateway_number(r, alive, "probes", INT32_MAX, 0);
    p->keepalive_idle_ms = traffic_duration(r, f, alive, "time", 1, 0);
    p->keepalive_interval_ms = traffic_duration(r, f, alive, "interval", 1, 0);
}

static void read_http(struct reader *r, struct gateway_flaw *f, const struct json *j,
                      struct rule_pool *p)
{
    static const char *const known[] = {"http1MaxPendingRequests",
                                        "http2MaxRequests",
                                        "maxRequestsPerConnection",
                                        "maxRetries",
                                        "idleTimeout",
                                        "h2UpgradePolicy",
                                        "useClientProtocol",
                                        "maxConcurrentStreams",
                                        NULL};
    static const char *const upgrades[] = {"DEFAULT", "DO_NOT_UPGRADE", "UPGRADE", NULL};
    unsigned upgrade = 0;
    gateway_known(r, f, j, known);
    p->breaker.max[BREAKER_PENDING] = limit(r, j, "http1MaxPendingRequests");
    p->breaker.max[BREAKER_REQUESTS] = limit(r, j, "http2MaxRequests");
    p->breaker.max[BREAKER_RETRIES] = limit(r, j, "maxRetries");
    p->requests_per_connection_max = gateway_number(r, j, "maxRequestsPerConnection", INT32_MAX, 0);
    p->concurrent_streams_max = gateway_number(r, j, "maxConcurrentStreams", INT32_MAX, 0);
    p->idle_timeout_ms = traffic_duration(r, f, j, "idleTimeout", 0, p->idle_timeout_ms);
    json_opt_choice(j, "h2UpgradePolicy", upgrades, &upgrade, r->error);
    p->as_client = read_bool(r, j, "useClientProtocol", false);
    p->http2 = upgrade == 2 && !p->as_client;
}

static const struct rule_pool *read_pool(struct reader *r, struct gateway_flaw *f,
                                         const struct json *of)
{
    static const char *const known[] = {"tcp", "http", NULL};
    const struct json *j = read_object(r, of, "connectionPool");
    struct rule_pool *p = j ? read_array(r, 1, sizeof *p) : NULL;
    gateway_known(r, f, j, known);
    if (!p)
        return NULL;
    read_tcp(r, f, read_object(r, j, "tcp"), p);
    read_http(r, f, read_object(r, j, "http"), p);
    return p;
}

/* 0 is "not said", as in Istio; of its percentage it is 0. */
static const struct rule_budget *read_budget(struct reader *r, struct gateway_flaw *f,
                                             const struct json *of)
{
    static const char *const known[] = {"percent", "minRetryConcurrency", NULL};
    const struct json *j = read_object(r, of, "retryBudget");
    struct rule_budget *b = j ? read_array(r, 1, sizeof *b) : NULL;
    struct breaker_limits standard;
    gateway_known(r, f, j, known);
    if (!b)
        return NULL;
    breaker_limits_init(&standard);
    b->percent = traffic_number(r, f, j, "percent", 0, 100, standard.budget_percent);
    b->min = gateway_number(r, j, "minRetryConcurrency", INT32_MAX, 0);
    if (b->min == 0)
        b->min = standard.budget_min;
    return b;
}

/* ---- Outliers ------------------------------------------------------------------------------- */

static void consecutive(struct reader *r, const struct json *j, const char *name, uint32_t *count,
                        uint32_t *enforcing)
{
    if (!read_member(j, name))
        return;
    *count = gateway_number(r, j, name, INT32_MAX, 0);
    *enforcing = *count ? 100 : 0;
}

static const struct rule_outlier *read_outlier(struct reader *r, struct gateway_flaw *f,
                                               const struct json *of)
{
    static const char *const known[] = {"consecutiveErrors",
                                        "splitExternalLocalOriginErrors",
                                        "consecutiveLocalOriginFailures",
                                        "consecutiveGatewayErrors",
                                        "consecutive5xxErrors",
                                        "interval",
                                        "baseEjectionTime",
                                        "maxEjectionPercent",
                                        "minHealthPercent",
                                        NULL};
    const struct json *j = read_object(r, of, "outlierDetection");
    struct rule_outlier *o = j ? read_array(r, 1, sizeof *o) : NULL;
    gateway_known(r, f, j, known);
    if (!o)
        return NULL;
    struct outlier_settings *s = &o->settings;
    outlier_settings_init(s);
    s->enforcing_success_rate = 0;
    if (read_member(j, "consecutiveErrors"))
        traffic_flaw(r, f, read_member(j, "consecutiveErrors"),
                     "is not supported: write consecutiveGatewayErrors or consecutive5xxErrors");
    consecutive(r, j, "consecutive5xxErrors", &s->consecutive_5xx, &s->enforcing_consecutive_5xx);
    consecutive(r, j, "consecutiveGatewayErrors", &s->consecutive_gateway_failure,
                &s->enforcing_consecutive_gateway_failure);
    s->split_local_origin = read_bool(r, j, "splitExternalLocalOriginErrors", false);
    uint32_t local = gateway_number(r, j, "consecutiveLocalOriginFailures", INT32_MAX, 0);
    if (s->split_local_origin && local > 0)
        s->consecutive_local_origin_failure = local;
    s->interval_ms = traffic_duration(r, f, j, "interval", 1, s->interval_ms);
    s->base_ejection_ms = traffic_duration(r, f, j, "baseEjectionTime", 1, s->base_ejection_ms);
    if (s->max_ejection_ms < s->base_ejection_ms)
        s->max_ejection_ms = s->base_ejection_ms;
    uint32_t percent = gateway_number(r, j, "maxEjectionPercent", 100, 0);
    if (percent > 0)
        s->max_ejection_percent = percent;
    o->panic_percent = gateway_number(r, j, "minHealthPercent", 100, 0);
    return o;
}

/* ---- Policies ------------------------------------------------------------------------------- */

static struct text read_tls_name(struct reader *r, struct gateway_flaw *f, const struct json *j)
{
    enum web_name_kind kind;
    struct text name = traffic_copy(r, j);
    const char *why = web_name_check(name, &kind);
    if (why)
        traffic_flaw(r, f, j, "'%.60s': %s", name.data, why);
    return name;
}

static void read_tls_names(struct reader *r, struct gateway_flaw *f, const struct json *of,
                           struct rule_tls *t)
{
    const struct json *list = read_list(r, of, "subjectAltNames", WEB_NAMES_MAX);
    struct text_match *names = read_array(r, json_count(list), sizeof *names);
    t->names = names;
    json_for_each (item, list) {
        if (!names || !json_is(item, JSON_STRING)) {
            read_fail(r, item, "must be a string");
            return;
        }
        names[t->n_names++] =
            (struct text_match){.kind = TEXT_EXACT, .value = read_tls_name(r, f, item)};
    }
}

/* Istio's word for the roots of the system; anything else is a path in the proxy's file system there. */
static void check_roots(struct reader *r, struct gateway_flaw *f, const struct json *j)
{
    const struct json *roots = read_member(j, "caCertificates");
    if (roots && !text_equal(traffic_copy(r, roots), TEXT("system")))
        traffic_flaw(r, f, roots,
                     "is not supported: only 'system', the roots of the node proxy's system (--system-roots)");
}

/* Between workloads of the mesh it is TLS with their own identities in any case. NULL: nothing is said. */
static const struct rule_tls *read_tls(struct reader *r, struct gateway_flaw *f, bool *wanted,
                                       const struct json *of)
{
    static const char *const known[] = {"mode", NULL};
    static const char *const simple[] = {"mode", "sni", "subjectAltNames", "insecureSkipVerify", "caCertificates", NULL};
    static const char *const modes[] = {"DISABLE", "ISTIO_MUTUAL", "SIMPLE", "MUTUAL", NULL};
    const struct json *j = read_object(r, of, "tls");
    unsigned mode = 0;
    json_opt_choice(j, "mode", modes, &mode, r->error);
    struct rule_tls *t = j ? read_array(r, 1, sizeof *t) : NULL;
    *wanted |= mode > 1;
    if (mode > 2)
        traffic_flaw(r, f, read_member(j, "mode"), "%s is not supported", modes[mode]);
    gateway_known(r, f, j, mode == 2 ? simple : known);
    if (!t || mode != 2)
        return t;
    t->originated = true;
    t->insecure = read_bool(r, j, "insecureSkipVerify", false);
    t->sni = (struct text){"", 0};
    if (read_member(j, "sni"))
        t->sni = read_tls_name(r, f, read_member(j, "sni"));
    read_tls_names(r, f, j, t);
    check_roots(r, f, j);
    if (t->insecure && (t->n_names > 0 || read_member(j, "caCertificates")))
        traffic_flaw(r, f, read_member(j, "insecureSkipVerify"),
                     "is true, and there are subjectAltNames or caCertificates to judge by: leave out either");
    return t;
}

static struct traffic_policy read_parts(struct reader *r, struct destination_rule *d,
                                        const struct json *j)
{
    struct gateway_flaw *f = &d->flaw;
    return (struct traffic_policy){.tls = read_tls(r, f, &d->wants_tls, j),
                                   .balance = read_balance(r, f, j),
                                   .pool = read_pool(r, f, j),
                                   .budget = read_budget(r, f, j),
                                   .outlier = read_outlier(r, f, j)};
}

static struct traffic_policies read_policies(struct reader *r, struct destination_rule *d,
                                             const struct json *of)
{
    struct gateway_flaw *f = &d->flaw;
    static const char *const known[] = {"loadBalancer", "connectionPool",    "outlierDetection",
                                        "tls",          "portLevelSettings", "retryBudget", NULL};
    static const char *const port_known[] = {
        "port", "loadBalancer", "connectionPool", "outlierDetection", "tls", NULL};
    const struct json *j = read_object(r, of, "trafficPolicy");
    const struct json *list = read_list(r, j, "portLevelSettings", RULE_PORTS_MAX);
    struct traffic_port *ports = read_array(r, json_count(list), sizeof *ports);
    struct traffic_policies p = {.ports = ports, .said = j != NULL};
    gateway_known(r, f, j, known);
    if (j)
        p.all = read_parts(r, d, j);
    json_for_each (item, list) {
        if (!ports || !json_is(item, JSON_OBJECT)) {
            read_fail(r, item, "must be an object");
            break;
        }
        gateway_known(r, f, item, port_known);
        ports[p.n_ports++] =
            (struct traffic_port){traffic_port(r, f, item), read_parts(r, d, item)};
        if (!ports[p.n_ports - 1].port)
            traffic_flaw(r, f, item, "port is missing");
    }
    return p;
}

static void read_subsets(struct reader *r, const struct json *spec, struct destination_rule *d)
{
    static const char *const known[] = {"name", "labels", "trafficPolicy", NULL};
    const struct json *list = read_list(r, spec, "subsets", RULE_SUBSETS_MAX);
    struct rule_subset *items = read_array(r, json_count(list), sizeof *items);
    d->subsets = items;
    json_for_each (j, list) {
        if (!items || !json_is(j, JSON_OBJECT)) {
            read_fail(r, j, "must be an object");
            return;
        }
        gateway_known(r, &d->flaw, j, known);
        struct rule_subset *s = &items[d->n_subsets++];
        *s = (struct rule_subset){read_string(r, j, "name"), read_labels(r, j, "labels"),
                                  read_policies(r, d, j)};
        if (name_check_subdomain(text_of(s->name)))
            traffic_flaw(r, &d->flaw, j, "name '%.60s' is none", s->name);
        for (size_t i = 0; i + 1 < d->n_subsets; i++)
            if (strcmp(items[i].name, s->name) == 0)
                traffic_flaw(r, &d->flaw, j, "there are two of the name %.60s", s->name);
        if (s->labels.n > ENDPOINT_LABELS_MAX)
            traffic_flaw(r, &d->flaw, j, "has more than %d labels", ENDPOINT_LABELS_MAX);
    }
}

void destination_rule_read(struct reader *r, const struct json *document, struct object *o)
{
    static const char *const known[] = {"host", "trafficPolicy", "subsets", "exportTo", NULL};
    struct destination_rule *d = &o->destination_rule;
    const struct json *spec = read_object(r, document, "spec");
    if (!spec) {
        read_fail(r, document, "spec is missing");
        return;
    }
    gateway_known(r, &d->flaw, spec, known);
    d->host = traffic_host(r, &d->flaw, read_member(spec, "host"));
    if (!d->host[0])
        traffic_flaw(r, &d->flaw, spec, "host is missing");
    if (d->host[0] == '*')
        traffic_flaw(r, &d->flaw, read_member(spec, "host"), "is no precise name");
    d->policies = read_policies(r, d, spec);
    read_subsets(r, spec, d);
    if (traffic_export(r, &d->flaw, spec, o->ns).n > 0)
        traffic_flaw(r, &d->flaw, read_member(spec, "exportTo"),
                     "only '*' is supported: a rule counts for the clients of all namespaces");
}

/* Somewhere in it, as far as can be told: what is not plainly another mode may have meant TLS. */
static bool may_want_tls(const struct json *j)
{
    bool wants = false;
    if (json_is(j, JSON_OBJECT) && text_equal(json_name(j), TEXT("tls"))) {
        const struct json *mode = read_member(j, "mode");
        struct text word = json_text(mode);
        return mode && !text_equal(word, TEXT("DISABLE")) && !text_equal(word, TEXT("ISTIO_MUTUAL"));
    }
    if (!json_is(j, JSON_OBJECT) && !json_is(j, JSON_ARRAY))
        return text_equal(json_name(j), TEXT("tls")) && !json_is(j, JSON_NULL);
    json_for_each (item, j)
        wants = wants || may_want_tls(item);
    return wants;
}

bool destination_rule_read_closed(struct object_arena *arena, const struct json *document, struct object *o)
{
    struct destination_rule *d = &o->destination_rule;
    struct json_error error = {0};
    struct reader r = {.arena = arena, .error = &error, .document = document};
    const struct json *spec = read_member(document, "spec");
    *d = (struct destination_rule){.wants_tls = may_want_tls(read_member(spec, "trafficPolicy")) ||
                                                may_want_tls(read_member(spec, "subsets"))};
    d->host = traffic_host(&r, &d->flaw, read_member(spec, "host"));
    if (!d->wants_tls || read_failed(&r) || r.no_memory || !d->host[0])
        return false;
    traffic_flaw(&r, &d->flaw, spec, "can't be read");
    return !r.no_memory;
}
