/*
 * Random route tables and requests, decided by route_table_choose() and by a naive matcher that goes
 * through everything in Envoy's words (and takes expressions from libc). The seed is printed.
 *
 *     build/dev/tests/unit/shared/mesh/route_random_test [--requests N]      (default: 40,000)
 */
#include "tests/unit/shared/mesh/routes.h"

#include <regex.h>
#include <strings.h>

static uint64_t requests_wanted = 40000;

/* ---- The naive matcher. Texts as C strings. */

static const char *text_string(struct text t)
{
    static char places[8][4096];
    static int place;
    char *s = places[place = (place + 1) % 8];
    assert_true(t.len < sizeof places[0]);
    if (t.len)
        memcpy(s, t.data, t.len);
    s[t.len] = '\0';
    return s;
}

static bool naive_regex(struct text pattern, const char *s)
{
    char whole[300];
    regex_t r;
    snprintf(whole, sizeof whole, "^(%s)$", text_string(pattern));
    assert_int_equal(regcomp(&r, whole, REG_EXTENDED | REG_NOSUB), 0);
    bool fits = regexec(&r, s, 0, NULL, 0) == 0;
    regfree(&r);
    return fits;
}

static bool same(const char *a, const char *b, size_t n, bool ignore_case)
{
    return (ignore_case ? strncasecmp(a, b, n) : strncmp(a, b, n)) == 0;
}

static bool naive_text(const struct text_match *m, const char *s)
{
    const char *v = text_string(m->value);
    size_t vn = strlen(v), n = strlen(s);
    switch (m->kind) {
    case TEXT_EXACT:
        return vn == n && same(s, v, n, m->ignore_case);
    case TEXT_PREFIX:
        return vn <= n && same(s, v, vn, m->ignore_case);
    case TEXT_SUFFIX:
        return vn <= n && same(s + n - vn, v, vn, m->ignore_case);
    case TEXT_CONTAINS:
        return (m->ignore_case ? strcasestr(s, v) : strstr(s, v)) != NULL;
    case TEXT_REGEX:
        return naive_regex(m->value, s);
    }
    return false;
}

static bool naive_path(const struct path_match *m, const char *path)
{
    const char *v = text_string(m->value);
    size_t n = strlen(v);
    if (m->kind == PATH_REGEX)
        return naive_regex(m->value, path);
    if (m->kind == PATH_EXACT)
        return (m->ignore_case ? strcasecmp(path, v) : strcmp(path, v)) == 0;
    if (strlen(path) < n || !same(path, v, n, m->ignore_case))
        return false;
    return m->kind == PATH_PREFIX || path[n] == '\0' || path[n] == '/';
}

static bool naive_header(const struct header_match *m, const struct http_head *h)
{
    char all[1000] = "";
    bool there = false, fits = false;
    if (text_equal(m->name, TEXT(":method"))) {
        snprintf(all, sizeof all, "%s", text_string(h->method));
        there = true;
    }
    for (size_t i = 0; i < h->n; i++) {
        if (!text_equal(h->fields[i].name, m->name))
            continue;
        snprintf(all + strlen(all), sizeof all - strlen(all), "%s%s", there ? "," : "",
                 text_string(h->fields[i].value));
        there = true;
    }
    if (!there && !m->missing_is_empty) {
        if (m->invert)
            return m->kind == HEADER_PRESENT;
        return m->kind == HEADER_ABSENT;
    }
    if (m->kind == HEADER_TEXT)
        fits = naive_text(&m->text, all);
    if (m->kind == HEADER_PRESENT)
        fits = true;
    if (m->kind == HEADER_RANGE) {
        char *end;
        long long value = strtoll(all, &end, 10);
        fits = *all && !*end && value >= m->range_start && value < m->range_end;
    }
    return m->invert ? !fits : fits;
}

static bool naive_query(const struct query_match *m, const char *query)
{
    char copy[1000], *rest = copy, *pair;
    snprintf(copy, sizeof copy, "%s", query);
    while (*query && (pair = strsep(&rest, "&"))) {
        char *equals = strchr(pair, '=');
        if (equals)
            *equals = '\0';
        if (strcmp(pair, text_string(m->name)) == 0) {
            if (m->kind != QUERY_TEXT)
                return m->kind == QUERY_PRESENT;
            return naive_text(&m->text, equals ? equals + 1 : "");
        }
    }
    return m->kind == QUERY_ABSENT;
}

