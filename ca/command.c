/* Commands on the state; see the header. */
#include "ca/command.h"

#include "ca/attest.h"
#include "ca/seal.h"
#include "shared/base/args.h"
#include "shared/base/clock.h"
#include "shared/base/list.h"
#include "shared/tls/key.h"
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

int command_usage_error(const char *option, const char *why)
{
    fprintf(stderr, "weir-ca: --%s: %s\n", option, why);
    return 2;
}

int command_open_state(const char *folder, struct store **ret)
{
    char why[STORE_WHY_MAX];
    int r = store_open_existing(ret, folder, why);
    if (r < 0)
        fprintf(stderr, "weir-ca: --state: %s\n", why);
    return r;
}

int command_open_root(struct store *store, struct root *ret)
{
    char why[STORE_WHY_MAX];
    int r = root_open(ret, store, clock_unix_s(), why);
    if (r < 0)
        fprintf(stderr, "weir-ca: --state: %s\n", why);
    return r;
}

static int printed(int r)
{
    return r < 0 || fflush(stdout) != 0 ? 1 : 0;
}

int command_audited(struct store *s, int (*change)(struct store *s, void *arg), void *arg,
                    struct audit_record line)
{
    char asker[32];
    snprintf(asker, sizeof asker, "uid %u", (unsigned)getuid());
    line.at_s = clock_unix_s();
    line.asker = asker;
    line.proof = PROOF_COMMAND_LINE;
    int r = store_begin(s);
    if (r < 0)
        return r;
    r = change(s, arg);
    if (r == 0)
        r = store_put_audit(s, &line);
    if (r == 0)
        r = store_commit(s);
    if (r < 0)
        store_rollback(s);
    return r;
}

/* ---- token --------------------------------------------------------------- */

enum { NODE_TTL_DAYS = 365, JOIN_TTL_S = 600, JOIN_TTL_MAX_S = 7 * 86400 };

struct new_token {
    const char *node;        /* NULL: a join token */
    struct join_record join; /* its times are the node's, too */
    char text[ATTEST_TOKEN_TEXT_MAX];
};

static int make_token(struct store *s, void *arg)
{
    struct new_token *t = arg;
    return t->node ? attest_make_token(s, t->node, t->join.expires_s, t->text)
                   : attest_make_join(s, &t->join, t->text);
}

static bool is_node_name(const char *name)
{
    for (const char *c = name; *c; c++)
        if (*c <= ' ' || *c > '~')
            return false;
    return name[0] && strlen(name) <= ATTEST_NODE_MAX;
}

static int token_check(const char *node, const char *identity, const char *source, uint64_t ttl_ms)
{
    struct spiffe_id id;
    struct prefix prefix;
    if (!node == !identity)
        return command_usage_error("node", "say either --node or --identity");
    if (node && !is_node_name(node))
        return command_usage_error("node", "must have 1 to 253 characters, without spaces");
    if (node)
        return source[0] ? command_usage_error("source", "goes with --identity") : 0;
    if (spiffe_id_parse(text_of(identity), &id) < 0)
        return command_usage_error("identity",
                                   "must be spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT");
    if (source[0] && (strlen(source) > 60 || prefix_parse(text_of(source), &prefix) < 0))
        return command_usage_error("source", "must be an address or a prefix, as 10.0.0.0/8");
    if (ttl_ms > JOIN_TTL_MAX_S * 1000ull)
        return command_usage_error("ttl", "of a join token: 7 days at most");
    return 0;
}

