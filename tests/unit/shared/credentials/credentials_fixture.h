/*
 * A manager of credentials with the CA of fake_ca.h, what the test wants of it and what it was
 * told, and the things to wait for. One thread; everything is made and given back per test.
 */
#ifndef TESTS_UNIT_SHARED_CREDENTIALS_CREDENTIALS_FIXTURE_H
#define TESTS_UNIT_SHARED_CREDENTIALS_CREDENTIALS_FIXTURE_H
#include "shared/credentials/ca_link.h"
#include "shared/credentials/credentials.h"
#include "shared/base/log.h"
#include "tests/unit/shared/credentials/fake_ca.h"

enum { WANTED_MAX = 64 };

static struct credentials *manager;
static char folder[64], roots_file[128], token_file[128];
static bool manager_drained;

/* What the test knows of one identity. */
static struct wish {
    struct spiffe_id id;
    size_t n_changed, n_gone; /* events: a credential, none */
    char serial[2 * X509_SERIAL_MAX + 1];
    bool unwant_at_change;
} wishes[WANTED_MAX];
static size_t n_wishes;
static bool close_at_change;

static inline void on_manager_drained(void *arg)
{
    assert_ptr_equal(arg, &manager_drained);
    assert_false(manager_drained);
    manager_drained = true;
    bed_poke();
}

static inline void manager_close(void)
{
    struct credentials *m = manager;
    manager = NULL;
    credentials_close(m, on_manager_drained, &manager_drained);
}

static inline struct wish *wish_of(const struct spiffe_id *id)
{
    for (size_t i = 0; i < n_wishes; i++)
        if (spiffe_id_equal(&wishes[i].id, id))
            return &wishes[i];
    fail_msg("%s was not wanted", id->text);
    return NULL;
}

static inline void changed(struct credentials *m, const struct spiffe_id *id, struct credential *c,
                           void *arg)
{
    struct wish *w = wish_of(id);
    assert_ptr_equal(arg, &wishes);
    assert_ptr_equal(credentials_get(m, id), c);
    if (c) {
        assert_true(spiffe_id_equal(&c->id, id) || !spiffe_id_present(id));
        w->n_changed++;
        snprintf(w->serial, sizeof w->serial, "%s", c->serial);
    } else {
        w->n_gone++;
    }
    bed_poke();
    if (w->unwant_at_change) {
        w->unwant_at_change = false;
        credentials_unwant(m, id);
        assert_null(credentials_get(m, id));
    }
    if (close_at_change && manager)
        manager_close();
}

static const struct credentials_events events = {.changed = changed};
static struct credentials_options options;

static inline void manager_open(void)
{
    assert_int_equal(credentials_open(&manager, bed.ring, &options, &events, &wishes), 0);
    manager_drained = false;
}

static inline int begin(void **state)
{
    if (bed_open(state) < 0)
        return -1;
    memset(wishes, 0, sizeof wishes);
    n_wishes = 0;
    close_at_change = false;
    fake_begin();
    folder_make(folder);
    snprintf(roots_file, sizeof roots_file, "%s/roots.pem", folder);
    snprintf(token_file, sizeof token_file, "%s/token", folder);
    cert_write(folder, "roots.pem", &fake.root.cert);
    file_write(folder, "token", CA_TOKEN "\n", sizeof CA_TOKEN);
    options = (struct credentials_options){
        .ca = fake.at, .roots_file = roots_file, .ca_identity = CA_ID, .token_file = token_file};
    assert_int_equal(spiffe_id_parse(TEXT(SELF_ID), &options.self), 0);
    manager_open();
    return 0;
}

static inline bool is_drained(void)
{
    return manager_drained;
}

static inline int end(void **state)
{
    if (manager)
        manager_close();
    bed_run_until(is_drained);
    fake_end();
    folder_remove(folder);
    return bed_close(state);
}

static inline struct wish *want(const char *identity)
{
    struct spiffe_id id;
    assert_int_equal(spiffe_id_parse(text_of(identity), &id), 0);
    assert_true(n_wishes < WANTED_MAX);
    wishes[n_wishes].id = id;
    struct wish *w = &wishes[n_wishes++];
    assert_int_equal(credentials_want(manager, &id), 0);
    return w;
}

static inline struct wish *want_number(size_t i)
{
    char identity[128];
    snprintf(identity, sizeof identity, "spiffe://cluster.local/ns/n%zu/sa/account", i);
    return want(identity);
}

static inline void unwant(const struct wish *w)
{
    credentials_unwant(manager, &w->id);
}

/* ---- conditions to wait for ------------------------------------------------------ */

static size_t n_awaited;

static inline bool all_have_changed(void)
{
    for (size_t i = 0; i < n_wishes; i++)
        if (wishes[i].n_changed < n_awaited)
            return false;
    return true;
}
static inline void await_changes(size_t n)
{
    n_awaited = n;
    bed_run_until(all_have_changed);
}

static inline bool has_requests(void)
{
    return fake.n_requests >= n_awaited;
}
static inline void await_requests(size_t n)
{
    n_awaited = n;
    bed_run_until(has_requests);
}

static inline bool has_accepted(void)
{
    return fake.n_accepted >= n_awaited;
}
static inline void await_accepted(size_t n)
{
    n_awaited = n;
    bed_run_until(has_accepted);
}

static inline struct credentials_stats stats(void)
{
    struct credentials_stats s;
    credentials_stats(manager, &s);
    return s;
}
static inline bool has_failed(void)
{
    return stats().failed >= n_awaited;
}
static inline bool has_an_error(void)
{
    return stats().last_error[0] != '\0';
}

/* For conditions that no event of ours tells: looked at every few milliseconds. */
static inline void look_again(struct timer *t)
{
    timer_start(ring_timers(bed.ring), t, 5);
    bed_poke();
}
static inline void look_until(bool (*is_done)(void))
{
    struct timer look;
    timer_init(&look, look_again);
    timer_start(ring_timers(bed.ring), &look, 1);
    bed_run_until(is_done);
    timer_stop(ring_timers(bed.ring), &look);
}

static uint64_t until_ms;
static inline bool time_is_over(void)
{
    return ring_now_ms(bed.ring) >= until_ms;
}
static inline void run_for(uint64_t ms)
{
    until_ms = ring_now_ms(bed.ring) + ms;
    look_until(time_is_over);
}

/* What a dump says of the one identity. */
static struct shown {
    size_t n;
    char state[32], error[256];
    bool credential;
} shown;
static inline void show(const struct spiffe_id *id, const char *state, const struct credential *c,
                        const char *error, void *arg)
{
    (void)id;
    (void)arg;
    shown.n++;
    snprintf(shown.state, sizeof shown.state, "%s", state);
    snprintf(shown.error, sizeof shown.error, "%s", error);
    shown.credential = c != NULL;
}
static inline void expect_shown(const char *state, const char *error)
{
    shown = (struct shown){0};
    credentials_each(manager, show, NULL);
    assert_true(shown.n > 0);
    assert_string_equal(shown.state, state);
    if (!strstr(shown.error, error))
        fail_msg("no '%s' in: %s", error, shown.error);
    assert_int_equal(shown.credential, strcmp(state, "Available") == 0);
}
#endif