static bool naive_labels(const struct route_match *m, const struct route_request *r)
{
    for (size_t w = 0; w < m->source.n_labels; w++) {
        bool found = false;
        for (size_t i = 0; i < r->n_source_labels; i++)
            found |= text_equal(r->source_labels[i].name, m->source.labels[w].name) &&
                     text_equal(r->source_labels[i].value, m->source.labels[w].value);
        if (!found)
            return false;
    }
    return m->source.ns.len == 0 || text_equal(m->source.ns, r->source_ns);
}

static bool naive_match(const struct route_match *m, const struct route_request *r)
{
    char path[1000];
    snprintf(path, sizeof path, "%s", text_string(r->head->path));
    char *query = strchr(path, '?');
    if (query)
        *query++ = '\0';
    bool fits = naive_path(&m->path, path) && naive_labels(m, r);
    if (m->some)
        fits = fits && r->random % m->fraction.denominator < m->fraction.numerator;
    for (size_t i = 0; i < m->n_headers; i++)
        fits = fits && naive_header(&m->headers[i], r->head);
    for (size_t i = 0; i < m->n_queries; i++)
        fits = fits && naive_query(&m->queries[i], query ? query : "");
    if (m->grpc) {
        const char *type = text_string(http_head_get(r->head, TEXT("content-type")));
        fits = fits && (strcmp(type, "application/grpc") == 0 ||
                        strncmp(type, "application/grpc+", 17) == 0);
    }
    return fits;
}

/* How well a domain fits: 0 not at all; more is better. */
static size_t naive_domain(const char *domain, const char *host)
{
    size_t n = strlen(domain), len = strlen(host);
    if (strcmp(domain, "*") == 0)
        return 1;
    if (domain[0] == '*')
        return len > n - 1 && strcasecmp(host + len - (n - 1), domain + 1) == 0 ? 2000 + n : 0;
    if (domain[n - 1] == '*')
        return len > n - 1 && strncasecmp(host, domain, n - 1) == 0 ? 1000 + n : 0;
    return strcasecmp(domain, host) == 0 ? 9000 : 0;
}

static const struct virtual_host *naive_host(const struct route_table *t, const char *authority)
{
    const struct virtual_host *best = NULL;
    size_t best_score = 0;
    char host[300];
    snprintf(host, sizeof host, "%s", authority);
    char *colon = strrchr(host, ':');
    if (t->ignore_port && colon)
        *colon = '\0';
    for (size_t h = 0; h < t->n_hosts; h++) {
        for (size_t d = 0; d < t->hosts[h].n_domains; d++) {
            size_t score = naive_domain(text_string(t->hosts[h].domains[d]), host);
            if (score > best_score) {
                best_score = score;
                best = &t->hosts[h];
            }
        }
    }
    return best;
}

static const struct route *naive_route(const struct virtual_host *h, const struct route_request *r)
{
    for (size_t i = 0; h && i < h->n_routes; i++) {
        if (naive_match(&h->routes[i].match, r))
            return &h->routes[i];
    }
    return NULL;
}

/* ---- Chance. */

#define ONE_OF(r, ...)                                                                             \
    ((const char *const[]){                                                                        \
        __VA_ARGS__}[rng_below((r), sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))])

static bool likely(struct rng *r, unsigned percent)
{
    return rng_below(r, 100) < percent;
}

static void random_path(struct rng *r, char *out, size_t size, unsigned parts_max)
{
    struct text_out o = {out, 0, size, false};
    unsigned parts = (unsigned)rng_below(r, parts_max + 1);
    out[0] = '\0';
    for (unsigned i = 0; i < parts; i++)
        text_printf(&o, "/%s", ONE_OF(r, "a", "b", "ab", "A", "", "abc", "v1"));
    if (parts == 0)
        text_puts(&o, "/");
}