int command_token(int argc, char **argv)
{
    const char *state = NULL, *node = NULL, *identity = NULL, *source = "";
    uint64_t ttl_ms = 0;
    struct store *store;
    const struct arg table[] = {
        {"state", ARG_STRING, &state, "DIR|postgresql:FILE", "the CA's state", 0, 0, true},
        {"node", ARG_STRING, &node, "NAME",
         "for that node's proxy, as often as it likes (default --ttl: 365d)", 0, 0, false},
        {"identity", ARG_STRING, &identity, "SPIFFE-ID",
         "a join token: good once, for a certificate of that identity, which then renews itself "
         "(default --ttl: 10m, at most 7d)",
         0, 0, false},
        {"source", ARG_STRING, &source, "PREFIX", "the addresses that may use a join token", 0, 0,
         false},
        {"ttl", ARG_DURATION_MS, &ttl_ms, "TIME", "how long", 1000, 0, false},
    };
    int r = args_parse("weir-ca token",
                       "Makes a token and prints it; only its digest is kept. It proves who asks "
                       "for certificates: a node's proxy, or a machine that joins.",
                       table, ARRAY_SIZE(table), argc, argv, NULL);
    if (r < 0)
        return r == -ECANCELED ? 0 : 2;
    if ((r = token_check(node, identity, source, ttl_ms)) != 0)
        return r;
    if (command_open_state(state, &store) < 0)
        return 1;
    int64_t now_s = clock_unix_s();
    int64_t ttl_s = ttl_ms > 0 ? (int64_t)(ttl_ms / 1000)
                    : node     ? (int64_t)NODE_TTL_DAYS * 86400
                               : JOIN_TTL_S;
    struct new_token t = {.node = node, .join = {identity, source, now_s, now_s + ttl_s}};
    r = command_audited(store, make_token, &t,
                (struct audit_record){.outcome = "made",
                                      .identity = identity ? identity : "",
                                      .serial = "",
                                      .reason = node ? node : "join token"});
    if (r < 0)
        fprintf(stderr, "weir-ca: the token can't be kept: %s\n", store_why(store));
    else
        printf("%s\n", t.text);
    key_wipe(t.text, sizeof t.text);
    store_close(store);
    return printed(r);
}

/* ---- revoke -------------------------------------------------------------- */

struct revocation {
    const char *kind, *value, *reason;
    bool lift;
};

static int change_revocation(struct store *s, void *arg)
{
    const struct revocation *v = arg;
    return v->lift ? store_lift_revocation(s, v->kind, v->value)
                   : store_put_revocation(s, v->kind, v->value, clock_unix_s(), v->reason);
}

static bool is_serial(const char *serial)
{
    size_t len = strlen(serial);
    return len > 0 && len <= 2 * X509_SERIAL_MAX && strspn(serial, "0123456789abcdef") == len;
}

/* A mistyped serial would be revoked in vain, and nobody would notice. */
static int is_issued(struct store *s, const char *serial)
{
    struct issued_found f;
    int r = store_get_issued(s, serial, &f);
    if (r == 0)
        issued_found_done(&f);
    return r;
}

static int revoke_in(struct store *s, struct revocation *v)
{
    bool by_serial = strcmp(v->kind, REVOKED_SERIAL) == 0;
    int r = by_serial ? is_issued(s, v->value) : 0;
    if (r == -ENOENT) {
        fprintf(stderr, "weir-ca: --serial: no such certificate was issued; see weir-ca list\n");
        return r;
    }
    if (r == 0)
        r = command_audited(s, change_revocation, v,
                    (struct audit_record){.outcome = v->lift ? "lifted" : "revoked",
                                          .identity = by_serial ? "" : v->value,
                                          .serial = by_serial ? v->value : "",
                                          .reason = v->reason});
    if (r == -EEXIST)
        fprintf(stderr, "weir-ca: it is revoked already\n");
    else if (r == -ENOENT)
        fprintf(stderr, "weir-ca: it is not revoked\n");
    else if (r < 0)
        fprintf(stderr, "weir-ca: it can't be written: %s\n", store_why(s));
    return r;
}

int command_revoke(int argc, char **argv)
{
    const char *state = NULL, *identity = NULL, *serial = NULL;
    struct revocation v = {.reason = ""};
    struct store *store;
    struct spiffe_id id;
    const struct arg table[] = {
        {"state", ARG_STRING, &state, "DIR|postgresql:FILE", "the CA's state", 0, 0, true},
        {"identity", ARG_STRING, &identity, "SPIFFE-ID",
         "gets no certificates any more, and those that it has are revoked", 0, 0, false},
        {"serial", ARG_STRING, &serial, "HEX", "that one certificate", 0, 0, false},
        {"reason", ARG_STRING, &v.reason, "TEXT", "for the audit log", 0, 0, false},
        {"lift", ARG_FLAG, &v.lift, NULL,
         "the identity may have new certificates again; revoked ones stay so", 0, 0, false},
    };
    int r = args_parse("weir-ca revoke",
                       "Nothing is issued any more to what is revoked, from the next request on; "
                       "a certificate that is revoked can't be renewed.",
                       table, ARRAY_SIZE(table), argc, argv, NULL);
    if (r < 0)
        return r == -ECANCELED ? 0 : 2;
    if (!identity == !serial)
        return command_usage_error("identity", "say either --identity or --serial");
    if (serial && v.lift)
        return command_usage_error("lift",
                                   "goes with --identity: a certificate is revoked for good");
    if (identity && spiffe_id_parse(text_of(identity), &id) < 0)
        return command_usage_error("identity",
                                   "must be spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT");
    if (serial && !is_serial(serial))
        return command_usage_error("serial",
                                   "must be hex in small letters, as weir-ca list shows it");
    if (command_open_state(state, &store) < 0)
        return 1;
    v.kind = identity ? REVOKED_IDENTITY : REVOKED_SERIAL;
    v.value = identity ? identity : serial;
    r = revoke_in(store, &v);
    store_close(store);
    return r < 0 ? 1 : 0;
}

/* ---- backup, restore, check ---------------------------------------------- */

int command_backup(int argc, char **argv)
{
    const char *state = NULL, *out = NULL;
    char why[STORE_WHY_MAX];
    struct store *store;
    const struct arg table[] = {
        {"state", ARG_STRING, &state, "DIR|postgresql:FILE", "the CA's state", 0, 0, true},
        {"out", ARG_STRING, &out, "FILE", "a new file; it holds the keys: guard it", 0, 0, true},
    };
    int r = args_parse("weir-ca backup",
                       "Copies the whole state as it is at one moment, also while the CA serves.",
                       table, ARRAY_SIZE(table), argc, argv, NULL);
    if (r < 0)
        return r == -ECANCELED ? 0 : 2;
    if (command_open_state(state, &store) < 0)
        return 1;
    r = store_backup(store, out, why);
    if (r < 0)
        fprintf(stderr, "weir-ca: --out: %s\n", why);
    store_close(store);
    return r < 0 ? 1 : 0;
}

int command_restore(int argc, char **argv)
{
    const char *state = NULL, *from = NULL;
    char why[STORE_WHY_MAX];
    const struct arg table[] = {
        {"state", ARG_STRING, &state, "DIR|postgresql:FILE", "where no state is yet; its parent must be there", 0,
         0, true},
        {"from", ARG_STRING, &from, "FILE", "what weir-ca backup has made", 0, 0, true},
    };
    int r = args_parse("weir-ca restore",
                       "Makes a state of a copy. What was revoked since then is to be revoked "
                       "again; join tokens do not come back.",
                       table, ARRAY_SIZE(table), argc, argv, NULL);
    if (r < 0)
        return r == -ECANCELED ? 0 : 2;
    r = store_restore(state, from, clock_unix_s(), why);
    if (r < 0)
        fprintf(stderr, "weir-ca: %s\n", why);
    return r < 0 ? 1 : 0;
}

static void tell_problem(const char *text, void *arg)
{
    size_t *n = arg;
    printf("PROBLEM  %s\n", text);
    ++*n;
}

static void tell_rotation(struct store *s)
{
    char why[STORE_WHY_MAX], at[CLOCK_TEXT_MAX];
    struct rotation n;
    if (rotation_read(s, &n, why) < 0 || n.step == ROTATION_NONE)
        return;
    clock_print(n.due_s * 1000, 0, at);
    printf("rotation: %s\n",
           n.step == ROTATION_BEGUN
               ? "a new root is given to all, and does not sign yet"
               : "the new root signs, and the one before is trusted still");
    printf("  the next step: not before %s, when the last certificate of before has ended\n", at);
}

int command_check(int argc, char **argv)
{
    const char *state = NULL;
    char why[STORE_WHY_MAX];
    uint64_t issued = 0;
    size_t problems = 0;
    struct store *store;
    const struct arg table[] = {{"state", ARG_STRING, &state, "DIR|postgresql:FILE", "the CA's state", 0, 0, true},
                                SEAL_ARG};
    int r = args_parse("weir-ca check",
                       "Looks whether the state is whole: the file, the keys and certificates, and "
                       "that each certificate has its line in the audit log.",
                       table, ARRAY_SIZE(table), argc, argv, NULL);
    if (r < 0)
        return r == -ECANCELED ? 0 : 2;
    if (command_open_state(state, &store) < 0)
        return 1;
    r = store_check(store, tell_problem, &problems);
    if (r == 0)
        r = store_count_issued(store, &issued);
    if (r < 0)
        tell_problem(store_why(store), &problems);
    if (root_check(store, clock_unix_s(), why) < 0)
        tell_problem(why, &problems);
    else
        tell_rotation(store);
    if (problems == 0)
        printf("fine: %llu certificates issued, each with its line\n", (unsigned long long)issued);
    store_close(store);
    return problems > 0 ? 1 : printed(0);
}