static struct text keep(struct route_table *t, const char *s)
{
    struct text kept = arena_text(&t->arena, text_of(s));
    assert_non_null(kept.data);
    return kept;
}

static struct text_match random_text(struct rng *r, struct route_table *t)
{
    struct text_match m = {.kind = (enum text_match_kind)rng_below(r, 5)};
    if (m.kind == TEXT_REGEX) {
        m.value = keep(t, ONE_OF(r, "a.*", "[0-9]+", "(a|1)b?", "", ".", "1,2"));
        return m;
    }
    m.ignore_case = likely(r, 30);
    m.value = keep(t, ONE_OF(r, "a", "1", "ab", "A", "12", ",", "a,1"));
    return m;
}

static void random_match(struct rng *r, struct route_table *t, struct route_match *m)
{
    char path[200];
    random_path(r, path, sizeof path, likely(r, 5) ? 40 : 3);
    m->path.kind = (enum path_match_kind)rng_below(r, 4);
    m->path.ignore_case = m->path.kind != PATH_REGEX && likely(r, 20);
    if (m->path.kind == PATH_REGEX)
        snprintf(path, sizeof path, "%s", ONE_OF(r, "/a.*", ".*", "/(a|b)/[a-z]*", "/", "/v[0-9]"));
    if (m->path.kind == PATH_SEPARATED) {
        size_t n = strlen(path);
        while (n > 0 && path[n - 1] == '/')
            path[--n] = '\0';
        if (n < 2)
            snprintf(path, sizeof path, "/a");
    }
    if (m->path.kind == PATH_PREFIX && likely(r, 20))
        path[0] = '\0';
    m->path.value = keep(t, path);
    m->n_headers = likely(r, 50) ? rng_below(r, 3) : 0;
    m->headers = arena_zero(&t->arena, m->n_headers, sizeof *m->headers);
    for (size_t i = 0; i < m->n_headers; i++) {
        struct header_match *h = &m->headers[i];
        h->name = keep(t, ONE_OF(r, "x-a", "x-b", "x-c", ":method"));
        h->kind = (enum header_match_kind)rng_below(r, 4);
        h->invert = likely(r, 20);
        h->missing_is_empty = likely(r, 20);
        h->range_start = (int64_t)rng_below(r, 20) - 10;
        h->range_end = h->range_start + 1 + (int64_t)rng_below(r, 20);
        if (h->kind == HEADER_TEXT)
            h->text = random_text(r, t);
    }
    m->n_queries = likely(r, 30) ? rng_below(r, 3) : 0;
    m->queries = arena_zero(&t->arena, m->n_queries, sizeof *m->queries);
    for (size_t i = 0; i < m->n_queries; i++) {
        m->queries[i].name = keep(t, ONE_OF(r, "q", "p", "w"));
        m->queries[i].kind = (enum query_match_kind)rng_below(r, 3);
        if (m->queries[i].kind == QUERY_TEXT)
            m->queries[i].text = random_text(r, t);
    }
    if (likely(r, 10))
        m->source.ns = keep(t, ONE_OF(r, "shop", "bank"));
    if (likely(r, 10)) {
        m->source.n_labels = 1;
        m->source.labels = arena_zero(&t->arena, 1, sizeof *m->source.labels);
        m->source.labels[0] = (struct label){keep(t, "app"), keep(t, ONE_OF(r, "web", "db"))};
    }
    m->grpc = likely(r, 5);
    m->some = likely(r, 5);
    m->fraction = (struct fraction){(uint32_t)rng_below(r, 101), 100};
}

static const char *random_domain(struct rng *r)
{
    return ONE_OF(r, "a.org", "b.a.org", "*.a.org", "*.org", "*-x.org", "a.*", "b.a.*", "*", "A.b",
                  "a.org:80", "*:80", "c.*", "*b.a.org");
}

static struct route_table *random_table(struct rng *r)
{
    char seen[32][16];
    size_t n_seen = 0, n_hosts = 1 + rng_below(r, 5);
    struct route_table *t = new_table(n_hosts);
    char why[WHY_MAX];

    t->ignore_port = likely(r, 30);
    for (size_t h = 0; h < n_hosts; h++) {
        const char *domains[4];
        size_t n = 0, most = 1 + rng_below(r, 3);
        while (n < most) {
            const char *d = random_domain(r);
            char own[16];
            bool twice = false;
            for (size_t i = 0; i < n_seen; i++)
                twice |= strcasecmp(seen[i], d) == 0;
            if (twice) {
                snprintf(own, sizeof own, "own%zu.org", n_seen);
                d = own;
            }
            snprintf(seen[n_seen], sizeof seen[0], "%s", d);
            domains[n++] = seen[n_seen++];
        }
        size_t routes = likely(r, 5) ? rng_below(r, 300) : rng_below(r, 12);
        struct virtual_host *host = set_host(t, h, "host", routes, n, domains);
        for (size_t i = 0; i < routes; i++)
            random_match(r, t, &host->routes[i].match);
    }
    int e = route_table_finish(t, why);
    if (e < 0)
        fail_msg("%s", why);
    return t;
}

static void random_request(struct rng *r, struct http_head *h)
{
    char path[400];
    random_path(r, path, 300, likely(r, 5) ? 40 : 4);
    if (likely(r, 40))
        snprintf(path + strlen(path), 100, "?%s",
                 ONE_OF(r, "q=a", "p=1&q=ab", "q", "w=&q=12", "q=1&q=a", "", "x=1&p=A&q"));
    set_head(h, ONE_OF(r, "GET", "a", "POST"),
             ONE_OF(r, "a.org", "A.ORG", "b.a.org", "x.b.a.org", "q-x.org", "-x.org", "a.org:80",
                    "b.a.net", "c.", "a.b", "other", "z:80", ".org", "b.a.org:8080"),
             path);
    for (size_t i = rng_below(r, 4); i > 0; i--)
        assert_int_equal(http_head_add(h, text_of(ONE_OF(r, "x-a", "x-b", "x-z")),
                                       text_of(ONE_OF(r, "a", "1", "-7", "ab", "A", "12", ""))),
                         0);
    if (likely(r, 10))
        assert_int_equal(http_head_add(h, TEXT("content-type"),
                                       text_of(ONE_OF(r, "application/grpc", "application/grpc+x",
                                                      "application/grpcx", "text/plain"))),
                         0);
}

static void test_agrees_with_the_naive_one(void **state)
{
    uint64_t requests = 0, tables = 0, found = 0, deep = 0;
    struct rng r;
    (void)state;

    test_seed(&r);
    while (requests < requests_wanted) {
        struct route_table *t = random_table(&r);
        tables++;
        for (int i = 0; i < 40; i++, requests++) {
            static const struct label labels[] = {{{"app", 3}, {"web", 3}}, {{"v", 1}, {"2", 1}}};
            struct http_head head;
            struct route_choice choice;
            random_request(&r, &head);
            struct route_request request = {.head = &head,
                                            .source_ns = text_of(ONE_OF(&r, "shop", "x")),
                                            .source_labels = labels,
                                            .n_source_labels = rng_below(&r, 3),
                                            .random = rng_u64(&r)};
            const struct virtual_host *host = naive_host(t, text_string(head.authority));
            const struct route *route = naive_route(host, &request);
            int e = route_table_choose(t, &request, &choice);
            if (choice.host != host || choice.route != route || (e == 0) != (route != NULL))
                fail_msg("%s %s: host %td, naively %td; route %td, naively %td",
                         text_string(head.authority), text_string(head.path),
                         choice.host ? choice.host - t->hosts : -1, host ? host - t->hosts : -1,
                         choice.route ? choice.route - choice.host->routes : -1,
                         route ? route - host->routes : -1);
            found += route != NULL;
            deep += route && route - host->routes > 5;
            http_head_done(&head);
        }
        route_table_unref(t);
    }
    print_message(
        "%llu tables, %llu requests: %llu found a route, %llu of them not the first six\n",
        (unsigned long long)tables, (unsigned long long)requests, (unsigned long long)found,
        (unsigned long long)deep);
    assert_true(found > requests / 5 && deep > requests / 200);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--requests") == 0)
        requests_wanted = strtoull(argv[2], NULL, 10);
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_agrees_with_the_naive_one)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
